"""Boxes drawn onto images, and where the pictures go: a part of every detector's ``run.py``."""

import io
import os
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Pictures", "drawn"]

# --- the bundle's run.py starts here ---
# Okabe and Ito's, which colour-blind people tell apart, each with what is read on it; light and dark in turn. The class
# is written beside.
COLOURS = (
    ("#0072b2", "white"),
    ("#e69f00", "black"),
    ("#d55e00", "white"),
    ("#56b4e9", "black"),
    ("#009e73", "white"),
    ("#cc79a7", "black"),
    ("#f0e442", "black"),
)

PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}


def drawn(image: Image.Image, found: list[dict[str, Any]]) -> Image.Image:
    """A copy of an upright image with what was found on it: box, class, score; the likeliest on top."""
    picture = image.copy()
    pen = ImageDraw.Draw(picture)
    longest = max(picture.size)
    thick, letters = max(1, longest // 200), label_font(max(10, longest // 45))
    for one in reversed(found):
        colour, ink = COLOURS[one["index"] % len(COLOURS)]
        left, top, right, bottom = one["box"]
        right, bottom = max(left, right), max(top, bottom)  # INT8 can turn the tiniest ones inside out
        pen.rectangle((left - thick, top - thick, right + thick, bottom + thick), outline="white", width=3 * thick)
        pen.rectangle((left, top, right, bottom), outline=colour, width=thick)
        text = f"{one['class']} {100 * one['score']:.0f} %"
        if not isinstance(letters, ImageFont.FreeTypeFont):
            text = text.encode("latin-1", "replace").decode("latin-1")
        _, _, wide, high = pen.textbbox((0, 0), text, font=letters)
        wide += 2 * thick
        x = max(0, min(left, picture.width - wide))
        y = top - high - thick if top >= high + thick else top + thick
        pen.rectangle((x, y, x + wide, y + high), fill=colour)
        pen.text((x + thick, y), text, fill=ink, font=letters)
    return picture


def label_font(size: int) -> Any:  # noqa: ANN401 - of either kind
    """Pillow's own letters; before version 10.1, and where it was built without FreeType, those of one small size."""
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError):
        return ImageFont.load_default()


def file_at(path: str) -> "tuple[int, int] | None":
    """Which file lies there, whatever it is called; None where none does."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


class Pictures:
    """Where pictures go: the place is a file, or where there are several a folder that gets one an image.

    Raises ValueError for a file of no known format, for a file where a folder is needed, and where a picture would
    replace one of the images, which may not have been read yet.
    """

    def __init__(self, place: str, *, several: bool, images: "list[str]") -> None:
        self._place, self._taken = Path(place), set[str]()
        self._in_folder = several or place.endswith(("/", os.sep)) or self._place.is_dir()
        if self._in_folder:
            if not self._place.is_dir() and (self._place.exists() or self._place.suffix.lower() in PICTURE_FORMATS):
                raise ValueError(f"{place} names a file, and there are several pictures: name a folder")
            self._place.mkdir(parents=True, exist_ok=True)
        elif self._place.suffix.lower() not in PICTURE_FORMATS:
            raise ValueError(f"{place} should end in one of {', '.join(PICTURE_FORMATS)}")
        else:
            self._place.parent.mkdir(parents=True, exist_ok=True)
        asked = {file_at(one) for one in images} - {None}
        for path in [self._path_of(Path(one).stem) for one in images]:
            if file_at(str(path)) in asked:
                raise ValueError(f"{path}: it would replace the image: choose another place")
        self._taken.clear()

    def save(self, picture: Image.Image, *, of: str, frame: "int | None" = None) -> Path:
        """Write the picture of an image, or of a film's frame, and say where; the second of one name gets a number.

        Raises OSError where it cannot be written.
        """
        path = self._path_of(Path(of).stem + ("" if frame is None else f"-{frame:06}"))
        encoded = io.BytesIO()
        picture.save(encoded, PICTURE_FORMATS[path.suffix.lower()])
        unfinished = path.with_name(path.name + ".part")
        try:
            unfinished.write_bytes(encoded.getvalue())
            os.replace(unfinished, path)
        finally:
            if unfinished.exists():
                unfinished.unlink()
        return path

    def _path_of(self, stem: str) -> Path:
        if not self._in_folder:
            return self._place
        chosen, number = stem, 1
        while chosen in self._taken:
            number += 1
            chosen = f"{stem}-{number}"
        self._taken.add(chosen)
        return self._place / f"{chosen}.png"


# --- the bundle's run.py ends here ---
