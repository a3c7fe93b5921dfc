"""What the installed torchvision offers, read from its source: importing it takes ten seconds, this a tenth.

Builders are the functions that ``@register_model()`` decorates in the modules directly below ``torchvision.models``
and, of detectors that give boxes alone, below its ``detection`` (segmentation, video and quantised networks lie
elsewhere). Their weights are the enumeration in the type of
their ``weights`` argument.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PretrainedEntry", "backbone_of", "builders", "default_weights", "detector_builders"]

_DETECTORS = ("faster_rcnn", "fcos", "retinanet", "ssd", "ssdlite")
"""Modules below ``torchvision.models.detection``; the others give masks or keypoints too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainedEntry:
    """torchvision's default weights of one builder.

    Attributes:
        url: Where they lie.
        transforms: Arguments of torchvision's preset, as written in the source; of detectors none.
    """

    url: str
    transforms: dict[str, Any]


@cache
def builders() -> dict[str, Path]:
    """Name of each classifier to the file that defines it."""
    return _builders_in(_folder().glob("*.py"))


@cache
def detector_builders() -> dict[str, Path]:
    """Name of each detector to the file that defines it."""
    return _builders_in(_folder() / "detection" / f"{name}.py" for name in _DETECTORS)


def _builders_in(files: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(files):
        source = file.read_text(encoding="utf-8")
        if "@register_model(" in source:
            found |= {node.name: file for node in _functions(source) if any(map(_registers, node.decorator_list))}
    return dict(sorted(found.items()))


def _folder() -> Path:
    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        message = "torchvision is not installed"
        raise ModuleNotFoundError(message, name="torchvision")
    return Path(spec.submodule_search_locations[0], "models")


def _functions(source: str) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]


def _registers(decorator: ast.expr) -> bool:
    return (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == "register_model"
    )


@cache
def default_weights(name: str) -> PretrainedEntry | None:
    """The ``DEFAULT`` weights of a builder; None where torchvision has none for it."""
    tree = ast.parse((builders() | detector_builders())[name].read_text(encoding="utf-8"))
    mentioned = _mentioned(tree, name, "weights")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in mentioned and node.name.endswith("_Weights"):
            return _default_entry(node)
    return None


@cache
def backbone_of(name: str) -> str | None:
    """The classifier whose weights a detector's builder takes for its backbone; None where it takes none."""
    tree = ast.parse(detector_builders()[name].read_text(encoding="utf-8"))
    mentioned = {one.removesuffix("_Weights").lower() for one in _mentioned(tree, name, "weights_backbone")}
    return next((one for one in builders() if one in mentioned), None)


def _mentioned(tree: ast.Module, name: str, argument: str) -> set[str]:
    """The names in the type of an argument of a builder."""
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    found = next(one for one in function.args.kwonlyargs if one.arg == argument)
    return {node.id for node in ast.walk(found.annotation or found) if isinstance(node, ast.Name)}


def _default_entry(enumeration: ast.ClassDef) -> PretrainedEntry:
    members = {
        node.targets[0].id: node.value
        for node in enumeration.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    value = members["DEFAULT"]
    if isinstance(value, ast.Name):
        value = members[value.id]
    arguments = {word.arg: word.value for word in value.keywords} if isinstance(value, ast.Call) else {}
    transforms = arguments["transforms"]
    words = transforms.keywords if isinstance(transforms, ast.Call) else []  # of detectors it is a class alone
    return PretrainedEntry(
        url=ast.literal_eval(arguments["url"]),
        transforms={word.arg: _value(word.value) for word in words if word.arg},
    )


def _value(node: ast.expr) -> Any:  # noqa: ANN401 - a number, a tuple or the name of an interpolation
    return node.attr if isinstance(node, ast.Attribute) else ast.literal_eval(node)
