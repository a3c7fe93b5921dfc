"""What is to be known of a teacher's network that runs beside its student."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.preprocess import Renormalisation

__all__ = ["Beside", "shares_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """A teacher.

    Attributes:
        pairs: Layers that are named to be compared, the student's to the teacher's; none: by resolution.
        change: How it wants what the student is fed; None: as it is.
        weight: What it says counts so much beside what others say.
    """

    pairs: Mapping[str, str] = field(default_factory=dict)
    change: Renormalisation | None = None
    weight: float = 1.0


def shares_of(teachers: Sequence[Beside]) -> list[float]:
    """What each is of all: they add up to 1."""
    whole = sum(one.weight for one in teachers)
    return [one.weight / whole for one in teachers]
