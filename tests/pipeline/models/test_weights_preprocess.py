"""The preprocessing that published weights were made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model, get_model_weights

from pipeline.models.names import torchvision_classifiers
from pipeline.models.source import ModelSource
from pipeline.models.torchvision_source import detector_builders
from pipeline.models.weights_preprocess import shared_by_all_weights, weights_preprocess


def test_every_torchvision_classifier_has_the_preset_of_its_default_weights() -> None:
    for name in torchvision_classifiers():
        preset = get_model_weights(name).DEFAULT.transforms()
        spec = weights_preprocess(ModelSource(origin="torchvision", name=name))
        assert spec is not None
        assert (list(spec.size), [spec.resize]) == (preset.crop_size * 2, preset.resize_size), name
        assert (list(spec.mean), list(spec.std)) == (preset.mean, preset.std), name
        assert spec.interpolation == preset.interpolation.value, name


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "inception_v3"])
def test_its_pixels_are_torchvisions(name: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "image.png")
    spec = weights_preprocess(ModelSource(origin="torchvision", name=name))
    assert spec is not None
    expected = get_model_weights(name).DEFAULT.transforms()(image)
    assert torch.allclose(torch.from_numpy(spec.load(str(tmp_path / "image.png"))), expected, atol=1e-6)


def test_timms_are_those_of_its_evaluation_transform(tmp_path: Path) -> None:
    from timm import get_pretrained_cfg
    from timm.data import create_transform, resolve_data_config

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8))
    image.save(tmp_path / "image.png")
    for name in ("resnet18.a1_in1k", "vit_tiny_patch16_224", "efficientnet_b0"):
        spec = weights_preprocess(ModelSource(origin="timm", name=name))
        assert spec is not None
        expected = create_transform(**resolve_data_config({}, pretrained_cfg=get_pretrained_cfg(name).to_dict()))(image)
        assert torch.allclose(torch.from_numpy(spec.load(str(tmp_path / "image.png"))), expected, atol=1e-6), name


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_a_model_from_a_file_brings_none(task: str) -> None:
    assert weights_preprocess(ModelSource(origin="file", name="ssdlite_of_mine", file=Path("n.py"), task=task)) is None


def test_detectors_by_name_are_fed_by_the_mean_and_deviation_of_their_own_transform() -> None:
    for name in detector_builders():
        source = ModelSource(origin="torchvision", name=name, task="detection")
        spec = weights_preprocess(source)
        with torch.device("meta"):
            own = get_model(name, weights=None, weights_backbone=None).transform
        assert spec is not None
        assert ([*spec.mean], [*spec.std]) == (own.image_mean, own.image_std), name
        if own.fixed_size is not None:
            assert (spec.size, spec.resize) == (own.fixed_size, "squash"), name
            assert shared_by_all_weights(source) == {"mean", "std", "size", "resize"}, name
