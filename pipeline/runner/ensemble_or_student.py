"""The teachers together as they would run, and what one student in their place gains and costs."""

from __future__ import annotations

import shutil
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.statistics.paired_metric import p_of_no_difference
from exporters.ensemble import Member, ensemble_spec
from pipeline.artifact import ArtifactKind
from pipeline.catalog import OPENERS
from pipeline.chain.engine_measurement import measure
from pipeline.report.record import EnsembleEntry, SeedEntry, StudentEntry
from pipeline.session import EngineSpec
from pipeline.tasks import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.preprocess import PreprocessSpec
    from pipeline.runner.students import Student, Students
    from pipeline.stage import Teacher, TrainedNetwork
    from pipeline.tasks import Task

__all__ = ["ensemble_entry", "measured_ensemble"]

_ALPHA = 0.05


def measured_ensemble(chain: Chain, target: Target, teachers: Sequence[Teacher]) -> Measured | None:
    """All teachers in one process, one after another, what they say joined.

    None where the target cannot run, or where of one of them only answers are known.

    Args:
        chain: The run.
        target: Where they would run.
        teachers: With their answers, which say what kind of output each has.
    """
    networks = [teacher.network for teacher in teachers if teacher.network is not None]
    if chain.plan.cannot_run(target) or not networks or len(networks) < len(teachers):
        return None
    about = [chain.about(parts) for parts in chain.plan.teachers]
    if len(networks) == 1:
        return about[0].measured(networks[0].artifact, target)
    plan = chain.plan
    if any(_geometry(parts.preprocess) != _geometry(plan.parts.preprocess) for parts in plan.teachers):
        chain.progress.note("the ensemble is not measured as a whole: its members want images of other sizes")
        return None
    engines = [own.engine(network.artifact, target) for own, network in zip(about, networks, strict=True)]
    whole = _joined(chain, engines, [one.answers.facts["answers"] for one in teachers])
    with chain.phases.during("measuring"):
        return measure(whole, target, plan, chain.store, chain.progress)


def _geometry(preprocess: PreprocessSpec) -> PreprocessSpec:
    """What of it decides which pixels are seen: all but the normalisation."""
    count = len(preprocess.mean)
    return preprocess.model_copy(update={"mean": (0.0,) * count, "std": (1.0,) * count})


def _renormalising(
    ours: PreprocessSpec, theirs: PreprocessSpec, dtype: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Scale and offset of each channel from inputs of the student to those of a teacher; None where they are alike.

    An engine that takes bytes normalises them itself.
    """
    if dtype == "uint8" or (ours.mean, ours.std) == (theirs.mean, theirs.std):
        return None, None
    scale = tuple(a / b for a, b in zip(ours.std, theirs.std, strict=True))
    offset = tuple((a - b) / std for a, b, std in zip(ours.mean, theirs.mean, theirs.std, strict=True))
    return scale, offset


def _joined(chain: Chain, engines: Sequence[Artifact], answers: Sequence[Json]) -> Artifact:
    """One engine artifact of all members, each in a folder of its number."""
    members = []
    for engine, told, parts in zip(engines, answers, chain.plan.teachers, strict=True):
        spec = EngineSpec.from_json(engine.facts["engine"])
        scale, offset = _renormalising(chain.plan.parts.preprocess, parts.preprocess, spec.input.dtype)
        members.append(Member(spec=spec, opener=OPENERS[spec.target], answers=told, scale=scale, offset=offset))
    with chain.store.workspace() as folder:
        for number, engine in enumerate(engines):
            shutil.copytree(engine.root, folder / str(number))
        spec = ensemble_spec(members, chain.plan.parts.task.name)
        facts = {"engine": spec.to_json(), "precision": "float", "dialect": None}
        return chain.store.commit(ArtifactKind.ENGINE, folder, facts)


def ensemble_entry(
    task: Task,
    ensemble: Measured,
    members: Sequence[TrainedNetwork],
    students: Sequence[Students],
    *,
    trained_again: bool,
) -> EnsembleEntry:
    """What the report says of it.

    Args:
        task: Compares answers.
        ensemble: As of :func:`measured_ensemble`.
        members: Its networks.
        students: That of the run first.
        trained_again: Whether those without teachers were trained for this comparison, and are not the run's baseline.
    """
    untaught, distilled = students[0].untaught.measured, students[0].distilled.measured
    without = fmean(one.untaught.measured.accuracy.value for one in students)
    gained = ensemble.accuracy.value - without
    change = fmean(one.distilled.measured.accuracy.value for one in students) - without
    way = change / gained if gained > 0 else None
    p_value = p_of_no_difference(task, untaught.accuracy, distilled.accuracy)
    faster = ensemble.p50_s / distilled.p50_s
    memory = ensemble.solo.memory_bytes()[0].get("peak")
    return EnsembleEntry(
        members=len(members),
        accuracy=ensemble.accuracy.value,
        p50_s=ensemble.p50_s,
        size_bytes=ensemble.size_bytes,
        memory_bytes=memory,
        params=sum(one.artifact.facts["params"] for one in members),
        agreement=agreement(task, distilled.accuracy.decisions, ensemble.accuracy.decisions),
        way=way,
        times_faster=faster,
        p_value=p_value,
        calibration_error=(
            untaught.accuracy.calibration_error,
            distilled.accuracy.calibration_error,
            ensemble.accuracy.calibration_error,
        ),
        sentence=_sentence(task, change, _told(p_value, len(students)), way, faster, gained, shown=p_value < _ALPHA),
        seeds=tuple(
            SeedEntry(
                seed=one.seed,
                untaught=one.untaught.measured.accuracy.value,
                distilled=one.distilled.measured.accuracy.value,
            )
            for one in students
        ),
        untaught=_student_entry(students[0].untaught) if trained_again else None,
    )


def _student_entry(student: Student) -> StudentEntry:
    measured = student.measured
    return StudentEntry(
        params=student.params,
        size_bytes=measured.size_bytes,
        p50_s=measured.p50_s,
        memory_bytes=measured.solo.memory_bytes()[0].get("peak"),
        accuracy=measured.accuracy.value,
        wall_s=student.wall_s,
    )


def _told(p_value: float, seeds: int) -> str:
    told = f"p = {p_value:.2g}" if p_value >= 0.001 else "p below 0.001"
    return told if seeds == 1 else f"mean of {seeds} seeds; of the first alone {told}"


def _sentence(  # noqa: PLR0913 - what it tells
    task: Task, change: float, told: str, way: float | None, faster: float, gained: float, *, shown: bool
) -> str:
    """The answer to "ensemble or student?" for whoever reads no further."""
    cost = f"at 1/{faster:.0f} of its latency" if faster >= 2 else f"at {1 / faster:.2f} of its latency"
    if not shown:
        above = f"{100 * gained:.1f} points above" if gained > 0 else "no better than"
        return (
            f"no difference between the student with and without teachers can be shown ({100 * change:+.1f} points, "
            f"{told}); the ensemble is {above} the student without teachers"
        )
    much = f"{100 * abs(change):.1f}"
    if change < 0:
        less = f"{much} more images in a hundred wrong" if task.hit_or_miss else f"{much} points of {task.metric} less"
        return f"the teachers did harm: {less} than without them ({told})"
    gain = f"{much} more images in a hundred right" if task.hit_or_miss else f"{much} points of {task.metric} more"
    more = f"{gain} than without teachers ({told})"
    if way is None:
        return f"the student is better than the ensemble, {cost}; {more}"
    return f"the student keeps {100 * way:.0f} % of what the ensemble gains {cost}; {more}"
