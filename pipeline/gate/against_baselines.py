"""Judging a candidate by what was accepted before: the current baseline, and the best one lately."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.solo import QUICK
from benchmarks.statistics.margins import EFFORTS
from benchmarks.workers.workplace import HERE
from pipeline.gate.baselines.history import Figures, HistoryLine
from pipeline.gate.baselines.shelf import case_of
from pipeline.gate.baselines.waivers import apply_waivers, read_waivers
from pipeline.gate.two_bundles import GateOptions, comparable, decided, gate
from pipeline.measuring.bundle_measurement import loaded_bytes, measure_bundle
from pipeline.report.comparison import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.devices.device import Device
    from pipeline.gate.baselines.history import History
    from pipeline.gate.baselines.shelf import Shelf
    from pipeline.gate.baselines.waivers import Waiver
    from pipeline.progress import Progress
    from pipeline.report.comparison import Comparison, MetricRow

__all__ = ["Judgement", "accept", "judge"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a case came out as.

    Attributes:
        comparison: With the accepted baseline.
        best: With the best one accepted lately, at twice the margins; None when that is the accepted one.
        history: Of the case.
    """

    comparison: Comparison
    best: Comparison | None
    history: History

    @property
    def deciding(self) -> Comparison:
        """The comparison whose verdict counts: the one with the worse exit code, the accepted one when they agree."""
        both = [one for one in (self.comparison, self.best) if one is not None]
        severity = (8, 1, 4, 3, 0)
        return min(both, key=lambda one: severity.index(one.exit_code))


def judge(shelf: Shelf, candidate: Bundle, dataset: Dataset, options: GateOptions, progress: Progress) -> Judgement:
    """Run the accepted baseline beside the candidate, then the best accepted one if that is another.

    Many small losses, each within its margin, add up against the best one and are seen there.

    Raises:
        BaselineError: when nothing was accepted for the candidate's case.
        IntegrityError: when the baseline is damaged.
        RecipeError: when the waivers cannot be read.
    """
    case = case_of(candidate)
    accepted = shelf.accepted(case)
    history = shelf.history(case)
    assert history is not None  # noqa: S101 - something is accepted
    waivers = [waiver for root in (shelf.root, shelf.above) if root for waiver in read_waivers(root)]
    # whatever is wrong with them is told before the work
    best = shelf.best(case, among=lambda accepted: comparable(accepted, candidate))
    comparison = _waived(gate(accepted, candidate, dataset, options, progress), waivers, case)
    comparison = decided(
        comparison.model_copy(update={"against": "accepted", "missing": _missing(history, comparison.metrics)}),
        candidate,
    )
    best_comparison = None
    if best is not None:
        found = gate(best, candidate, dataset, replace(options, margins=options.margins.doubled()), progress)
        found = decided(_waived(found, waivers, case), candidate)
        best_comparison = found.model_copy(
            update={"against": "best accepted", "sentence": f"against the best accepted lately: {found.sentence}"}
        )
    return Judgement(comparison=comparison, best=best_comparison, history=history)


def _waived(found: Comparison, waivers: Sequence[Waiver], case: str) -> Comparison:
    rows = apply_waivers(found.metrics, waivers, case=case, today=datetime.now(UTC).date())
    return found.model_copy(update={"metrics": rows})


def _missing(history: History, rows: tuple[MetricRow, ...]) -> tuple[str, ...]:
    """Metrics that the accepted bundle had and the candidate was not measured in."""
    measured = {row.name: row.candidate for row in rows}
    figures = history.current.figures
    had = {"memory": figures.memory_bytes, "latency p50": figures.latency_p50_s, "latency p90": figures.latency_p90_s}
    return tuple(name for name, value in had.items() if value is not None and measured.get(name) is None)


def accept(  # noqa: PLR0913 - what, where it stands, why, when, measured where
    shelf: Shelf,
    bundle: Bundle,
    dataset: Dataset,
    progress: Progress,
    *,
    reason: str,
    now: datetime | None = None,
    device: Device | None = None,
) -> tuple[str, HistoryLine]:
    """Make a bundle the baseline of its case; returns the case and the line that was added.

    It is measured alone, for the history's figures, and beside what was accepted before, for the change; not beside a
    bundle for other classes, of which it is no change.

    Args:
        shelf: Of the machine that it is measured on.
        bundle: Verified.
        dataset: To measure with.
        progress: Told of the work.
        reason: Why; kept.
        now: Kept.
        device: Where it is measured, connected; None: here.

    Raises:
        IntegrityError: when the history is damaged.
        BaselineError: when somebody accepted another bundle meanwhile.
    """
    case = case_of(bundle)
    history = shelf.history(case)
    measured = measure_bundle(bundle, dataset, QUICK, progress, device=device)
    comparison = None
    accepted = None if history is None or history.current.bundle == bundle.sha256 else shelf.accepted(case)
    if accepted is not None and comparable(accepted, bundle):
        options = GateOptions(effort=EFFORTS["quick"], place=device or HERE)
        comparison = gate(accepted, bundle, dataset, options, progress)
    latency, _ = measured.solo.latency()
    memory, _ = measured.solo.memory_bytes()
    line = HistoryLine(
        time=now or datetime.now(UTC),
        bundle=bundle.sha256,
        reason=reason,
        commit=_commit(shelf.root),
        figures=Figures(
            machine_class=measured.machine.machine_class,
            latency_p50_s=float(latency["p50"] or 0),
            latency_p90_s=latency["p90"],
            memory_bytes=memory["peak"],
            size_bytes=loaded_bytes(bundle),
            accuracy=measured.accuracy.value,
            test_images=measured.test_images,
        ),
        changes=_changes(comparison) if comparison else {},
        verdict=str(comparison.verdict) if comparison else None,
    )
    shelf.accept(bundle, line, beside=(history.current.bundle if history else None,))
    return case, line


def _changes(found: Comparison) -> dict[str, float]:
    """Metric to its change; without those that the machine was too noisy for: they are added up for months."""
    rows = (row for row in found.metrics if row.verdict is not Verdict.UNFIT)
    return {row.name: row.change for row in rows if row.change is not None}


def _commit(folder: Path) -> str | None:
    """The commit that is checked out around the folder, None outside of a repository or without git."""
    git = shutil.which("git")
    if git is None:
        return None
    where = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    done = subprocess.run(  # noqa: S603 - git, with our own words
        [git, "-C", str(where), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
