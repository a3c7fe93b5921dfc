"""The YOLO networks by name: as large as published, with the published constants, whoever rebuilds them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.errors import WeightsError
from pipeline.models.build import build_network
from pipeline.models.files import load_network, save_network
from pipeline.models.resolve import resolve_model, resolve_weights
from pipeline.models.weights import load_weights
from pipeline.models.yolo.build import build_yolo
from pipeline.models.yolo.variants import VARIANTS

NANO = resolve_model("yolo/x-nano")


def _norms(network: nn.Module) -> set[tuple[float, float | None]]:
    return {(one.eps, one.momentum) for one in network.modules() if isinstance(one, nn.BatchNorm2d)}


@pytest.mark.parametrize(
    ("name", "millions"), [("x-nano", 0.91), ("x-tiny", 5.06), ("x-s", 9.0), ("x-m", 25.3), ("x-l", 54.2)]
)
def test_yolox_has_as_many_parameters_as_its_paper_says(name: str, millions: float) -> None:
    """Of 80 classes; tables 3 and 5 of arXiv:2107.08430."""
    with torch.device("meta"):
        network = build_yolo(name, 80)
    assert sum(one.numel() for one in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.006)


def test_tensors_are_called_as_in_the_files_that_yolox_publishes() -> None:
    shapes = {name: tuple(value.shape) for name, value in build_yolo("x-tiny", 80).state_dict().items()}
    assert shapes["backbone.backbone.stem.conv.conv.weight"] == (24, 12, 3, 3)
    assert shapes["backbone.backbone.dark3.1.m.2.conv2.bn.running_var"] == (48,)
    assert shapes["backbone.backbone.dark5.1.conv2.conv.weight"] == (384, 768, 1, 1)
    assert shapes["backbone.C3_n4.conv3.conv.weight"] == (384, 384, 1, 1)
    assert shapes["head.cls_preds.2.bias"] == (80,)
    assert shapes["head.reg_preds.0.weight"] == (4, 96, 1, 1)
    assert "head.obj_preds.1.weight" in shapes


@pytest.mark.parametrize("name", ["x-nano", "9-t"])
def test_constants_of_batch_norms_survive_rebuilding(name: str, tmp_path: Path) -> None:
    source = resolve_model(f"yolo/{name}")
    network = build_network(source, classes=3)
    assert _norms(network) == {(1e-3, 0.03)}
    save_network(network, source, tmp_path, classes=3)
    rebuilt = load_network(tmp_path, source)
    assert _norms(rebuilt) == {(1e-3, 0.03)}
    image = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        (wanted,), (found,) = network.eval()(image), rebuilt(image)
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_plain_state_dict_is_taken(tmp_path: Path, *, wrapped: bool) -> None:
    trained = build_yolo("x-nano", 3).state_dict()
    torch.save({"model": trained} if wrapped else trained, tmp_path / "trained.pth")
    weights = resolve_weights(str(tmp_path / "trained.pth"), NANO, cache=tmp_path)
    network = build_network(NANO, classes=3)
    assert load_weights(network, weights).fresh_head == ()
    assert all(torch.equal(value, trained[name]) for name, value in network.state_dict().items())


def test_a_state_dict_for_other_classes_is_refused(tmp_path: Path) -> None:
    torch.save(build_yolo("x-nano", 5).state_dict(), tmp_path / "trained.pth")
    weights = resolve_weights(str(tmp_path / "trained.pth"), NANO, cache=tmp_path)
    with pytest.raises(WeightsError, match=r"head.cls_preds.0.weight is \[5, 64, 1, 1\], the network has \[3,"):
        load_weights(build_network(NANO, classes=3), weights)


def test_no_weights_are_fetched(tmp_path: Path) -> None:
    assert resolve_weights(None, NANO, cache=tmp_path).reason == "yolo/x-nano has no pretrained weights"
    with pytest.raises(WeightsError, match="yolo/x-nano has no pretrained weights"):
        resolve_weights("pretrained", NANO, cache=tmp_path)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_name_can_be_built(name: str) -> None:
    with torch.device("meta"):
        assert build_yolo(name, 2).state_dict()
