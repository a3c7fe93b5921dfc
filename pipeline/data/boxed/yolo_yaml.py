"""The ``data.yaml`` of a YOLO data set: names of classes as they are written, and where the parts lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from pipeline.data.scan import read_lines
from pipeline.errors import DataError
from pipeline.yaml_reading import Strict

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["YOLO_YAML", "class_names", "read_yolo_yaml"]

YOLO_YAML = ("data.yaml", "dataset.yaml")
"""How the file may be called."""

_MAX_BYTES = 1 << 20
_SHOWN = 200
"""Letters of what stands there that a message repeats."""


class _Words(Strict, yaml.BaseLoader):
    """Every value as the text that stands there: a class may be called ``no``, ``on`` or ``1:30``."""

    read = "a data.yaml"


def read_yolo_yaml(root: Path) -> dict[str, Any]:
    """What the folder's file says; empty where there is none.

    Raises:
        DataError: for a file that is no YAML, says nothing of a data set, or is too large.
    """
    file = next((root / name for name in YOLO_YAML if (root / name).is_file()), None)
    if file is None:
        return {}
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise DataError(
                "this file is too large",
                where=str(file),
                got=f"{file.stat().st_size} bytes",
                expected="names and paths",
            )
        told = yaml.load(file.read_text(encoding="utf-8-sig"), Loader=_Words)  # noqa: S506, TID251 - makes texts alone
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise DataError(
            "this is no YAML", where=str(file), got=str(error), expected="YAML that names the classes"
        ) from error
    if not isinstance(told, dict):
        raise DataError("this says nothing of a data set", where=str(file), expected="names: and train:, val:")
    return told


def class_names(told: dict[str, Any], root: Path) -> tuple[str, ...]:
    """The classes that a folder's file names, or its ``classes.txt`` where that names none.

    Args:
        told: As of :func:`read_yolo_yaml`.
        root: The folder.

    Raises:
        DataError: for no names, and for names that are neither a list nor numbered from 0 without a gap.
    """
    said = names = told.get("names")
    if said is None and (root / "classes.txt").is_file():
        names = read_lines(root / "classes.txt")
    if isinstance(names, dict) and set(names) == {str(number) for number in range(len(names))}:
        names = [names[str(number)] for number in range(len(names))]
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise DataError(
        "the classes are not named",
        where=str(root),
        got=None if said is None else f"names: {str(said)[:_SHOWN]}",
        expected="names: in data.yaml, a list or 0 to n-1, or a classes.txt with one a line",
    )
