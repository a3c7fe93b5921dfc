"""Training images in batches: the right ones, in the order asked for, however they are held."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Self

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample
from pipeline.errors import DataError
from pipeline.image_input import normalised
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection
from pipeline.training.images import TrainingImages

if TYPE_CHECKING:
    from pathlib import Path

_COUNT = 7
_PREPROCESS = PreprocessSpec(size=(6, 10), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Seven images of different content; label and number differ, so that one cannot pass for the other."""
    folder = tmp_path_factory.mktemp("images")
    made = []
    for number in range(_COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 9, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        made.append(Sample(path=path, name=path.name, label=(3 * number) % 5, sha256=str(number)))
    return tuple(made)


@pytest.fixture(scope="module")
def kept(samples: tuple[Sample, ...]) -> TrainingImages:
    return TrainingImages(samples, _PREPROCESS, SilentProgress(), Classification())


@pytest.fixture
def anew(samples: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch) -> TrainingImages:
    """The same images, too many to be kept."""
    monkeypatch.setattr("pipeline.training.images._KEPT_BYTES", 0)
    return TrainingImages(samples, _PREPROCESS, SilentProgress(), Classification())


def _walk(images: TrainingImages, order: list[int], batch_size: int) -> list[tuple[torch.Tensor, ...]]:
    return [(one.indices, one.inputs, one.labels) for one in images.batches(torch.tensor(order), batch_size)]


@settings(deadline=None)
@given(order=st.permutations(range(_COUNT)), batch_size=st.integers(1, 9))
def test_every_image_comes_once_in_the_order_asked_for(
    samples: tuple[Sample, ...], kept: TrainingImages, order: list[int], batch_size: int
) -> None:
    batches = _walk(kept, order, batch_size)
    assert torch.cat([indices for indices, _, _ in batches]).tolist() == order
    assert torch.cat([labels for _, _, labels in batches]).tolist() == [samples[index].label for index in order]
    inputs = torch.cat([inputs for _, inputs, _ in batches]).numpy()
    np.testing.assert_array_equal(inputs, [_PREPROCESS.load(str(samples[index].path)) for index in order])


@settings(deadline=None)
@given(batch_size=st.integers(1, 9))
def test_all_batches_but_the_last_are_full(kept: TrainingImages, batch_size: int) -> None:
    sizes = [len(labels) for _, _, labels in _walk(kept, list(range(_COUNT)), batch_size)]
    assert set(sizes[:-1]) <= {batch_size}
    assert 1 <= sizes[-1] <= batch_size
    assert sum(sizes) == _COUNT


@pytest.mark.parametrize("place", ["centre", "corner"])
def test_a_letterbox_is_the_same_to_the_bit_in_training_elsewhere_and_from_bytes(
    samples: tuple[Sample, ...], place: str
) -> None:
    fields = {**_PREPROCESS.model_dump(), "resize": "letterbox", "fill": 7, "place": place}
    preprocess = PreprocessSpec.model_validate(fields)
    trained_on = TrainingImages(samples, preprocess, SilentProgress(), Classification()).first(_COUNT).numpy()
    paths = [str(sample.path) for sample in samples]

    np.testing.assert_array_equal(trained_on, [preprocess.load(path) for path in paths])
    spec = preprocess.model_dump(mode="json")
    np.testing.assert_array_equal(trained_on, [normalised(preprocess.load(path, "uint8"), spec) for path in paths])


def test_a_part_of_the_images_can_be_walked_through(kept: TrainingImages) -> None:
    assert [indices.tolist() for indices, _, _ in _walk(kept, [5, 1, 1], 2)] == [[5, 1], [1]]


def test_images_decoded_anew_come_in_the_same_batches_as_kept_ones(kept: TrainingImages, anew: TrainingImages) -> None:
    assert kept._kept is not None
    assert anew._kept is None
    order = [6, 2, 0, 5, 1, 4, 3]
    for held, decoded in zip(_walk(kept, order, 3), _walk(anew, order, 3), strict=True):
        for one, other in zip(held, decoded, strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)


def test_images_can_be_walked_through_again_and_again(anew: TrainingImages) -> None:
    first, second = (_walk(anew, [3, 0, 6], 2) for _ in range(2))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first, second, strict=True))


def test_a_batch_is_a_copy_that_may_be_changed(kept: TrainingImages) -> None:
    before = _walk(kept, [0], 1)[0][1].clone()
    _walk(kept, [0], 1)[0][1].zero_()
    assert torch.equal(_walk(kept, [0], 1)[0][1], before)


def test_the_number_of_images_is_their_length(kept: TrainingImages) -> None:
    assert len(kept) == _COUNT


def test_without_images_it_is_said_how_to_go_on() -> None:
    with pytest.raises(DataError, match="there are no training images") as raised:
        TrainingImages((), _PREPROCESS, SilentProgress(), Classification())
    assert "a folder with train/, or with class folders alone" in str(raised.value)
    assert "--skip distill,prune" in str(raised.value)


@pytest.fixture
def with_a_broken_one(samples: tuple[Sample, ...], tmp_path: Path) -> tuple[Sample, ...]:
    path = tmp_path / "broken.png"
    path.write_bytes(samples[0].path.read_bytes()[:60])
    return (*samples, Sample(path=path, name="broken.png", label=0, sha256="broken"))


def test_a_broken_image_is_named_when_images_are_kept(with_a_broken_one: tuple[Sample, ...]) -> None:
    with pytest.raises(DataError, match="this image cannot be decoded") as raised:
        TrainingImages(with_a_broken_one, _PREPROCESS, SilentProgress(), Classification())
    assert raised.value.where == str(with_a_broken_one[-1].path)


def test_a_broken_image_is_named_when_images_are_decoded_anew(
    with_a_broken_one: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.images._KEPT_BYTES", 0)
    images = TrainingImages(with_a_broken_one, _PREPROCESS, SilentProgress(), Classification())
    with pytest.raises(DataError, match="this image cannot be decoded") as raised:
        _walk(images, list(range(_COUNT + 1)), 4)
    assert raised.value.where == str(with_a_broken_one[-1].path)
    assert "Traceback" not in str(raised.value)


def test_pixels_without_a_file_are_images_too(kept: TrainingImages) -> None:
    assert kept._kept is not None
    labels = torch.tensor([3, 0, 1, 1, 2, 0, 4])
    images = TrainingImages.of_pixels(kept._kept, labels, _PREPROCESS, Classification())

    order = [6, 2, 0, 5]
    for one, other in zip(_walk(images, order, 3), _walk(kept, order, 3), strict=True):
        assert torch.equal(one[1], other[1])
        assert torch.equal(one[2], labels[one[0]])
    assert images.classes == [(3,), (0,), (1,), (1,), (2,), (0,), (4,)]
    assert len(images) == _COUNT


@pytest.fixture(scope="module")
def boxed(samples: tuple[Sample, ...]) -> TrainingImages:
    """The same images, each with a box of its own."""
    place = [(number % 3, number % 4, 5 + number % 3, 8) for number in range(_COUNT)]
    objects = [Objects(size=(9, 12), boxes=(Box(number % 2, *one),)) for number, one in enumerate(place)]
    boxed = [dataclasses.replace(sample, label=label) for sample, label in zip(samples, objects, strict=True)]
    return TrainingImages(
        boxed, PreprocessSpec(size=(24, 20), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)), SilentProgress(), Detection()
    )


def test_a_mosaic_is_decided_by_image_and_view_whatever_else_is_in_the_batch(boxed: TrainingImages) -> None:
    whole = {
        int(index): (inputs, boxes, classes)
        for batch in boxed.batches(torch.arange(_COUNT), 4, view=3, augment=("mosaic", "scale"))
        for index, inputs, boxes, classes in zip(
            batch.indices, batch.inputs, batch.labels.boxes, batch.labels.classes, strict=True
        )
    }
    (some,) = boxed.batches(torch.tensor([5, 1]), 2, view=3, augment=("mosaic", "scale"))

    for row, index in enumerate((5, 1)):
        for one, other in zip(
            whole[index], (some.inputs[row], some.labels.boxes[row], some.labels.classes[row]), strict=True
        ):
            assert torch.equal(one, other)


def test_about_half_of_the_images_are_mosaics_and_the_others_as_they_are(boxed: TrainingImages) -> None:
    plain, several = 0, 0
    for view in range(6):
        for batch, same in zip(
            boxed.batches(torch.arange(_COUNT), 4, view=view, augment=("mosaic",)),
            boxed.batches(torch.arange(_COUNT), 4, view=view),
            strict=True,
        ):
            for row in range(len(batch.inputs)):
                unchanged = torch.equal(batch.inputs[row], same.inputs[row])
                plain += unchanged
                several += len(batch.labels.boxes[row]) > 1
                assert not unchanged or torch.equal(batch.labels.boxes[row], same.labels.boxes[row])
    assert 10 <= plain <= 32
    assert several >= 5


class _Counting(SilentProgress):
    """A progress that adds up what it is told."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def track(self, description: str, total: int, *, even: bool = True) -> _Counting:
        self.total = total
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to close."""

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        self.done += steps


def test_reading_is_told_of_image_by_image(samples: tuple[Sample, ...]) -> None:
    progress = _Counting()
    TrainingImages(samples, _PREPROCESS, progress, Classification())
    assert (progress.done, progress.total) == (_COUNT, _COUNT)


@pytest.mark.parametrize("count", [1, 3, _COUNT, _COUNT + 5])
def test_the_first_images_are_those_of_the_first_batch(kept: TrainingImages, anew: TrainingImages, count: int) -> None:
    ((_, inputs, _),) = _walk(kept, list(range(min(count, _COUNT))), _COUNT)

    for images in (kept, anew):
        assert torch.equal(images.first(count), inputs)
