"""Losses on the feature pyramids of detectors: levels of student and teacher, found by their resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.tasks.detection.deployable.geometry import by_level
from pipeline.tasks.distillation.pkd import uncorrelated
from pipeline.training.beside import Beside, shares_of
from pipeline.training.teacher_pyramids import backbone_of, pyramid_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.training.images import Batch
    from pipeline.training.teacher_pyramids import TeacherPyramids

__all__ = ["OF_PYRAMIDS", "LevelPair", "PyramidLosses", "pairs_of_levels"]

OF_PYRAMIDS = "pkd"


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelPair:
    """Two levels that are compared.

    Attributes:
        student: Name of the level in the student's pyramid.
        teacher: Name of the level in the teacher's.
        channels: Of each.
    """

    student: str
    teacher: str
    channels: tuple[int, int]


def pairs_of_levels(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[LevelPair]:
    """For every resolution that both pyramids have, the last level of each that has it; 1x1 has no pattern.

    Args:
        ours: Level by name, (batch, channels, height, width).
        theirs: Likewise, of the same inputs.

    Raises:
        UsageError: when they have none in common.
    """
    sizes = [{tuple(one.shape[2:]): name for name, one in levels.items()} for levels in (ours, theirs)]
    common = [size for size in sizes[0] if size in sizes[1] and min(size) > 1]
    if not common:
        raise UsageError(
            "the pyramids of student and teacher have no level of the same resolution, so that none can be compared",
            got=f"{sorted(sizes[0])} and {sorted(sizes[1])}",
            fix="leave 'pkd' out of distill.losses, or take a teacher of the same strides",
        )
    names = [(sizes[0][size], sizes[1][size]) for size in common]
    return [
        LevelPair(student=own, teacher=other, channels=(ours[own].shape[1], theirs[other].shape[1]))
        for own, other in names
    ]


class PyramidLosses(nn.Module):
    """What the levels of the student's pyramid lack to those of the teachers', watched while the student runs.

    ``pkd``: see :func:`pipeline.tasks.distillation.pkd.uncorrelated`, added up over the levels, after a learned 1x1
    projection of the student's channels where the teacher has another number of them.

    Args:
        student: Is watched; the hook stays as long as this object. Ends in evaluation mode.
        teachers: Run beside it.
        images: A few inputs, to find the pairs by.
        weight: Of the loss.
        shares: Of each teacher in it, adding up to 1; none: all alike.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: TeacherPyramids,
        images: Tensor,
        weight: float,
        shares: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self._weight = weight
        self._shares = shares or shares_of([Beside()] * len(teachers.networks))
        self._teachers = teachers
        with torch.no_grad():
            ours = pyramid_of(student.eval(), images)
        self.pairs = [pairs_of_levels(ours, theirs) for theirs in teachers.of(images)]
        self._seen: Mapping[str, Tensor] = {}
        # no bound method: a copy of the student would take a copy of this object with it, and of the teachers
        self._hook = backbone_of(student).register_forward_hook(lambda _module, _inputs, output: self._see(output))
        with torch.random.fork_rng(devices=[]):  # the same call trains to the same bits, whatever was drawn before
            torch.manual_seed(0)
            self.projections = nn.ModuleList(
                nn.Identity() if len(set(pair.channels)) == 1 else nn.Conv2d(*pair.channels, kernel_size=1, bias=False)
                for pairs in self.pairs
                for pair in pairs
            )

    def forward(self, batch: Batch) -> Tensor:
        """A scalar, after the student has run on the batch."""
        total = batch.inputs.new_zeros(())
        projections = iter(self.projections)
        ours = self._seen
        for theirs, pairs, share in zip(self._teachers.of(batch.inputs), self.pairs, self._shares, strict=True):
            for pair in pairs:
                projected = next(projections)(ours[pair.student])
                total = total + share * uncorrelated(projected.float(), theirs[pair.teacher].float())
        return self._weight * total

    def release(self) -> None:
        """Watch no longer; the student is as it was, and the teachers are on the CPU."""
        self._hook.remove()
        self._teachers.release()

    def _see(self, output: Any) -> None:  # noqa: ANN401 - levels, or one alone
        self._seen = by_level(output)
