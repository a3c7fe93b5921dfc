"""What an image's header says of its sides and how it is turned; its pixels are not decoded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PIL import Image

from pipeline.image_input import IMAGE_FORMATS, LARGEST_PIXELS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MOVED", "TURNED", "size_and_orientation"]

MOVED = frozenset(range(2, 9))
"""Orientations of images that are mirrored or turned when they are brought upright."""

TURNED = frozenset((5, 6, 7, 8))
"""Orientations of images whose sides are exchanged when they are brought upright."""

_ORIENTATION = 274
"""The EXIF tag."""
_PNG_SIGNATURE = 8
"""Bytes before the first chunk."""
_CHECKSUM = 4
"""Bytes behind every chunk."""
_SAY_HOW_IT_IS_TURNED = frozenset((b"eXIf", b"iTXt", b"tEXt", b"zTXt"))
"""Chunks of PNG that can: EXIF itself, and texts that hold it or XMP."""


def size_and_orientation(path: Path) -> tuple[tuple[int, int], int]:
    """Width and height as they are stored, and the EXIF tag's value, 1 where there is none.

    Raises:
        Exception: whatever a decoder raises on a broken file; ValueError for an image that is too large.
    """
    with Image.open(path, formats=IMAGE_FORMATS) as opened:
        if opened.width * opened.height > LARGEST_PIXELS:
            message = f"{opened.width}x{opened.height} is more than {LARGEST_PIXELS} pixels: make it smaller"
            raise ValueError(message)
        # Pillow decodes a PNG whole to find what stands behind its pixels, which hardly any file has.
        whole = opened.format != "PNG" or _is_told_behind_the_pixels(path)
        exif = opened.getexif() if whole else Image.Image.getexif(opened)
        orientation = int(exif.get(_ORIENTATION, 1))
        # Of a TIFF Pillow says the upright sides at once.
        upright_already = opened.format == "TIFF" and orientation in TURNED
        return opened.size[::-1] if upright_already else opened.size, orientation


def _is_told_behind_the_pixels(path: Path) -> bool:
    """Whether a PNG has a chunk there that may say how it is turned."""
    behind = False
    with path.open("rb") as file:
        file.seek(_PNG_SIGNATURE)
        while len(head := file.read(8)) == 8:
            kind = head[4:]
            behind = behind or kind == b"IDAT"
            if behind and kind in _SAY_HOW_IT_IS_TURNED:
                return True
            file.seek(int.from_bytes(head[:4]) + _CHECKSUM, os.SEEK_CUR)
    return False
