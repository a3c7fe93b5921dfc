"""Which of several targets a network runs fastest on, on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.planning.time_ratio import kept_time_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain

__all__ = ["Contender", "fastest"]

_CLEARLY = 0.98
"""The first contender stays unless another one takes less than this share of its time: what can be told apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A target and the engine that would be shipped for it."""

    target: Target
    engine: Artifact


def fastest(chain: Chain, contenders: Sequence[Contender]) -> tuple[int, str]:
    """Number of the contender to ship, and the figures that say so.

    Args:
        chain: The run.
        contenders: At least one; the first is kept where none is clearly faster.
    """
    first, *others = contenders
    found = [
        kept_time_ratio(chain, other.engine, first.engine, (*first.target.distributions, *other.target.distributions))
        for other in others
    ]
    told = "; ".join(
        f"{other.target.name} {ratio.told(first.target.name)}" for other, ratio in zip(others, found, strict=True)
    )
    ratios = [one.ratio for one in found]
    if not ratios or min(ratios) >= _CLEARLY:
        return 0, told
    return 1 + ratios.index(min(ratios)), told
