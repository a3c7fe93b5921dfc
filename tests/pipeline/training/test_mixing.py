"""Two images in one: the papers' formulas, decided by image and view, with labels to match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training.images import TrainingImages
from pipeline.training.mixing import mixed, partners

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.preprocess import PreprocessSpec
    from pipeline.training.schedule import Augmentation

_ALL = torch.arange(200)


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Images of ones, and images of zeros to mix into them: what is left is the share."""
    return torch.ones(200, 3, 16, 24), torch.zeros(200, 3, 16, 24)


def test_mixup_adds_both_by_their_shares(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    inputs, share = mixed(*pair, _ALL, 0, ["mixup"])
    torch.testing.assert_close(inputs, share[:, None, None, None].expand_as(inputs))
    assert 0.5 <= float(share.min()) < 0.55
    assert 0.95 < float(share.max()) <= 1


def test_cutmix_pastes_one_box_whose_area_is_the_others_share(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    inputs, share = mixed(*pair, _ALL, 0, ["cutmix"])
    assert set(inputs.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(inputs.mean(dim=(1, 2, 3)), share)
    assert 0.45 < float(share.min()) < 0.9
    hole = inputs[0, 0] == 0 if (inputs[0] == 0).any() else inputs[1, 0] == 0
    rows, columns = hole.any(dim=1), hole.any(dim=0)
    assert torch.equal(hole, rows[:, None] & columns[None, :])  # a box and nothing else


def test_of_both_kinds_about_half_get_either(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    inputs, _ = mixed(*pair, _ALL, 0, ["mixup", "cutmix"])
    blended = ((inputs > 0) & (inputs < 1)).flatten(1).any(dim=1)
    assert 70 < int(blended.sum()) < 130


@pytest.mark.parametrize("kinds", [("mixup",), ("cutmix",), ("mixup", "cutmix")])
def test_a_view_is_the_same_whatever_else_is_in_the_batch(
    tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec, kinds: tuple[Augmentation, ...]
) -> None:
    images = TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress(), Classification())
    (whole,) = images.batches(torch.arange(len(images)), len(images), view=2, augment=kinds)
    for alone in images.batches(torch.tensor([17, 3, 80]), 1, view=2, augment=kinds):
        (index,) = alone.indices.tolist()
        torch.testing.assert_close(alone.inputs[0], whole.inputs[index])
        assert whole.mixed is not None
        assert alone.mixed is not None
        assert alone.mixed.labels.tolist() == [int(whole.mixed.labels[index])]
        torch.testing.assert_close(alone.mixed.share[0], whole.mixed.share[index])


def test_the_labels_are_those_of_the_images_that_were_mixed_in(
    tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec
) -> None:
    images = TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress(), Classification())
    everything = torch.arange(len(images))
    (plain,) = images.batches(everything, len(images))
    (batch,) = images.batches(everything, len(images), view=5, augment=("mixup",))
    other = partners(everything, 5, len(images))
    assert batch.mixed is not None
    assert torch.equal(batch.mixed.labels, images.labels[other])
    share = batch.mixed.share[:, None, None, None]
    torch.testing.assert_close(batch.inputs, share * plain.inputs + (1 - share) * plain.inputs[other])


def test_every_image_may_be_mixed_in() -> None:
    counts = torch.bincount(torch.cat([partners(torch.arange(50), view, 50) for view in range(200)]), minlength=50)
    assert counts.min() > 120
    assert counts.max() < 290
