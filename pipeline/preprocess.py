"""How an image becomes the network's input, as recipes and bundles say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

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

from pipeline.image_input import load_image, preprocess_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CHANNELS", "OF_A_LETTERBOX", "PreprocessSpec", "Renormalisation"]

CHANNELS = {"RGB": 3, "BGR": 3, "gray": 1}
"""How many channels an input of each kind has."""

OF_A_LETTERBOX = frozenset(("fill", "place"))
"""Keys that say something of a letterbox alone."""

_Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Renormalisation:
    """From inputs of one mean and deviation to those of others.

    Attributes:
        scale: What each channel is multiplied by.
        offset: What is added to each then.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]


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
        """The same part of the image at another height and width: a shorter side changes in proportion.

        Where the ratio of the sides changes a little, as by rounding, less of it is seen: never anything beside it.
        """
        if size == self.size:
            return self
        resize = self.resize
        if isinstance(resize, int):
            resize = max(1, round(resize * max(now / was for now, was in zip(size, self.size, strict=True))))
        return self.model_copy(update={"size": size, "resize": resize})

    def resized(self, resize: int | str) -> PreprocessSpec:
        """The same with images resized otherwise; a letterbox has its customary grey, and its picture in the middle."""
        return PreprocessSpec.model_validate({**self.model_dump(exclude={*OF_A_LETTERBOX}), "resize": resize})

    def resized_as(self, other: PreprocessSpec) -> PreprocessSpec:
        """The same with images resized as another one resizes them, at this height and width."""
        theirs = other.at(self.size).model_dump(include={"resize", *OF_A_LETTERBOX})
        return PreprocessSpec.model_validate({**self.model_dump(exclude={"resize", *OF_A_LETTERBOX}), **theirs})

    def has_ratio_of(self, other: PreprocessSpec) -> bool:
        """Whether both inputs have sides of one ratio: what is turned or sheared in them stays at the same place."""
        return self.size[0] * other.size[1] == self.size[1] * other.size[0]

    def shows_as(self, other: PreprocessSpec) -> bool:
        """Whether a place has the same share of the input's sides in both, for images of any ratio."""
        one_ratio = self.has_ratio_of(other)
        # Of a larger input the smaller one's shorter side comes by rounding, and not back again.
        alike = self.resize == other.at(self.size).resize or self.at(other.size).resize == other.resize
        return self.place == other.place and alike and (one_ratio or self.resize == "squash")

    def renormalising(self, other: PreprocessSpec) -> Renormalisation | None:
        """From these inputs to those of another one with the same channels; None where they are normalised alike."""
        if (self.mean, self.std) == (other.mean, other.std):
            return None
        return Renormalisation(
            scale=tuple(a / b for a, b in zip(self.std, other.std, strict=True)),
            offset=tuple((a - b) / std for a, b, std in zip(self.mean, other.mean, other.std, strict=True)),
        )

    def part_shown(self) -> str:
        """Which part of an image is seen, in words."""
        place = f" in the {self.place}" if self.place is not None else ""
        return f"resize {self.resize}{place} for {self.size}"

    def load(self, path: str, dtype: str = "float32") -> NDArray[Any]:
        """The input for one image file, as an engine of that input type takes it: see ``pipeline.image_input``."""
        return preprocess_image(load_image(path), self.model_dump(mode="json"), dtype)
