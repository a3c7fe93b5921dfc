"""What one student in place of its teachers gains and costs: the report's answer, in figures and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.statistics.paired_metric import interval, p_of_no_difference
from pipeline.report.figures import milliseconds
from pipeline.report.record import EnsembleEntry, SeedEntry, StudentEntry, way_to
from pipeline.tasks import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.runner.measured_ensemble import Ensemble
    from pipeline.runner.students import Student, Students
    from pipeline.tasks import Task

__all__ = ["Compared", "ensemble_entry", "sentence"]

_ALPHA = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What a sentence is made of; accuracies are means of the seeds, fractions of 1.

    Attributes:
        untaught: Of the students without teachers.
        distilled: Of the students that learned from them.
        p_value: That both are equally good.
        seeds: How many of each.
        distilled_p50_s: Latency of the student.
        ensemble: Accuracy of the teachers together; None where that was not measured.
        ensemble_p50_s: Their latency.
        why_not: Why they were not measured.
    """

    untaught: float
    distilled: float
    p_value: float
    seeds: int
    distilled_p50_s: float
    ensemble: float | None = None
    ensemble_p50_s: float | None = None
    why_not: str | None = None

    @property
    def change(self) -> float:
        """What the teachers brought."""
        return self.distilled - self.untaught

    @property
    def way(self) -> float | None:
        """How far the student came from untaught to the ensemble; None where that is no better than untaught."""
        return way_to(self.ensemble, untaught=self.untaught, student=self.distilled)


def ensemble_entry(  # noqa: PLR0913 - what it is made of
    task: Task,
    ensemble: Ensemble | None,
    students: Sequence[Students],
    *,
    members: int,
    trained_again: bool,
    why_not: str | None,
    other_schedule: bool = False,
) -> EnsembleEntry:
    """What the report says of it.

    Args:
        task: Compares answers.
        ensemble: The teachers together; None where they cannot be measured.
        students: That of the run first.
        members: How many teachers there are.
        trained_again: Whether the students without teachers were trained for this comparison, and are not the run's
            baseline.
        why_not: Why there is no ensemble.
        other_schedule: Whether they are the baseline, and were trained by another schedule.
    """
    untaught, distilled = students[0].untaught, students[0].distilled
    without = [one.untaught.measured.accuracy for one in students]
    with_them = [one.distilled.measured.accuracy for one in students]
    found = Compared(
        untaught=fmean(one.value for one in without),
        distilled=fmean(one.value for one in with_them),
        p_value=p_of_no_difference(task, without, with_them),
        seeds=len(students),
        distilled_p50_s=distilled.measured.p50_s,
        ensemble=None if ensemble is None else ensemble.accuracy.value,
        ensemble_p50_s=None if ensemble is None else ensemble.p50_s,
        why_not=why_not,
    )
    entries = [_student_entry(task, one, ensemble) for one in (untaught, distilled)]
    return EnsembleEntry(
        members=members,
        **({} if ensemble is None else _told_of(task, ensemble, distilled)),
        why_not=why_not,
        agreement=entries[1].agreement,
        way=found.way,
        p_value=found.p_value,
        calibration_error=(
            untaught.measured.accuracy.calibration_error,
            distilled.measured.accuracy.calibration_error,
            None if ensemble is None else ensemble.accuracy.calibration_error,
        ),
        sentence=sentence(task, found),
        seeds=tuple(
            SeedEntry(seed=one.seed, untaught=before.value, distilled=after.value)
            for one, before, after in zip(students, without, with_them, strict=True)
        ),
        untaught=entries[0],
        distilled=entries[1],
        trained_again=trained_again,
        other_schedule=other_schedule,
    )


def _told_of(task: Task, ensemble: Ensemble, distilled: Student) -> dict[str, Any]:
    """The fields that are of the ensemble alone."""
    return {
        "accuracy": ensemble.accuracy.value,
        "interval": interval(task, ensemble.accuracy, alpha=_ALPHA),
        "p50_s": ensemble.p50_s,
        "size_bytes": ensemble.size_bytes,
        "memory_bytes": ensemble.memory_bytes,
        "params": ensemble.params,
        "summed": ensemble.summed,
        "times_faster": ensemble.p50_s / distilled.measured.p50_s,
    }


def _student_entry(task: Task, student: Student, ensemble: Ensemble | None) -> StudentEntry:
    measured = student.measured
    return StudentEntry(
        params=student.params,
        size_bytes=measured.size_bytes,
        p50_s=measured.p50_s,
        memory_bytes=measured.solo.memory_bytes()[0].get("peak"),
        accuracy=measured.accuracy.value,
        interval=interval(task, measured.accuracy, alpha=_ALPHA),
        calibration_error=measured.accuracy.calibration_error,
        agreement=None
        if ensemble is None
        else agreement(task, measured.accuracy.decisions, ensemble.accuracy.decisions),
        wall_s=student.wall_s,
    )


def sentence(task: Task, found: Compared) -> str:
    """The answer to "ensemble or student?" for whoever reads no further.

    Args:
        task: Says what is counted.
        found: The figures.
    """
    told = f"p = {found.p_value:.2g}" if found.p_value >= 0.001 else "p below 0.001"
    told = told if found.seeds == 1 else f"mean of {found.seeds} seeds; {told} over all of them"
    if found.p_value >= _ALPHA:
        return (
            f"no difference between the student with and without teachers can be shown ({100 * found.change:+.1f} "
            f"points, {told}); {_beside_untaught(found)}"
        )
    much = f"{100 * abs(found.change):.1f}"
    if found.change < 0:
        less = f"{much} more images in a hundred wrong" if task.hit_or_miss else f"{much} points of {task.metric} less"
        return f"the teachers did harm: {less} than without them ({told})"
    gain = f"{much} more images in a hundred right" if task.hit_or_miss else f"{much} points of {task.metric} more"
    more = f"{gain} than without teachers ({told})"
    if found.ensemble is None:
        return f"the student has {more}; {_beside_untaught(found)}"
    cost = _cost(found)
    if found.distilled > found.ensemble:
        return f"the student is better than the ensemble, {cost}; {more}"
    assert found.way is not None  # noqa: S101 - the ensemble is at least as good as the student, who gained
    return f"the student keeps {100 * found.way:.0f} % of what the ensemble gains {cost}; {more}"


def _beside_untaught(found: Compared) -> str:
    if found.ensemble is None:
        return f"the ensemble was not measured: {found.why_not}"
    gained = found.ensemble - found.untaught
    above = f"{100 * gained:.1f} points above" if gained > 0 else "no better than"
    return f"the ensemble is {above} the student without teachers"


def _cost(found: Compared) -> str:
    """Roughly: both medians were taken at their own time, and not side by side."""
    assert found.ensemble_p50_s is not None  # noqa: S101 - measured with its accuracy
    share = found.distilled_p50_s / found.ensemble_p50_s
    part = f"1/{1 / share:.0f}" if share <= 0.5 else f"{share:.2f}"
    both = f"{milliseconds(found.distilled_p50_s)} against {milliseconds(found.ensemble_p50_s)}"
    return f"at about {part} of its latency ({both}, each timed alone)"
