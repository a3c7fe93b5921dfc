"""Losses that look into the networks, all that a recipe asks for: on layers, on feature pyramids, on heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import nn

from pipeline.errors import UsageError
from pipeline.tasks.distillation.teaching import INSIDE, OF_LAYERS
from pipeline.training.beside import Beside, shares_of
from pipeline.training.feature_pairs import FeatureLosses
from pipeline.training.head_losses import OF_HEADS, HeadLosses
from pipeline.training.pyramid_losses import OF_PYRAMIDS, PyramidLosses
from pipeline.training.teacher_pyramids import TeacherPyramids

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.training.images import Batch

__all__ = ["InsideLosses", "LookedAt", "inside_losses"]

_LOOKED_AT = 2
"""Images by which layers are paired."""


class LookedAt(Protocol):
    """As much of the training images as is looked at before the training."""

    def first(self, count: int) -> Tensor:
        """Inputs, (count, channels, height, width)."""
        ...


class InsideLosses(nn.Module):
    """Several of them, added up.

    Args:
        parts: That watch the student.
    """

    def __init__(self, parts: Sequence[FeatureLosses | PyramidLosses | HeadLosses]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, batch: Batch) -> Tensor:
        """A scalar, after the student has run on the batch."""
        total = batch.inputs.new_zeros(())
        for part in self.parts:
            total = total + part(batch)
        return total

    def release(self) -> None:
        """Watch no longer; the student is as it was."""
        for part in self.parts:
            part.release()  # type: ignore[operator] # each has one


def inside_losses(
    teaching: Teaching,
    student: nn.Module,
    teachers: Callable[[], Sequence[nn.Module]],
    images: LookedAt,
    beside: Sequence[Beside] = (),
) -> InsideLosses | None:
    """What of the losses looks inside, ready to watch the student; None where nothing does.

    Args:
        teaching: Names the losses, of all kinds, with their weights.
        student: Is watched.
        teachers: Loads those networks that are there; called where they are needed.
        images: Of the training.
        beside: What is to be known of each of those networks; none: nothing.

    Raises:
        UsageError: when networks are to be compared and no teacher's is there, or none has anything that fits.
    """
    wanted = {str(name): weight for name, weight in teaching.losses.items() if name in INSIDE}
    if not wanted:
        return None
    networks = teachers()
    if not networks:
        raise UsageError(
            "what is inside can be compared with a teacher's network only, and there are answers alone",
            got=f"losses has {', '.join(wanted)}",
            fix="leave them out, or name a network as teacher",
        )
    shown = images.first(_LOOKED_AT)
    beside = beside or [Beside()] * len(networks)
    shares = shares_of(beside)
    parts: list[FeatureLosses | PyramidLosses | HeadLosses] = []
    if of_layers := {name: wanted[name] for name in OF_LAYERS if name in wanted}:
        parts.append(FeatureLosses(student, networks, shown, of_layers, beside))
    pyramids = TeacherPyramids(networks, [one.change for one in beside])
    if OF_PYRAMIDS in wanted:
        parts.append(PyramidLosses(student, pyramids, shown, wanted[OF_PYRAMIDS], shares))
    if of_heads := {name: wanted[name] for name in OF_HEADS if name in wanted}:
        parts.append(HeadLosses(student, pyramids, shown, of_heads, shares))
    return InsideLosses(parts)
