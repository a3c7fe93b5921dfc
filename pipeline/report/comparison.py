"""The gate's result as data: what every metric did, by which evidence, and whether the machine could tell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Comparison", "Difference", "MetricRow", "ProcessPoint", "Verdict"]


class Verdict(StrEnum):
    """What can be said of a metric, or of all of them."""

    OK = "ok"
    """Shown to be not worse than the margin."""
    IMPROVED = "improved"
    """Shown to be better by more than the margin."""
    REGRESSED = "regressed"
    """Shown to be worse by more than the margin."""
    INCONCLUSIVE = "inconclusive"
    """The interval holds the margin: more processes or a quieter machine would tell."""
    UNFIT = "unfit"
    """The machine was too noisy to judge by."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MetricRow(_Record):
    """One metric of the candidate against the baseline. Positive changes are worse.

    Attributes:
        name: Such as ``latency p50``.
        unit: Of ``baseline`` and ``candidate``: ``s``, ``B``, or ``1`` for fractions and counts.
        change: Estimate: relative for latency, memory and size, difference for accuracy and agreement.
        low: One-sided lower bound of the change; null where there is no interval.
        high: One-sided upper bound.
        limit: The margin.
        level: Of each bound, such as 0.975.
        method: How it was judged.
        gating: Whether it counts for the whole verdict.
        p_worse: P-value against "not worse than the margin"; null where counted exactly.
        waived: Reason of the waiver that lets a regression pass.
        note: What should be known of it.
    """

    name: str
    unit: Literal["s", "B", "1"]
    baseline: float | None
    candidate: float | None
    change: float | None
    low: float | None = None
    high: float | None = None
    limit: float
    level: float | None = None
    method: str
    verdict: Verdict
    gating: bool = True
    p_worse: float | None = None
    waived: str | None = None
    note: str = ""


class ProcessPoint(_Record):
    """One process of the paired measurement, and the machine meanwhile."""

    kind: Literal["pair", "control"]
    position: int
    pairs: int
    p50_change: float
    p90_change: float
    baseline_p50_s: float
    other_p50_s: float
    pressure: float | None = None
    others: float | None = None
    steal: float | None = None
    mhz: float | None = None


class Difference(_Record):
    """Something of the environments or bundles that is not the same on both sides."""

    what: str
    baseline: str
    candidate: str


class Comparison(_Record):
    """A whole gate.

    Attributes:
        baseline: Identity of the baseline's bundle.
        candidate: Identity of the candidate's bundle.
        against: What the baseline is: ``given``, ``accepted`` or ``best accepted``.
        verdict: Of all gating metrics together.
        sentence: One line: verdict, the change that decides, its interval, the limit.
        exit_code: What the command ends with.
        control_change: What the baseline against itself came out as: what no difference looks like on this machine.
        control_low: Lower bound of that.
        control_high: Upper bound.
        looks: How often it was decided; more processes are added once when the first look is inconclusive.
        unfit: Why the machine cannot be judged by; empty when it can.
        missing: Cases and metrics the baseline has and the candidate lacks.
    """

    baseline: str
    candidate: str
    against: Literal["given", "accepted", "best accepted"] = "given"
    verdict: Verdict
    sentence: str
    exit_code: int
    metrics: tuple[MetricRow, ...]
    processes: tuple[ProcessPoint, ...] = ()
    control_change: float | None = None
    control_low: float | None = None
    control_high: float | None = None
    looks: Annotated[int, Field(ge=0)] = 1
    unfit: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    wall_s: float | None = None

    def metric(self, name: str) -> MetricRow | None:
        """The row of that name."""
        return next((row for row in self.metrics if row.name == name), None)
