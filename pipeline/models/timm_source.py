"""What the installed timm offers, read from its source: importing it takes eleven seconds."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["architectures", "is_installed", "tags"]

_REGISTERED = re.compile(r"^@register_model(?:\(.*\))?\r?\ndef (\w+)\(", re.MULTILINE)


def is_installed() -> bool:
    """Whether the extra is there; nothing is imported."""
    return find_spec("timm") is not None


@cache
def architectures() -> dict[str, Path]:
    """Name of each architecture to the file that defines it; empty where timm is not installed."""
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        return {}
    found: dict[str, Path] = {}
    for file in Path(spec.submodule_search_locations[0], "models").glob("*.py"):
        found |= dict.fromkeys(_REGISTERED.findall(file.read_text(encoding="utf-8")), file)
    return dict(sorted(found.items()))


def tags(architecture: str) -> tuple[str, ...]:
    """The pretrained weights of an architecture, as in ``resnet50.a1_in1k``."""
    source = architectures()[architecture].read_text(encoding="utf-8")
    return tuple(sorted(set(re.findall(rf"""['"]{architecture}\.([\w.]+)\*?['"]""", source))))
