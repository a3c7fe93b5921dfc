"""Views of images: decided by image and view alone, and changed in no other way than was asked for."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from pipeline.training.augmentation import augmented
from pipeline.training.draws import uniform
from pipeline.training.mixing import MIXED_KINDS
from pipeline.training.schedule import Augmentation

_KINDS: list[Any] = sorted(set(get_args(Augmentation)) - MIXED_KINDS - {"mosaic"})


@pytest.fixture
def pixels() -> torch.Tensor:
    """Noise, in which nothing looks like anything else."""
    return torch.randint(0, 256, (64, 3, 16, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


_ALL = torch.arange(64)
_HALVES = (slice(5, 16), slice(25, 36))


@pytest.mark.parametrize("kind", _KINDS)
def test_the_same_view_of_the_same_image_is_the_same_whatever_else_is_in_the_batch(
    pixels: torch.Tensor,
    kind: Any,  # noqa: ANN401
) -> None:
    whole = augmented(pixels, _ALL, 3, [kind])
    torch.manual_seed(99)
    some = torch.tensor([40, 7, 63])
    assert torch.equal(augmented(pixels[some], some, 3, [kind]), whole[some])


@pytest.mark.parametrize("kind", _KINDS)
def test_views_differ_and_keep_shape_and_type(pixels: torch.Tensor, kind: Any) -> None:  # noqa: ANN401
    first, second = (augmented(pixels, _ALL, view, [kind]) for view in (0, 1))
    assert not torch.equal(first, second)
    assert (first.shape, first.dtype) == (pixels.shape, torch.uint8)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_gray_image_has_views_too(pixels: torch.Tensor, kind: Any) -> None:  # noqa: ANN401
    assert augmented(pixels[:4, :1], _ALL[:4], 0, [kind]).shape == (4, 1, 16, 24)


def test_nothing_asked_for_changes_nothing(pixels: torch.Tensor) -> None:
    assert torch.equal(augmented(pixels, _ALL, 5, ()), pixels)


def test_making_views_leaves_the_global_generator_as_it_was(pixels: torch.Tensor) -> None:
    before = torch.random.get_rng_state()
    augmented(pixels, _ALL, 0, _KINDS)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_flip_mirrors_about_half_of_the_images_and_changes_nothing_else(pixels: torch.Tensor) -> None:
    mirrored = []
    for seen, original in zip(augmented(pixels, _ALL, 0, ["flip"]), pixels, strict=True):
        mirrored.append(torch.equal(seen, original.flip(-1)))
        assert mirrored[-1] or torch.equal(seen, original)
    assert 0.3 < np.mean(mirrored) < 0.7


def _moved(original: np.ndarray, down: int, right: int) -> np.ndarray:
    """What lies that much further up and left, edges repeated."""
    _, height, width = original.shape
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    return original[:, rows][:, :, columns]


def test_shift_moves_every_image_by_up_to_an_eighth_of_each_side(pixels: torch.Tensor) -> None:
    found = []
    for seen, original in zip(augmented(pixels, _ALL, 1, ["shift"]).numpy(), pixels.numpy(), strict=True):
        matching = [
            (down, right)
            for down in range(-3, 4)
            for right in range(-4, 5)
            if np.array_equal(seen, _moved(original, down, right))
        ]
        found.append(matching[0])
    assert {down for down, _ in found} == {-2, -1, 0, 1, 2}
    assert {right for _, right in found} == {-3, -2, -1, 0, 1, 2, 3}
    assert len(set(found)) > 15  # each image its own way


def test_erase_blanks_a_rectangle_of_about_a_quarter_of_the_images(pixels: torch.Tensor) -> None:
    blanked = []
    for seen, original in zip(augmented(pixels, _ALL, 0, ["erase"]).numpy(), pixels.numpy(), strict=True):
        changed = (seen != original).any(axis=0)
        blanked.append(bool(changed.any()))
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if blanked[-1]:
            assert (seen[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 0).all()
    assert 0.1 < np.mean(blanked) < 0.45


def test_erase_blanks_the_same_part_of_an_image_however_large_it_is() -> None:
    """A teacher that sees the images larger than its student is asked about the student's views."""
    edges, areas = [], []
    for side in (32, 96):
        white = torch.full((256, 1, side, side), 255, dtype=torch.uint8)
        blank = augmented(white, torch.arange(256), 3, ["erase"])[:, 0] == 0
        areas.append(blank.double().mean(dim=(1, 2)))
        edges.append(torch.stack([blank.any(dim=dim).double().argmax(dim=1) / side for dim in (1, 2)]))
    erased = (areas[0] > 0) & (areas[1] > 0)
    assert torch.equal(areas[0] > 0, areas[1] > 0)
    assert float((edges[0] - edges[1]).abs()[:, erased].max()) <= 1 / 32
    assert 0.01 < float(areas[1][erased].min()) < float(areas[1][erased].max()) < 0.35
    assert float(areas[1][erased].mean()) == pytest.approx(0.175, abs=0.04)


def test_trivialaugment_moves_by_a_share_of_the_side_however_large_an_image_is() -> None:
    """What a teacher said of a view of larger images holds for it."""
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    small, large = (
        (255 * torch.nn.functional.interpolate(coarse, side, mode="bilinear")).to(torch.uint8) for side in (32, 128)
    )
    apart = []
    for view in range(40):
        less, more = (augmented(one, torch.tensor([5]), view, ["trivialaugment"]).float() for one in (small, large))
        apart.append((torch.nn.functional.avg_pool2d(more, 4) - less).abs().mean().item())
    assert max(apart) < 20
    assert np.mean(apart) < 6


def test_scale_makes_images_smaller_and_larger_and_leaves_them_upright() -> None:
    white = torch.full((64, 1, 24, 24), 255, dtype=torch.uint8)
    widths = []
    for seen in augmented(white, _ALL, 0, ["scale"]):
        rows, columns = (seen[0] > 200).any(dim=1), (seen[0] > 200).any(dim=0)
        inner = seen[0][rows][:, columns][1:-1, 1:-1]
        assert bool((inner > 200).all())  # one rectangle, its sides along the image's
        widths.append(int(columns.sum()))

    assert min(widths) <= 14
    assert 10 < widths.count(24) < 54  # about half are enlarged, and fill the image


def test_affine_turns_images_by_up_to_ten_degrees() -> None:
    """The middle of the left half and of the right half of an image tell its angle."""
    bar = torch.zeros(64, 1, 41, 41, dtype=torch.uint8)
    bar[:, :, 20] = 255
    angles = []
    for seen in (augmented(bar, _ALL, 0, ["affine"]) > 150).float():  # brighter than the grey around it
        rows = torch.arange(41.0)[:, None]
        left, right = (float((seen[0, :, part] * rows).sum() / seen[0, :, part].sum()) for part in _HALVES)
        angles.append(np.degrees(np.arctan2(right - left, 20)))

    assert max(map(abs, angles)) < 13  # ten degrees, and two of shear
    assert min(angles) < -5
    assert max(angles) > 5


def test_the_numbers_behind_it_are_uniform_and_unrelated() -> None:
    indices = torch.arange(20_000)
    columns = np.stack([uniform(indices, view, stream) for view in (0, 1) for stream in ("flip", "down", "right")])
    assert columns.min() >= 0
    assert columns.max() < 1
    np.testing.assert_allclose(columns.mean(axis=1), 0.5, atol=0.01)
    np.testing.assert_allclose(columns.std(axis=1), 12**-0.5, atol=0.01)
    np.testing.assert_allclose(np.corrcoef(columns), np.eye(6), atol=0.03)
