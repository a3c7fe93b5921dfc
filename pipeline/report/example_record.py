"""A few test images with what is on them and what was found, as data."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ExampleEntry", "MarkEntry"]

_Side = Annotated[int, Field(gt=0)]


class MarkEntry(BaseModel):
    """A box on an image.

    Attributes:
        label: Name of its class.
        box: Left, top, right, bottom, in pixels of the upright image.
        score: How sure the model is; null of the truth.
        right: Whether an object of that class is there; null of the truth, and where it counts for nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    label: str
    box: tuple[float, float, float, float]
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    right: bool | None = None


class ExampleEntry(BaseModel):
    """One test image.

    Attributes:
        image: Its name within the data.
        size: Its width and height in pixels.
        picture: A small copy of it, a JPEG file in base64.
        alike: Whether the baseline and what is shipped found the same.
        truth: What is on it.
        baseline: What the network found as it was given.
        shipped: What was found by what the bundle holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str
    size: tuple[_Side, _Side]
    picture: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
    alike: bool
    truth: tuple[MarkEntry, ...]
    baseline: tuple[MarkEntry, ...]
    shipped: tuple[MarkEntry, ...]
