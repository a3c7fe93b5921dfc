"""What a recipe says of the input, over what is known otherwise; light to import."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from pipeline.preprocess import CHANNELS, PreprocessSpec

__all__ = ["InputSection"]


class InputSection(BaseModel):
    """Overrides of the preprocessing; what is not given comes from the weights' own recipe or the data."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        default=None, description="pixels: one side, or [height, width]"
    )
    resize: PositiveInt | Literal["squash"] | None = Field(
        default=None, description="shorter side before the centre crop, or 'squash' straight to size"
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

    def over(self, base: PreprocessSpec) -> PreprocessSpec:
        """``base`` with what is given here in its place."""
        return PreprocessSpec.model_validate({**base.model_dump(), **self._fitting(base)})

    def _fitting(self, base: PreprocessSpec) -> dict[str, Any]:
        """What is given, and the base's mean and deviation for another number of channels."""
        given = self.model_dump(exclude_none=True)
        count = CHANNELS[self.channels or base.channels]
        for name, values in (("mean", base.mean), ("std", base.std)):
            if len(values) != count:
                given.setdefault(name, round(sum(values) / len(values), 3))
        return given
