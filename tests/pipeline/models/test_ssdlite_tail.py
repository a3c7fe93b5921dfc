"""Weights of torchvision's wider SSDlite, which is what its builder makes unasked, are taken by the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torchvision.models import mobilenet_v3_large
from torchvision.models._api import WeightsEnum
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from pipeline.artifact import sha256_of_file
from pipeline.models.build import build_network
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.models.ssdlite_tail import with_tail_of
from pipeline.models.weights import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAMED = ModelSource(origin="torchvision", name="ssdlite320_mobilenet_v3_large", task="detection")


def _file(folder: Path, network: torch.nn.Module) -> WeightsSource:
    torch.save({"model": {f"module.{key}": value for key, value in network.state_dict().items()}}, folder / "w.pth")
    return WeightsSource(origin="file", file=folder / "w.pth", file_sha256=sha256_of_file(folder / "w.pth"))


def test_what_was_trained_from_a_published_backbone_answers_the_same_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda _self, **_options: mobilenet_v3_large().state_dict())
    theirs = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone="IMAGENET1K_V1", num_classes=3).eval()
    weights = _file(tmp_path, theirs)

    found = with_tail_of(NAMED, weights)
    ours = build_network(found, classes=2).eval()
    load_weights(ours, weights)
    image = torch.rand(3, 320, 320, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ((wanted,), (got,)) = theirs([image]), ours([(image - 0.5) / 0.5])

    assert found.identity() == {**NAMED.identity(), "wide_tail": True}
    assert sorted(wanted) == sorted(got)
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-3)


def test_the_narrow_one_and_others_stay_as_they_are(tmp_path: Path) -> None:
    narrow = _file(tmp_path, ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3))
    other = ModelSource(origin="torchvision", name="resnet18")

    assert with_tail_of(NAMED, narrow) == NAMED
    assert with_tail_of(NAMED, WeightsSource(origin="scratch")) == NAMED
    assert with_tail_of(other, narrow) is other
