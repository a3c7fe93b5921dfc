"""Which of several targets a network runs fastest on, on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline.planning.time_ratio import TimeRatio, comparison_key, time_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain

__all__ = ["Contender", "fastest"]

_RECORDS = "side-by-side"
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
    found = [_ratio(chain, other, first) for other in others]
    told = "; ".join(
        f"{other.target.name} {ratio.told(first.target.name)}" for other, ratio in zip(others, found, strict=True)
    )
    ratios = [one.ratio for one in found]
    if not ratios or min(ratios) >= _CLEARLY:
        return 0, told
    return 1 + ratios.index(min(ratios)), told


def _ratio(chain: Chain, other: Contender, base: Contender) -> TimeRatio:
    """Of their times, side by side; measured once for the same two engines on this machine."""
    distributions = (*base.target.distributions, *other.target.distributions)
    key = comparison_key(chain, base.engine, other.engine, distributions)
    with chain.store.exclusive(f"{_RECORDS}-{key}"):
        known = chain.store.get_record(_RECORDS, key)
        if known is not None:
            return TimeRatio(**known)
        ratio = time_ratio(chain, other.engine, base.engine)
        chain.store.put_record(_RECORDS, key, asdict(ratio))
    return ratio
