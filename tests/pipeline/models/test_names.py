"""The names that can be asked for."""

from __future__ import annotations

import timm
import torchvision

from pipeline.models import timm_source
from pipeline.models.names import timm_classifiers, torchvision_classifiers, yolo_detectors


def test_torchvisions_classifiers_are_those_torchvision_registers() -> None:
    assert torchvision_classifiers() == tuple(sorted(torchvision.models.list_models(module=torchvision.models)))


def test_timms_classifiers_are_those_timm_registers() -> None:
    assert set(timm_classifiers()) == {f"timm/{name}" for name in timm.list_models()}


def test_the_tags_of_an_architecture_are_timms() -> None:
    known = {name.partition(".")[2] for name in timm.list_pretrained("resnet50.*")}
    assert known <= set(timm_source.tags("resnet50"))


def test_yolos_are_named_with_their_prefix_and_sorted() -> None:
    names = yolo_detectors()
    assert {"yolo/x-nano", "yolo/x-tiny", "yolo/9-t"} <= set(names)
    assert list(names) == sorted(names)
