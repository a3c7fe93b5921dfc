"""Defects of what goes in and of what the outputs are called: the network itself is sound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.reliability.defects.defect import Defect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FEEDING"]

_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def _preprocess(**changed: Any) -> Callable[[Path], None]:  # noqa: ANN401 - JSON
    def make(bundle: Path) -> None:
        path = bundle / "preprocess.json"
        value = {**json.loads(path.read_text(encoding="utf-8")), **changed}
        path.write_text(json.dumps(value), encoding="utf-8")

    return make


def _classes(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def make(bundle: Path) -> None:
        path = bundle / "classes.txt"
        names = path.read_text(encoding="utf-8").splitlines()
        path.write_text("".join(f"{name}\n" for name in change(names)), encoding="utf-8")

    return make


FEEDING = (
    Defect("BGR for RGB", _preprocess(channels="BGR")),
    Defect("ImageNet's mean and deviation in place of the network's", _preprocess(**_IMAGENET)),
    Defect("the mean is not subtracted", _preprocess(mean=[0.0] * 3)),
    Defect("not divided by the deviation", _preprocess(std=[1.0] * 3)),
    Defect("divided by the deviation twice", _preprocess(std=[0.0625] * 3)),
    Defect("0 to 255 in place of 0 to 1", _preprocess(mean=[0.0] * 3, std=[1 / 255] * 3)),
    Defect("the centre is cropped in place of squashing the whole", _preprocess(resize=32)),
    Defect("the nearest pixel in place of the mean of several", _preprocess(interpolation="nearest")),
    Defect("classes off by one", _classes(lambda names: [*names[1:], names[0]])),
    Defect("classes in the reverse order", _classes(lambda names: names[::-1])),
    Defect("two classes exchanged", _classes(lambda names: [names[1], names[0], *names[2:]])),
    Defect("a class missing", _classes(lambda names: names[:-1])),
)
