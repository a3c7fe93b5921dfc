"""PNG files whose bytes are the same whatever version of an image library is installed."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.session import Array

__all__ = ["grey_png"]


def grey_png(pixels: Array) -> bytes:
    """An uncompressed 8-bit grey PNG of an image, uint8 (height, width).

    Source: PNG specification, third edition, https://www.w3.org/TR/png-3/.
    """
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    body = (
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)
