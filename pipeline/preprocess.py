"""From an image file to the network's input: one definition for training, evaluation, calibration and the device.

The functions between the two markers are pure Pillow and numpy and are written verbatim into every bundle's
``run.py``, so that the device computes bit for bit what was measured here.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - run.py has it at run time
from PIL import Image, ImageOps
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

__all__ = [
    "CHANNELS",
    "IMAGE_FORMATS",
    "LARGEST_PIXELS",
    "OF_A_LETTERBOX",
    "PreprocessSpec",
    "boxes_in_image",
    "boxes_in_input",
    "load_image",
    "normalised",
    "preprocess_image",
    "upright_rgb",
]

CHANNELS = {"RGB": 3, "BGR": 3, "gray": 1}
"""How many channels an input of each kind has."""

OF_A_LETTERBOX = frozenset(("fill", "place"))
"""Keys that say something of a letterbox alone."""

_Positive = Annotated[float, Field(gt=0)]


class PreprocessSpec(BaseModel):
    """How an image becomes the network's input.

    The steps, in order: ``resize`` (to a shorter side, squash, or letterbox), ``crop`` from the centre or ``fill``
    around the picture, scale to [0, 1], subtract ``mean``, divide by ``std``, lay out as channels first, float32. An
    engine whose input is uint8 does all after the crop itself (``exporters.onnx_forms.bytes_input``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: tuple[PositiveInt, PositiveInt] = Field(description="height and width of the input in pixels")
    resize: PositiveInt | Literal["squash", "letterbox"] = Field(
        default="squash",
        description="length of the shorter side before the centre crop, 'squash': straight to size, ratio ignored, or "
        "'letterbox': the whole image as large as it fits, its ratio kept",
    )
    fill: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None, description="of a letterbox alone: the grey around the picture, 0 to 255; default 114"
    )
    place: Literal["centre", "corner"] | None = Field(
        default=None, description="of a letterbox alone: where the picture lies, 'corner' is top left; default centre"
    )
    mean: tuple[float, float, float] | tuple[float] = Field(
        default=(0.485, 0.456, 0.406), description="per channel, of [0, 1]"
    )
    std: tuple[_Positive, _Positive, _Positive] | tuple[_Positive] = Field(
        default=(0.229, 0.224, 0.225), description="per channel, of [0, 1]"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    channels: Literal["RGB", "BGR", "gray"] = Field(
        default="RGB", description="their order, or 'gray' for a network of one channel"
    )

    @field_validator("size", mode="before")
    @classmethod
    def _one_number_is_a_square(cls, value: Any) -> Any:  # noqa: ANN401 - raw input
        return (value, value) if isinstance(value, int) else value

    @model_validator(mode="before")
    @classmethod
    def _one_number_serves_all_channels(cls, fields: Any) -> Any:  # noqa: ANN401 - raw input
        """Also: what nobody said of a gray image is the mean of what colours have."""
        if not isinstance(fields, dict):
            return fields
        count, found = CHANNELS.get(fields.get("channels", "RGB"), 3), dict(fields)
        for name in ("mean", "std"):
            value = found.get(name)
            if isinstance(value, int | float):
                found[name] = (value,) * count
            elif value is None and count == 1:
                found[name] = (round(sum(cls.model_fields[name].default) / 3, 3),)
        return found

    @model_validator(mode="before")
    @classmethod
    def _a_letterbox_is_grey_and_centred(cls, fields: Any) -> Any:  # noqa: ANN401 - raw input
        """Unless somebody says otherwise: YOLOv5's grey, which the YOLOs since then were trained with."""
        if not isinstance(fields, dict) or fields.get("resize") != "letterbox":
            return fields
        said = {name: value for name, value in fields.items() if value is not None}
        return {"fill": 114, "place": "centre", **said}

    @model_serializer(mode="wrap")
    def _what_is_of_a_letterbox_alone_is_left_out(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """So that the records, and all that is kept under them, are what they were before there were letterboxes."""
        return {name: value for name, value in whole(self).items() if value is not None or name not in OF_A_LETTERBOX}

    @model_validator(mode="after")
    def _only_a_letterbox_is_filled(self) -> PreprocessSpec:
        if self.resize != "letterbox" and (self.fill, self.place) != (None, None):
            message = f"fill and place are of a letterbox, and resize is {self.resize}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _every_channel_has_its_own(self) -> PreprocessSpec:
        count = CHANNELS[self.channels]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != count:
                message = f"{name} has {len(values)} values, {self.channels} images have {count} channel(s)"
                raise ValueError(message)
        return self

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the network's input: (1, channels, height, width)."""
        return (1, CHANNELS[self.channels], *self.size)

    def at(self, size: tuple[int, int]) -> PreprocessSpec:
        """The same part of the image at another height and width: a shorter side changes in proportion."""
        if size == self.size:
            return self
        resize = self.resize
        if isinstance(resize, int):
            resize = max(1, round(resize * max(size) / max(self.size)))
        return self.model_copy(update={"size": size, "resize": resize})

    def resized(self, resize: int | str) -> PreprocessSpec:
        """The same with images resized otherwise; a letterbox has its customary grey, and its picture in the middle."""
        return PreprocessSpec.model_validate({**self.model_dump(exclude={*OF_A_LETTERBOX}), "resize": resize})

    def resized_as(self, other: PreprocessSpec) -> PreprocessSpec:
        """The same with images resized as another one resizes them, at this height and width."""
        theirs = other.at(self.size).model_dump(include={"resize", *OF_A_LETTERBOX})
        return PreprocessSpec.model_validate({**self.model_dump(exclude={"resize", *OF_A_LETTERBOX}), **theirs})

    def shows_as(self, other: PreprocessSpec) -> bool:
        """Whether a place has the same share of the input's sides in both, for images of any ratio."""
        theirs = other.at(self.size)
        one_ratio = self.size[0] * other.size[1] == self.size[1] * other.size[0]
        return (self.resize, self.place) == (theirs.resize, theirs.place) and (one_ratio or self.resize == "squash")

    def load(self, path: str, dtype: str = "float32") -> NDArray[Any]:
        """The input for one image file, as an engine of that input type takes it: see :func:`preprocess_image`."""
        return preprocess_image(load_image(path), self.model_dump(mode="json"), dtype)


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
        with Image.open(path, formats=IMAGE_FORMATS) as opened:
            return upright_rgb(opened)
    except Image.DecompressionBombError as error:
        raise ValueError(f"more than {LARGEST_PIXELS} pixels: make it smaller") from error


def upright_rgb(opened: Image.Image) -> Image.Image:
    """An opened image as 8-bit RGB: upright by its EXIF tag, 16-bit grey scaled instead of clipped.

    Raises ValueError when it is too large, or when its pixels have no known range: floats, integers beyond 16 bit.
    """
    if opened.width * opened.height > LARGEST_PIXELS:
        raise ValueError(f"{opened.width}x{opened.height} is more than {LARGEST_PIXELS} pixels: make it smaller")
    if opened.mode == "F":
        raise ValueError("floating-point pixels have no known range: save it with 8 or 16 bit")
    image = ImageOps.exif_transpose(opened)
    image.load()
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("integer pixels beyond 0 to 65535 have no known range: save it with 8 or 16 bit")
        image = Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8))
    image.info.pop("transparency", None)  # a table of a palette, which RGB has no use for
    return image.convert("RGB")


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
