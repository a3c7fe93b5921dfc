"""What a recipe says of the input, over what is known otherwise; light to import."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, SerializerFunctionWrapHandler, model_serializer

from pipeline.errors import UsageError
from pipeline.preprocess import CHANNELS, OF_A_LETTERBOX, PreprocessSpec

__all__ = ["InputSection"]


class InputSection(BaseModel):
    """Overrides of the preprocessing; what is not given comes from the weights' own recipe or the data."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        default=None, description="pixels: one side, or [height, width]"
    )
    resize: PositiveInt | Literal["squash", "letterbox"] | None = Field(
        default=None,
        description="shorter side before the centre crop, 'squash' straight to size, or 'letterbox': the whole image "
        "as large as it fits",
    )
    fill: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None, description="the grey around a letterbox's picture, 0 to 255; default 114"
    )
    place: Literal["centre", "corner"] | None = Field(
        default=None, description="where a letterbox's picture lies: centre, or corner (top left); default centre"
    )
    mean: float | tuple[float, float, float] | tuple[float] | None = Field(
        default=None, description="subtracted from every channel, of [0, 1]; one number serves all"
    )
    std: float | tuple[float, float, float] | tuple[float] | None = Field(
        default=None, description="every channel is divided by it, of [0, 1]; one number serves all"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = Field(
        default=None, description="how images are resized: nearest, bilinear, bicubic or lanczos"
    )
    channels: Literal["RGB", "BGR", "gray"] | None = Field(
        default=None, description="their order, or 'gray' for a network of one channel"
    )

    @model_serializer(mode="wrap")
    def _what_is_of_a_letterbox_alone_is_left_out(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Where nothing is said of it, as in the preprocessing itself."""
        return {name: value for name, value in whole(self).items() if value is not None or name not in OF_A_LETTERBOX}

    def over(self, base: PreprocessSpec) -> PreprocessSpec:
        """``base`` with what is given here in its place.

        Raises:
            UsageError: for what is said of a letterbox where images are resized otherwise.
        """
        kept, resize = base.model_dump(), self.resize or base.resize
        if resize != "letterbox":
            kept = {name: value for name, value in kept.items() if name not in OF_A_LETTERBOX}
            self._refuse_letterboxing(resize)
        return PreprocessSpec.model_validate({**kept, **self._fitting(base)})

    def _refuse_letterboxing(self, resize: int | str) -> None:
        for name in sorted(OF_A_LETTERBOX):
            if (said := getattr(self, name)) is not None:
                raise UsageError(
                    "this is said of a letterbox, and images are resized otherwise",
                    where=f"input.{name}",
                    got=f"{said}, and input.resize = {resize}",
                    fix="set input.resize=letterbox, or leave it out",
                )

    def _fitting(self, base: PreprocessSpec) -> dict[str, Any]:
        """What is given, and the base's mean and deviation for another number of channels."""
        given = self.model_dump(exclude_none=True)
        count = CHANNELS[self.channels or base.channels]
        for name, values in (("mean", base.mean), ("std", base.std)):
            if len(values) != count:
                given.setdefault(name, round(sum(values) / len(values), 3))
        return given
