"""What one student in place of its teachers gains and costs: the report's answer, in figures and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.statistics.paired_metric import interval, p_of_each_and_all, p_of_no_difference
from pipeline.report import figures
from pipeline.report.record import EnsembleEntry, SeedEntry, StudentEntry
from pipeline.tasks import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.runner.measured_ensemble import Ensemble
    from pipeline.runner.students import Student, Students
    from pipeline.tasks import Accuracy, Task

__all__ = ["Compared", "Way", "ensemble_entry", "sentence"]

_ALPHA = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """From the student without teachers to the ensemble; accuracies are fractions of 1.

    A ratio has bounds only where its denominator is shown to be other than 0: Fieller, "Some problems in interval
    estimation", Journal of the Royal Statistical Society B 16, 1954. A student one image worse than another is at
    -100 % of the way to an ensemble that is one image better, and both images are chance. So a share of the way is told
    where a test shows that the ensemble is the better one, and of a student that is not below the one without teachers.

    Attributes:
        untaught: Of the student without teachers, or the mean of several.
        distilled: Of the student that learned from them, likewise.
        ensemble: Of the teachers together.
        p_value: That ensemble and student without teachers are equally good.
    """

    untaught: float
    distilled: float
    ensemble: float
    p_value: float

    @property
    def gain(self) -> float:
        """What the ensemble has above the student without teachers."""
        return self.ensemble - self.untaught

    @property
    def shown(self) -> bool:
        """Whether there is a way: the ensemble is better by more than chance."""
        return self.gain > 0 and self.p_value < _ALPHA

    @property
    def why_none(self) -> str | None:
        """Why no share of it is told; None where one is."""
        if self.gain <= 0:
            return "the ensemble is no better than the student without teachers"
        if not self.shown:
            return (
                "the ensemble is not shown to be better than the student without teachers "
                f"({figures.signed_points(self.gain)} points, {_p(self.p_value)})"
            )
        if self.distilled < self.untaught:
            return "the student that learned from the teachers is below the one without them"
        return None

    @property
    def share(self) -> float | None:
        """How far the student came, a fraction of 1, above 1 where it passed the ensemble; None: see ``why_none``."""
        return None if self.why_none else (self.distilled - self.untaught) / self.gain


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What a sentence is made of; accuracies are means of the seeds, fractions of 1.

    Attributes:
        untaught: Of the students without teachers.
        distilled: Of the students that learned from them.
        p_value: That both are equally good.
        seeds: How many of each.
        distilled_p50_s: Latency of the student.
        way: To the teachers together; None where those were not measured.
        ensemble_p50_s: Their latency.
        why_not: Why they were not measured.
    """

    untaught: float
    distilled: float
    p_value: float
    seeds: int
    distilled_p50_s: float
    way: Way | None = None
    ensemble_p50_s: float | None = None
    why_not: str | None = None

    @property
    def change(self) -> float:
        """What the teachers brought."""
        return self.distilled - self.untaught


def ensemble_entry(  # noqa: PLR0913 - what it is made of
    task: Task,
    ensemble: Ensemble | None,
    students: Sequence[Students],
    *,
    members: int,
    trained_again: bool,
    why_not: str | None,
    other_schedule: bool = False,
    other_weights: bool = False,
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
        other_weights: Whether the student learned from teachers that were not weighed alike.
    """
    untaught, distilled = students[0].untaught, students[0].distilled
    without = [one.untaught.measured.accuracy for one in students]
    with_them = [one.distilled.measured.accuracy for one in students]
    ways, way = _ways(task, without, with_them, ensemble)
    found = Compared(
        untaught=fmean(one.value for one in without),
        distilled=fmean(one.value for one in with_them),
        p_value=p_of_no_difference(task, without, with_them),
        seeds=len(students),
        distilled_p50_s=distilled.measured.p50_s,
        way=way,
        ensemble_p50_s=None if ensemble is None else ensemble.p50_s,
        why_not=why_not,
    )
    entries = [_student_entry(task, one, ensemble) for one in (untaught, distilled)]
    return EnsembleEntry(
        members=members,
        **({} if ensemble is None else _told_of(task, ensemble, distilled)),
        why_not=why_not,
        agreement=entries[1].agreement,
        way=None if way is None else way.share,
        why_no_way=None if way is None else way.why_none,
        p_value=found.p_value,
        calibration_error=(
            untaught.measured.accuracy.calibration_error,
            distilled.measured.accuracy.calibration_error,
            None if ensemble is None else ensemble.accuracy.calibration_error,
        ),
        sentence=sentence(task, found),
        seeds=tuple(_seed_entry(one, own) for one, own in zip(students, ways, strict=True)),
        untaught=entries[0],
        distilled=entries[1],
        trained_again=trained_again,
        other_schedule=other_schedule,
        other_weights=other_weights,
    )


def _ways(
    task: Task, without: Sequence[Accuracy], with_them: Sequence[Accuracy], ensemble: Ensemble | None
) -> tuple[list[Way | None], Way | None]:
    """That of every seed and that of the mean student; None where there is no ensemble."""
    if ensemble is None:
        return [None] * len(without), None
    best = ensemble.accuracy
    each, together = p_of_each_and_all(task, without, [best] * len(without))
    before, after = [one.value for one in without], [one.value for one in with_them]
    ways = [
        Way(untaught=untaught, distilled=distilled, ensemble=best.value, p_value=p)
        for untaught, distilled, p in zip(before, after, each, strict=True)
    ]
    return [*ways], Way(untaught=fmean(before), distilled=fmean(after), ensemble=best.value, p_value=together)


def _seed_entry(students: Students, way: Way | None) -> SeedEntry:
    return SeedEntry(
        seed=students.seed,
        untaught=students.untaught.measured.accuracy.value,
        distilled=students.distilled.measured.accuracy.value,
        way=None if way is None else way.share,
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
    told = _p(found.p_value)
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
    if found.way is None:
        return f"the student has {more}; {_beside_untaught(found)}"
    above = found.distilled - found.way.ensemble
    if above > 0:
        much = f"{figures.points(above)} above the ensemble (not tested for chance)"
        return f"the student is {much}, {_cost(found, 'its')}; {more}"
    if found.way.share is None:
        cost = _cost(found, "the ensemble's")
        return f"the student has {more}, {cost}; {_beside_untaught(found)}"
    return f"the student keeps {100 * found.way.share:.0f} % of what the ensemble gains {_cost(found, 'its')}; {more}"


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 0.001 else "p below 0.001"


def _beside_untaught(found: Compared) -> str:
    if found.way is None:
        return f"the ensemble was not measured: {found.why_not}"
    if found.way.gain <= 0:
        return "the ensemble is no better than the student without teachers"
    doubt = "" if found.way.shown else f", which is not shown to be more than chance ({_p(found.way.p_value)})"
    return f"the ensemble is {figures.points(found.way.gain)} above the student without teachers{doubt}"


def _cost(found: Compared, whose: str) -> str:
    """Roughly: both medians were taken at their own time, and not side by side."""
    assert found.ensemble_p50_s is not None  # noqa: S101 - measured with its accuracy
    share = found.distilled_p50_s / found.ensemble_p50_s
    part = f"1/{1 / share:.0f}" if share <= 0.5 else f"{share:.2f}"
    both = f"{figures.milliseconds(found.distilled_p50_s)} against {figures.milliseconds(found.ensemble_p50_s)}"
    return f"at about {part} of {whose} latency ({both}, each timed alone)"
