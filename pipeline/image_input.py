"""From an image file to the network's input: one definition for training, evaluation, calibration and the device.

What stands between the two markers is pure Pillow and numpy and is written verbatim into every bundle's ``run.py``, so
that the device computes bit for bit what was measured here.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - run.py has it at run time
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = [
    "IMAGE_FORMATS",
    "LARGEST_PIXELS",
    "READING",
    "boxes_in_image",
    "boxes_in_input",
    "load_image",
    "normalised",
    "preprocess_image",
    "upright_rgb",
]

READING = 2
"""Raised when images are refused that passed before: what was noted of them under an older rule is looked at again."""

# --- the bundle's run.py starts here ---
# What is read; Pillow knows more, and hands PostScript to another program.
IMAGE_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

# Of one image: 268 MB as RGB. It is the number from which Pillow warns of a decompression bomb.
LARGEST_PIXELS = 89_478_485


def load_image(path: str) -> Image.Image:
    """Read an image file as :func:`upright_rgb` makes it; of an animation its first picture.

    Raises OSError when it is not one of IMAGE_FORMATS or damaged, ValueError when it is no plain file, too large, or of
    pixels whose range nobody knows.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise ValueError("not a plain file")  # a pipe would be waited for
    try:
        # of a path Pillow maps a TIFF's pixels into memory, with rows as long as those of the turned image
        with Path(path).open("rb") as file, Image.open(file, formats=IMAGE_FORMATS) as opened:
            return upright_rgb(opened)
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(f"cannot identify image file {path!r}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"more than {LARGEST_PIXELS} pixels: make it smaller") from error


def upright_rgb(opened: Image.Image) -> Image.Image:
    """An opened image as 8-bit RGB: upright by its EXIF tag, 16-bit grey scaled instead of clipped.

    Raises ValueError when it is too large, or when its pixels have no known range: floats, integers beyond 16 bit, and
    those of a TIFF that Pillow does not read as what they mean.
    """
    if opened.width * opened.height > LARGEST_PIXELS:
        raise ValueError(f"{opened.width}x{opened.height} is more than {LARGEST_PIXELS} pixels: make it smaller")
    if opened.mode == "F":
        raise ValueError("floating-point pixels have no known range: save it with 8 or 16 bit")
    if opened.format == "TIFF":
        refuse_unknown_integers(opened)
    image = ImageOps.exif_transpose(opened)
    image.load()
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("integer pixels beyond 0 to 65535 have no known range: save it with 8 or 16 bit")
        image = Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8))
    image.info.pop("transparency", None)  # a table of a palette, which RGB has no use for
    return image.convert("RGB")


def refuse_unknown_integers(tiff: Image.Image) -> None:
    """Raise ValueError for pixels that Pillow hands on as they are stored, whatever the file says of them."""
    tags = getattr(tiff, "tag_v2", {})
    bits, signs, white_is_zero = max(tags.get(258, (1,))), tags.get(339, (1,)), tags.get(262) == 0
    if tiff.mode == "I" and bits > 16:  # of 16 bit with a sign it says I too, of PNG and PPM always
        raise ValueError("integer pixels of 32 bit have no known range: save it with 8 or 16 bit")
    if 2 in signs:
        raise ValueError("integer pixels with a sign have no known range: save it without")
    if tiff.mode.startswith("I") and bits < 16:
        raise ValueError(f"integer pixels of {bits} bit would be read as dark ones of 16: save it with 8 or 16 bit")
    if tiff.mode.startswith("I") and white_is_zero:
        raise ValueError("16-bit pixels of which zero is white would be read as a negative: save it with zero as black")


def preprocess_image(image: Image.Image, spec: dict[str, Any], dtype: str = "float32") -> NDArray[Any]:
    """The network's input for an RGB image, by the fields of ``preprocess.json``.

    Of type uint8 it is the image's bytes, (height, width, channels), which the graph normalises itself; of any other
    the normalised image, (channels, height, width). Channels are three, or one of a gray image.
    """
    height, width = spec["size"]
    wide, high, left, top = resized_and_cropped(image.size, spec)
    image = image.resize((wide, high), Image.Resampling[spec["interpolation"].upper()])
    if spec["resize"] == "letterbox":
        picture, image = image, Image.new("RGB", (width, height), (spec["fill"],) * 3)
        image.paste(picture, (-left, -top))
    elif spec["resize"] != "squash":
        image = image.crop((left, top, left + width, top + height))
    pixels = np.asarray(image)
    if spec["channels"] == "gray":
        pixels = np.asarray(image.convert("L"))[:, :, None]
    if spec["channels"] == "BGR":
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels) if dtype == "uint8" else normalised(pixels, spec)


def resized_and_cropped(size: tuple[int, int], spec: dict[str, Any]) -> tuple[int, int, int, int]:
    """Width and height that an image of a width and height is resized to, and left and top of what is cut out then.

    These are below zero where the picture of a letterbox begins later than the input.
    """
    height, width = spec["size"]
    if spec["resize"] == "squash":
        return width, height, 0, 0
    if spec["resize"] == "letterbox":
        scale = min(width / size[0], height / size[1])
        wide, high = (max(1, round(scale * side)) for side in size)
        in_corner = spec["place"] == "corner"
        return wide, high, 0 if in_corner else -((width - wide) // 2), 0 if in_corner else -((height - high) // 2)
    shorter, (wide, high) = spec["resize"], size
    if wide <= high:
        wide, high = shorter, max(shorter, int(shorter * high / wide))
    else:
        wide, high = max(shorter, int(shorter * wide / high)), shorter
    # Rounded as torchvision rounds it, which pads what is too small on the left first.
    left = round((wide - width) / 2) if wide >= width else -((width - wide) // 2)
    top = round((high - height) / 2) if high >= height else -((height - high) // 2)
    return wide, high, left, top


def boxes_in_input(boxes: NDArray[Any], size: tuple[int, int], spec: dict[str, Any]) -> NDArray[Any]:
    """Where boxes (n, 4) xyxy of an image of a width and height come to lie in the network's input."""
    wide, high, left, top = resized_and_cropped(size, spec)
    placed: NDArray[Any] = boxes * np.tile([wide / size[0], high / size[1]], 2) - np.tile([left, top], 2)
    return placed


def boxes_in_image(boxes: NDArray[Any], size: tuple[int, int], spec: dict[str, Any]) -> NDArray[Any]:
    """The inverse of boxes_in_input; what reaches beyond the image is cut off."""
    wide, high, left, top = resized_and_cropped(size, spec)
    placed: NDArray[Any] = (boxes + np.tile([left, top], 2)) / np.tile([wide / size[0], high / size[1]], 2)
    return placed.clip(0, np.tile(size, 2))


def normalised(pixels: NDArray[np.uint8], spec: dict[str, Any]) -> NDArray[np.float32]:
    """The bytes of an image, (height, width, channels), as float32 (channels, height, width)."""
    mean = np.asarray(spec["mean"], dtype=np.float32)
    std = np.asarray(spec["std"], dtype=np.float32)
    values = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1))


# --- the bundle's run.py ends here ---
