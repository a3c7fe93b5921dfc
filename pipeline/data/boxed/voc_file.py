"""One of Pascal VOC's XML files: what it says of an image, with the lines where it says it.

The parser is Python's own expat, which tells lines. A file that declares a document type is refused before anything in
it is looked at, so that there are no entities: neither such that grow nor such that name other files.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from xml.parsers import expat

from pipeline.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NotVocError", "VocAnnotation", "VocObject", "read_voc_file"]

_MAX_BYTES = 8 << 20
"""Of one file: 25,000 objects."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class NotVocError(Exception):
    """A file that says nothing of an image; its text says why, with the line."""


@dataclass(frozen=True, slots=True)
class VocObject:
    """One object, as the file says it.

    Attributes:
        line: Where its box begins, or where it does itself.
        corners: xmin, ymin, xmax, ymax; not a number where there is none.
    """

    line: int
    name: str = ""
    corners: tuple[float, float, float, float] = (float("nan"),) * 4
    difficult: bool = False


@dataclass(slots=True)
class VocAnnotation:
    """What a file says of one image.

    Attributes:
        filename: Of the image, without folders; empty where the file does not say it.
        size: Width and height; None where it does not say them.
    """

    filename: str = ""
    size: tuple[int, int] | None = None
    objects: list[VocObject] = field(default_factory=list)


def read_voc_file(file: Path) -> VocAnnotation:
    """Read it.

    Raises:
        NotVocError: when it is no XML, or no annotation.
        DataError: when it is too large or declares a document type.
    """
    if not file.is_file():
        raise NotVocError("is no plain file")
    if file.stat().st_size > _MAX_BYTES:
        raise DataError(
            "this file of annotations is too large",
            where=str(file),
            got=f"{file.stat().st_size} bytes",
            expected=f"at most {_MAX_BYTES}, of one image",
        )
    reader = _Reader(file)
    try:
        reader.parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        raise NotVocError(f"line {error.lineno}: is no XML ({expat.ErrorString(error.code)})") from error
    except (LookupError, ValueError) as error:
        raise NotVocError(f"is in an encoding that is not read ({error}): save it as UTF-8") from error
    except OSError as error:
        raise NotVocError(f"cannot be read ({error.strerror})") from error
    return reader.found


class _Reader:
    """Takes of what expat tells what says something of the image."""

    def __init__(self, file: Path) -> None:
        self.found = VocAnnotation()
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._take
        self.parser.StartDoctypeDeclHandler = self._refuse
        self._file = file
        self._path: list[str] = []
        self._text = ""
        self._corners: dict[str, float] = {}
        self._sides: dict[str, int] = {}

    def _refuse(self, name: str, *_: object) -> None:
        raise DataError(
            "this file of annotations declares a document type, which may name other files and grow without end",
            where=f"{self._file}, line {self.parser.CurrentLineNumber}",
            got=f"<!DOCTYPE {name[:40]}",
            expected="<annotation> alone, as Pascal VOC has it",
            fix="remove the declaration, if you know who wrote it",
        )

    def _start(self, tag: str, _: dict[str, str]) -> None:
        if not self._path and tag != "annotation":
            raise NotVocError(f"line {self.parser.CurrentLineNumber}: is no annotation but <{tag[:40]}>")
        self._path.append(tag)
        self._text = ""
        if self._path == ["annotation", "object"]:
            self.found.objects.append(VocObject(self.parser.CurrentLineNumber))
            self._corners = {}
        elif self._path == ["annotation", "object", "bndbox"]:
            self._change(line=self.parser.CurrentLineNumber)

    def _take(self, text: str) -> None:
        if len(self._path) <= 4:
            self._text += text

    def _end(self, tag: str) -> None:
        text = self._text.strip()
        match self._path[1:]:
            case ["filename"]:
                self.found.filename = text.replace("\\", "/").rpartition("/")[2]
            case ["size", "width" | "height"] if text.isdecimal():
                self._sides[tag] = int(text[:9])
            case ["size"]:
                sides = self._sides.get("width", 0), self._sides.get("height", 0)
                self.found.size = sides if all(sides) else None  # some tools write 0 for what they do not know
            case ["object", "name"]:
                self._change(name=text)
            case ["object", "difficult"]:
                self._change(difficult=text.lower() in {"1", "true"})
            case ["object", "bndbox", "xmin" | "ymin" | "xmax" | "ymax"]:
                self._corners[tag] = _number(text)
            case ["object", "bndbox"]:
                left, top, right, bottom = (self._corners.get(name, float("nan")) for name in _CORNERS)
                self._change(corners=(left, top, right, bottom))
        self._path.pop()
        self._text = ""

    def _change(self, **said: object) -> None:
        """Say more of the object that is being read."""
        self.found.objects[-1] = replace(self.found.objects[-1], **said)  # type: ignore[arg-type]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
