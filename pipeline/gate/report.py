"""A gate's report: alone, or as part of the report of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.workers.workplace import HERE
from pipeline import __version__
from pipeline.gate.baselines.change_points import change_points
from pipeline.measuring.report_entries import bundle_entry, machine_entry
from pipeline.report.record import HistoryPoint, Report, Verdict

if TYPE_CHECKING:
    from benchmarks.workers.workplace import Workplace
    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.gate.against_baselines import Judgement
    from pipeline.gate.baselines.history import History
    from pipeline.report.comparison import Comparison

__all__ = ["report_of_comparison", "report_of_judgement", "with_judgement"]


def report_of_comparison(candidate: Bundle, found: Comparison, dataset: Dataset, place: Workplace = HERE) -> Report:
    """The report of one bundle beside another, with no stages.

    Args:
        candidate: That was judged.
        found: The judgement.
        dataset: Both were scored on.
        place: Where both ran.
    """
    manifest = candidate.manifest
    return Report(
        edgewright=__version__,
        model=manifest["model"],
        task=manifest["task"],
        target=manifest["target"],
        data=dataset.name,
        machine=machine_entry(place),
        verdict=Verdict(status=found.verdict.value, sentence=found.sentence, precision=manifest["precision"]),
        stages=(),
        bundle=bundle_entry(candidate),
        gate=found,
    )


def report_of_judgement(candidate: Bundle, judgement: Judgement, dataset: Dataset, place: Workplace = HERE) -> Report:
    """The report of a bundle beside what was accepted; arguments as of :func:`report_of_comparison`."""
    return with_judgement(report_of_comparison(candidate, judgement.comparison, dataset, place), judgement)


def with_judgement(report: Report, judgement: Judgement) -> Report:
    """The report with the gate's verdict first."""
    deciding = judgement.deciding
    verdict = report.verdict.model_copy(update={"status": deciding.verdict.value, "sentence": deciding.sentence})
    return report.model_copy(
        update={
            "verdict": verdict,
            "gate": judgement.comparison,
            "best": judgement.best,
            "history": _points(judgement.history),
        }
    )


def _points(history: History) -> tuple[HistoryPoint, ...]:
    """The accepted bundles, with the changes of level found within each machine class."""
    levels: set[int] = set()
    for machine_class in {line.figures.machine_class for line in history.lines}:
        places = [n for n, line in enumerate(history.lines) if line.figures.machine_class == machine_class]
        values = [history.lines[place].figures.latency_p50_s for place in places]
        levels |= {places[position] for position in change_points(values)}
    return tuple(
        HistoryPoint(
            time=line.time,
            bundle=line.bundle,
            reason=line.reason,
            machine_class=line.figures.machine_class,
            latency_p50_s=line.figures.latency_p50_s,
            accuracy=line.figures.accuracy,
            size_bytes=line.figures.size_bytes,
            new_level=number in levels,
        )
        for number, line in enumerate(history.lines)
    )
