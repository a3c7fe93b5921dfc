"""What a detector's backbone starts from where the detector has no weights."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torchvision.models import detection, get_model, mobilenet_v3_large, vgg16, vgg19

from pipeline.errors import UsageError, WeightsError
from pipeline.models.backbone import with_backbone
from pipeline.models.backbone_tensors import load_backbone
from pipeline.models.resolve import PINNED, resolve_model
from pipeline.models.source import WeightsSource
from pipeline.models.torchvision_source import backbone_of, default_weights, detector_builders
from pipeline.models.weights import load_weights
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from pathlib import Path

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"
SCRATCH = WeightsSource(origin="scratch", reason="no weights were asked for")


def _with(
    text: str | None, cache: Path, *, name: str = NAME, weights: WeightsSource = SCRATCH, unwanted: bool = False
) -> WeightsSource:
    model = resolve_model(name)
    return with_backbone(weights, text, model, unwanted=unwanted, cache=cache, progress=SilentProgress())


def test_the_classifiers_read_from_the_source_are_those_torchvision_builds_backbones_of() -> None:
    found = {name: backbone_of(name) for name in detector_builders()}

    assert found[NAME] == "mobilenet_v3_large"
    assert found["retinanet_resnet50_fpn_v2"] == found["fcos_resnet50_fpn"] == "resnet50"
    assert found["ssd300_vgg16"] == "vgg16"
    assert None not in found.values()


def test_published_weights_out_of_reach_are_told(tmp_path: Path, offline: list[str]) -> None:
    found = _with(None, tmp_path)

    assert found.backbone is not None
    assert found.backbone.reason == "the pretrained weights of mobilenet_v3_large are out of reach: offline"
    assert len(offline) == 1
    assert "mobilenet_v3_large" in offline[0]
    assert not found.knows_backbone
    assert found.identity() == SCRATCH.identity()  # what nobody could get changes nothing


def test_a_recipe_that_was_written_asks_for_the_very_weights(tmp_path: Path, offline: list[str]) -> None:
    content = b"weights"
    entry = default_weights("mobilenet_v3_large")
    assert entry is not None
    name = entry.url.rsplit("/", 1)[-1]
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / name).write_bytes(content)
    (tmp_path / "weights" / f"{name}.sha256").write_text(hashlib.sha256(content).hexdigest(), encoding="ascii")

    found = _with(f"{PINNED}{hashlib.sha256(content).hexdigest()}", tmp_path)

    assert found.backbone is not None
    assert (found.origin, found.backbone.origin) == ("scratch", "pretrained")
    assert offline == []
    with pytest.raises(WeightsError):
        _with(f"{PINNED}{'0' * 64}", tmp_path)


def test_nothing_is_looked_for_where_nothing_is_wanted_or_fits(tmp_path: Path, offline: list[str]) -> None:
    trained = WeightsSource(origin="file", file_sha256="a")

    assert _with("none", tmp_path) == SCRATCH
    assert _with(None, tmp_path, unwanted=True) == SCRATCH
    assert _with(None, tmp_path, weights=trained) == trained
    assert _with(None, tmp_path, name="ssdlite320_mobilenet_v3_large") == SCRATCH
    assert _with(None, tmp_path, name="resnet18") == SCRATCH
    assert offline == []


def test_what_cannot_be_had_is_refused(tmp_path: Path) -> None:
    trained = WeightsSource(origin="file", file_sha256="a")

    with pytest.raises(UsageError, match="the detector brings weights of its own"):
        _with("pretrained", tmp_path, weights=trained)
    with pytest.raises(UsageError, match="a classifier's weights are given whole"):
        _with("pretrained", tmp_path, name="resnet18")
    with pytest.raises(WeightsError, match="no published weights that fit the backbone of ssdlite320"):
        _with("pretrained", tmp_path, name="ssdlite320_mobilenet_v3_large")
    with pytest.raises(WeightsError, match="there is no such weights file"):
        _with("body.pth", tmp_path)


def _detector() -> torch.nn.Module:
    network: torch.nn.Module = get_model(NAME, weights=None, weights_backbone=None, num_classes=4)
    return network


def test_a_classifier_s_file_fills_the_backbone_and_nothing_else(tmp_path: Path) -> None:
    classifier, network = mobilenet_v3_large(num_classes=5), _detector()
    torch.save(classifier.state_dict(), tmp_path / "net.pth")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = _with(str(tmp_path / "net.pth"), tmp_path)

    loaded = load_weights(network, weights)

    given = {f"backbone.body.{key.removeprefix('features.')}": value for key, value in classifier.state_dict().items()}
    inside = [name for name in before if name.startswith("backbone.body.")]
    assert loaded.backbone == f"{len(inside)} of {len(inside)} tensors"
    for name, value in network.state_dict().items():
        assert torch.equal(value, given[name] if name in inside else before[name])
    assert weights.knows_backbone
    assert weights.identity()["backbone"] != SCRATCH.identity()


def test_vgg_s_file_fills_all_of_an_ssd300_s_backbone_that_is_vgg_s(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = get_model("ssd300_vgg16", weights=None, weights_backbone=None, num_classes=4)
        state = {key: value for key, value in vgg16().state_dict().items() if key.startswith("features.")}
        deeper = vgg19().state_dict()
    asked: list[Any] = []
    with pytest.MonkeyPatch.context() as nothing_copied:
        nothing_copied.setattr(network, "load_state_dict", lambda found, **_: asked.append(found))
        told = load_backbone(network, state, where=tmp_path)
        with pytest.raises(WeightsError, match="do not fit"):
            load_backbone(network, deeper, where=tmp_path)

    assert told == "26 of 26 tensors"
    assert sorted(map(id, asked[0].values())) == sorted(map(id, state.values()))
    assert asked[0]["backbone.features.21.bias"] is state["features.21.bias"]
    assert asked[0]["backbone.extra.0.5.weight"] is state["features.28.weight"]


def test_a_backbone_s_own_file_fills_it_with_its_pyramid(tmp_path: Path) -> None:
    other, network = _detector(), _detector()
    torch.save(other.backbone.state_dict(), tmp_path / "net.pth")

    load_weights(network, _with(str(tmp_path / "net.pth"), tmp_path))

    state = other.state_dict()
    for name, value in network.state_dict().items():
        assert not name.startswith("backbone.") or torch.equal(value, state[name])


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "net.pth")
    torch.save(mobilenet_v3_large(width_mult=0.5).state_dict(), tmp_path / "half.pth")

    with pytest.raises(WeightsError, match="this file has not the tensors of the detector's backbone") as raised:
        load_weights(_detector(), _with(str(tmp_path / "net.pth"), tmp_path))
    assert "0 of 312" in str(raised.value) or "missing among others backbone.body.0.0.weight" in str(raised.value)
    with pytest.raises(WeightsError, match="these weights do not fit the detector's backbone"):
        load_weights(_detector(), _with(str(tmp_path / "half.pth"), tmp_path))


@pytest.mark.parametrize("name", [NAME, "ssdlite320_mobilenet_v3_large"])
def test_published_weights_of_a_detector_keep_all_but_what_answers_for_the_classes(tmp_path: Path, name: str) -> None:
    """Those for COCO's 91 classes: boxes are answered for each class, or for each place; that is a head too."""
    published = get_model(name, weights=None, weights_backbone=None, num_classes=91)
    network = get_model(name, weights=None, weights_backbone=None, num_classes=4)
    torch.save(published.state_dict(), tmp_path / "net.pth")

    loaded = load_weights(network, WeightsSource(origin="pretrained", file=tmp_path / "net.pth"))

    state = published.state_dict()
    differing = {key for key, value in network.state_dict().items() if value.shape != state[key].shape}
    assert set(loaded.fresh_head) == differing
    assert len(differing) == (4 if name == NAME else 12)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items() if key not in differing)


def test_torchvision_has_no_detector_without_weights_for_its_backbone() -> None:
    """The rule for SSDlite rests on this: without such weights its builder makes the backbone's end narrower."""
    one = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    widths = {value.shape[0] for key, value in one.backbone.state_dict().items() if key.endswith("0.weight")}

    assert 960 not in widths
