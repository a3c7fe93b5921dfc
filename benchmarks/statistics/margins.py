"""How much worse a candidate may be, metric by metric."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EFFORTS", "Effort", "Margins"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Margins:
    """Largest changes that are still fine. Relative for times and bytes, fractions of 1 for accuracy.

    Attributes:
        latency_p50: Of the median.
        latency_p90: Of the ninth decile, which is noisier.
        memory: Of what a process holds beyond the runtime itself; at least ``memory_bytes``.
        memory_bytes: Changes below this are no changes.
        size: Of the bundle's bytes, which are counted and not estimated.
        accuracy: Drop, such as 0.01 for one point.
        agreement: Least share of images on which both decide the same.
    """

    latency_p50: float = 0.02
    latency_p90: float = 0.05
    memory: float = 0.02
    memory_bytes: int = 1 << 20
    size: float = 0.0
    accuracy: float = 0.01
    agreement: float = 0.90

    def doubled(self) -> Margins:
        """For the comparison with the best accepted one, by which many small losses are seen."""
        return Margins(
            latency_p50=2 * self.latency_p50,
            latency_p90=2 * self.latency_p90,
            memory=2 * self.memory,
            memory_bytes=2 * self.memory_bytes,
            size=max(2 * self.size, 0.02),
            accuracy=2 * self.accuracy,
            agreement=2 * self.agreement - 1,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How much evidence is gathered.

    Attributes:
        processes: Pairs of processes in a look; half as many controls come with them.
        looks: A second look adds as many processes when the first could not decide.
        alpha: Chance of a wrong "regressed" or "improved" over all metrics and looks together.
        memory_processes: Fresh processes of each side for memory.
    """

    processes: int
    looks: int
    alpha: float
    memory_processes: int

    @property
    def look_alpha(self) -> float:
        """What each look may spend."""
        return self.alpha / self.looks


EFFORTS = {
    "quick": Effort(processes=7, looks=2, alpha=0.05, memory_processes=6),
    "default": Effort(processes=10, looks=2, alpha=0.05, memory_processes=6),
    "strict": Effort(processes=20, looks=2, alpha=0.01, memory_processes=10),
}
"""With fewer processes than these the smallest p-value there can be would not pass the correction for all metrics."""
