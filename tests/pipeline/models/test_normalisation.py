"""A normalisation that a network was plainly not trained with is told."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d

from pipeline.models.normalisation import contradiction, normalisation_doubt
from pipeline.preprocess import PreprocessSpec


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Pictures as values from 0 to 1, smooth like photographs: (64, 3, 16, 16)."""
    generator = np.random.default_rng(0)
    coarse = generator.random((64, 3, 4, 4), np.float32)
    return coarse.repeat(4, axis=2).repeat(4, axis=3)


@pytest.fixture(scope="module")
def network(images: np.ndarray) -> nn.Module:
    """Its batch normalisation has met these pictures, normalised."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8, momentum=None), nn.ReLU())
        made.train()
        with torch.no_grad():
            made(torch.from_numpy((images - 0.5) / 0.25))
    return made.eval()


def _doubt(network: nn.Module, images: np.ndarray) -> str | None:
    return normalisation_doubt(network, [image[None] for image in images.astype(np.float32)])


def test_the_normalisation_of_the_training_is_not_doubted(network: nn.Module, images: np.ndarray) -> None:
    assert _doubt(network, (images - 0.5) / 0.25) is None


def test_other_pictures_of_the_kind_are_not_doubted(network: nn.Module, images: np.ndarray) -> None:
    assert _doubt(network, (0.8 * images[:, ::-1].copy() + 0.1 - 0.5) / 0.25) is None


@pytest.mark.parametrize(
    ("mean", "std"), [(0.0, 1.0), (0.5, 1.0), (0.0, 1 / 255), (-0.5, 0.25)], ids=["none", "std", "255", "mean"]
)
def test_another_normalisation_is_told_with_the_keys(
    network: nn.Module, images: np.ndarray, mean: float, std: float
) -> None:
    told = _doubt(network, (images - mean) / std)
    assert told is not None
    assert "input.mean" in told


def test_a_frozen_batch_normalisation_remembers_too(network: nn.Module, images: np.ndarray) -> None:
    assert isinstance(network, nn.Sequential)
    frozen = FrozenBatchNorm2d(8)
    frozen.load_state_dict(network[1].state_dict())
    same = nn.Sequential(network[0], frozen).eval()

    assert _doubt(same, (images - 0.5) / 0.25) is None
    assert _doubt(same, images) == _doubt(network, images) is not None


def test_a_detector_says_itself_how_its_images_are_normalised() -> None:
    network = nn.Module()
    network.transform = GeneralizedRCNNTransform(480, 800, [0.5] * 3, [0.25] * 3)
    right = PreprocessSpec(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

    assert contradiction(network, right, sides=False) is None
    assert contradiction(nn.ReLU(), right) is None
    told = contradiction(network, PreprocessSpec(size=(32, 32)))
    assert told is not None
    assert "resizes the shorter side to 480" in told
    assert told.endswith("--set 'input.mean=[0.5, 0.5, 0.5]' --set 'input.std=[0.25, 0.25, 0.25]' --set input.size=480")


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        ({"min_size": (640, 800), "max_size": 1333}, "resizes the shorter side to 800: .* --set input.size=800"),
        ({"min_size": 32, "max_size": 64}, None),
        ({"min_size": 30, "max_size": 50, "fixed_size": (50, 30)}, r"to 30x50: .* --set 'input.size=\[30, 50\]'"),
        ({"min_size": 9, "max_size": 9, "fixed_size": (48, 32)}, None),
    ],
)
def test_a_detector_says_itself_how_large_its_images_are(transform: dict[str, Any], told: str | None) -> None:
    network, fed = nn.Module(), PreprocessSpec(size=(32, 48))
    network.transform = GeneralizedRCNNTransform(image_mean=[*fed.mean], image_std=[*fed.std], **transform)

    found = contradiction(network, fed)
    assert found == told if told is None else re.search(told, found or "")
    assert contradiction(network, fed, sides=False) is None


def test_numbers_of_a_transform_may_be_arrays_and_are_compared_as_float32() -> None:
    network, fed = nn.Module(), PreprocessSpec(size=(32, 32), mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2))
    network.transform = GeneralizedRCNNTransform(
        32, 32, image_mean=torch.tensor([0.4, 0.5, 0.6]), image_std=np.array([0.2] * 3, dtype=np.float32)
    )

    assert contradiction(network, fed) is None
    for said in ("imagenet", {"mean": 0.5}, torch.tensor(0.5), None):
        other = nn.Module()
        other.transform = SimpleNamespace(image_mean=said, image_std=torch.full((1, 3, 1, 1), 0.5))
        told = contradiction(other, fed, sides=False)
        assert ("has mean [0.5] and std [0.5, 0.5, 0.5]" in (told or "")) == isinstance(said, torch.Tensor)
    assert "has mean [0.4, 0.5, 0.6]" in (contradiction(network, PreprocessSpec(size=(32, 32))) or "")


@pytest.mark.parametrize(
    ("fed", "ratio", "setting"),
    [
        ({"size": (512, 512)}, 1920 / 1080, "[512, 910]"),
        ({"size": (512, 512)}, 1080 / 1920, "[910, 512]"),
        ({"size": (512, 512)}, 4.0, "[250, 1000]"),
        ({"size": (512, 910)}, 1920 / 1080, None),
        ({"size": (512, 512)}, 1.05, None),
        ({"size": (512, 512), "resize": "letterbox", "fill": 114, "place": "corner"}, 1920 / 1080, None),
    ],
)
def test_a_detector_that_keeps_the_ratio_is_doubted_where_images_are_squashed(
    fed: dict[str, Any], ratio: float, setting: str | None
) -> None:
    network, spec = nn.Module(), PreprocessSpec(**fed)
    network.transform = GeneralizedRCNNTransform(512, 1000, image_mean=[*spec.mean], image_std=[*spec.std])

    found = contradiction(network, spec, sides=False, ratio=ratio)

    assert (found and found.partition("--set ")[2]) == (setting and f"'input.size={setting}'")


def test_a_network_without_batch_normalisation_is_not_doubted(images: np.ndarray) -> None:
    assert _doubt(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), 255 * images) is None


def test_no_hook_stays_behind(network: nn.Module, images: np.ndarray) -> None:
    _doubt(network, images)
    assert not any(module._forward_pre_hooks for module in network.modules())
