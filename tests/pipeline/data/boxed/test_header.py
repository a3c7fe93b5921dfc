"""Sides and orientation come from an image's header: its pixels are not decoded, and PostScript is not run."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from pipeline.data.boxed.header import size_and_orientation

if TYPE_CHECKING:
    from pathlib import Path


def _turned(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = value
    return exif


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_the_header_says_how_an_image_is_turned(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / name, exif=_turned(6))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    assert size_and_orientation(tmp_path / name) == ((60, 40), 6)


def test_a_png_without_exif_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", lambda _: pytest.fail("decoded"))
    assert size_and_orientation(tmp_path / "a.png") == ((60, 40), 1)


def test_what_stands_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    content, exif = (tmp_path / "a.png").read_bytes(), b"eXIf" + _turned(8).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(exif) - 4) + exif + struct.pack(">I", zlib.crc32(exif))
    (tmp_path / "a.png").write_bytes(content[:-12] + chunk + content[-12:])
    assert size_and_orientation(tmp_path / "a.png") == ((60, 40), 8)


def test_postscript_is_not_opened(tmp_path: Path) -> None:
    text = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "a.jpg").write_text(text, encoding="ascii")
    with Image.open(tmp_path / "a.jpg") as known:
        assert known.format == "EPS"
    with pytest.raises(UnidentifiedImageError):
        size_and_orientation(tmp_path / "a.jpg")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_that_is_too_large_is_refused_by_its_header(tmp_path: Path) -> None:
    Image.new("1", (10_000, 9_000)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="10000x9000 is more than"):
        size_and_orientation(tmp_path / "a.png")
