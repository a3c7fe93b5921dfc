"""From outcomes to the report's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.statistics.paired_metric import interval, metric_drop
from pipeline import __version__
from pipeline.artifact import ArtifactKind
from pipeline.chain.engine_measurement import loaded_size
from pipeline.measuring.report_entries import bundle_entry, called, machine_entry
from pipeline.report.figures import percent
from pipeline.report.record import (
    AccuracyFigure,
    DamageEntry,
    EnsembleEntry,
    FloatNode,
    Latency,
    Memory,
    PairedChange,
    QuantizationEntry,
    Report,
    StageRow,
    TeacherEntry,
)
from pipeline.report.training_record import TrainingEntry
from pipeline.runner.deploy_verdict import deploy_verdict, measured_agreement, unmeasured_verdict
from pipeline.runner.examples import examples_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporters.bundle import Bundle
    from exporters.target import Target
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.execution import StageResult
    from pipeline.chain.plan import Plan
    from pipeline.planning.int8_decision import Decision
    from pipeline.preprocess import PreprocessSpec
    from pipeline.report.goal_record import GoalEntry
    from pipeline.runner.speedup import Speedup
    from pipeline.stage import TrainedNetwork
    from pipeline.tasks import Accuracy, Task

__all__ = ["Outcome", "Taught", "make_report", "row_of"]

_ALPHA = 0.025
"""Of each end of an interval at 95 %."""
_STAGES = ("baseline", "distill", "downsample", "prune", "calibrate", "export", "build")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A stage's result, and what the model was measured to be after it; None where the target cannot run.

    Attributes:
        preprocess: How the model is fed since then.
        facts: Its parameters and multiplications.
    """

    result: StageResult
    measured: Measured | None
    preprocess: PreprocessSpec
    facts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """A teacher.

    Attributes:
        measured: What it was measured to be; None as above.
        wall_s: How long its training took, seconds.
        doubt: What speaks against it; None where nothing does.
    """

    teacher: TrainedNetwork
    measured: Measured | None
    wall_s: float
    doubt: str | None = None


def row_of(
    outcome: Outcome,
    metric: str,
    earlier: Sequence[Outcome] = (),
    *,
    why_not: str | None = None,
    device: str | None = None,
) -> StageRow:
    """The report's row of an outcome.

    Args:
        outcome: Of one stage.
        metric: The task's.
        earlier: Outcomes before it, for what was measured then already.
        why_not: Nothing was measured.
        device: Where it was measured; None: here.
    """
    result = outcome.result
    figures = _unmeasured_figures(outcome, metric, why_not)
    if outcome.measured is not None:
        figures = {**_figures(outcome, outcome.measured, earlier), "measured_on": device}
    return StageRow(
        name=result.stage,
        status=result.status,
        wall_s=result.wall_s,
        params=outcome.facts["params"] or None,  # a graph may have none
        macs=outcome.facts["macs"] or None,
        artifact_sha256=result.artifact.sha256,
        **figures,
    )


def _unmeasured_figures(outcome: Outcome, metric: str, why_not: str | None) -> dict[str, Any]:
    artifact = outcome.result.artifact
    return {
        "size_bytes": loaded_size(artifact) if artifact.kind is ArtifactKind.ENGINE else None,
        "accuracy": AccuracyFigure(metric=metric),
        "notes": (*outcome.result.notes, f"not measured: {why_not}"),
    }


def _figures(outcome: Outcome, measured: Measured, earlier: Sequence[Outcome]) -> dict[str, Any]:
    twins = [
        one.result.stage for one in earlier if one.measured and one.measured.engine_sha256 == measured.engine_sha256
    ]
    same = (f"runs the same bytes as after {twins[0]}: measured once",) if twins else ()
    latency, thin = measured.solo.latency()
    memory, untold = measured.solo.memory_bytes()
    accuracy = measured.accuracy
    return {
        "size_bytes": measured.size_bytes,
        "latency_s": Latency.model_validate(latency),
        "memory_bytes": Memory.model_validate(memory),
        "accuracy": AccuracyFigure(metric=accuracy.metric, value=accuracy.value, n=accuracy.n),
        "notes": (*outcome.result.notes, *_beside(accuracy), *same, *thin, *untold, *measured.solo.warnings()),
    }


def _beside(accuracy: Accuracy) -> tuple[str, ...]:
    """What is customarily told with the metric."""
    told = ", ".join(f"{name} {percent(value)}" for name, value in accuracy.beside.items())
    return (f"{accuracy.metric} {percent(accuracy.value)}, {told}",) if told else ()


def make_report(  # noqa: PLR0913, PLR0917 - everything that is known
    plan: Plan,
    target: Target,
    outcomes: Sequence[Outcome],
    taught: Sequence[Taught],
    decision: Decision,
    bundle: Bundle,
    doubts: Sequence[str],
    speedup: Speedup | None,
    ensemble: EnsembleEntry | None = None,
    untaught: Measured | None = None,
    goal: GoalEntry | None = None,
) -> Report:
    """Everything that is known of the run for one target; ``speedup`` is None where that cannot run here.

    ``doubts`` are those of the network, as :func:`~pipeline.runner.baseline_doubts.doubts_of` gives them.
    ``untaught`` is the student without teachers; None: the baseline is.
    """
    metric, why_not, place = plan.parts.task.metric, plan.cannot_run(target), plan.place
    device = called(place)
    rows = {
        outcome.result.stage: row_of(outcome, metric, outcomes[:position], why_not=why_not, device=device)
        for position, outcome in enumerate(outcomes)
    }
    last = outcomes[-1].measured
    for name, reason in plan.skipped.items():
        rows[name] = StageRow(name=name, status="skipped", accuracy=AccuracyFigure(metric=metric), notes=(reason,))
    stages = tuple(rows[name] for name in _STAGES if name in rows)
    return Report(
        edgewright=__version__,
        model=bundle.manifest["model"],
        task=plan.parts.task.name,
        target=target.name,
        data=plan.parts.dataset.name,
        machine=machine_entry(place),
        made_on=machine_entry() if device else None,
        verdict=deploy_verdict(plan, outcomes, speedup, goal)
        if last and speedup
        else unmeasured_verdict(target, decision, outcomes[-1], why_not),
        stages=stages,
        teachers=tuple(entry for one in taught if (entry := _teacher_entry(plan.parts.task, one))),
        ensemble=ensemble,
        trainings=_trainings(outcomes, taught),
        goal=goal,
        choices=(decision.choice,),
        quantization=_quantization(plan.parts.task, decision, outcomes),
        examples=examples_of(plan, outcomes[0].measured, last),
        bundle=bundle_entry(bundle),
        conditions=last.solo.processes[0]["facts"] if last else {},
        shipped_change=_paired(plan.parts.task, outcomes[0].measured, last),
        taught_change=_paired(
            plan.parts.task, untaught or _measured_of(outcomes, "baseline"), _measured_of(outcomes, "distill")
        ),
        assumed=plan.assumed,
        doubts=(*doubts, *(one.doubt for one in taught if one.doubt)),
        warnings=(
            *plan.notes,
            *place.doubts(),
            *dict.fromkeys(w for one in outcomes if one.measured for w in one.measured.solo.warnings()),
        ),
    )


def _measured_of(outcomes: Sequence[Outcome], stage: str) -> Measured | None:
    return next((one.measured for one in outcomes if one.result.stage == stage), None)


def _paired(task: Task, before: Measured | None, after: Measured | None) -> PairedChange | None:
    """The change of accuracy on the same images; None where one of them was not measured."""
    if before is None or after is None:
        return None
    drop = metric_drop(task, before.accuracy, after.accuracy, alpha=_ALPHA)
    return PairedChange(change=-drop.estimate, low=-drop.high, high=-drop.low, n=drop.n)


def _trainings(outcomes: Sequence[Outcome], taught: Sequence[Taught]) -> tuple[TrainingEntry, ...]:
    """The curves that networks carry with them, those of the teachers first."""
    told = [("teacher", one.teacher.artifact) for one in taught]
    told += [(one.result.stage, one.result.artifact) for one in outcomes]
    return tuple(
        TrainingEntry.model_validate({"stage": stage, **curve})
        for stage, artifact in told
        for curve in artifact.facts.get("training", ())
    )


def _teacher_entry(task: Task, taught: Taught) -> TeacherEntry | None:
    if taught.measured is None:
        return None
    return TeacherEntry(
        model=taught.teacher.source.name,
        params=taught.teacher.artifact.facts["params"],
        size_bytes=taught.measured.size_bytes,
        p50_s=taught.measured.p50_s,
        memory_bytes=taught.measured.solo.memory_bytes()[0].get("peak"),
        accuracy=taught.measured.accuracy.value,
        interval=interval(task, taught.measured.accuracy, alpha=2 * _ALPHA),
        calibration_error=taught.measured.accuracy.calibration_error,
        wall_s=taught.wall_s,
    )


def _quantization(task: Task, decision: Decision, outcomes: Sequence[Outcome]) -> QuantizationEntry:
    by_stage = {outcome.result.stage: outcome for outcome in outcomes}
    floats, int8 = (by_stage[stage].measured for stage in ("calibrate", "export"))
    candidate = decision.candidate
    coverage = by_stage["export"].result.artifact.facts["coverage"].get(candidate.dialect, {})
    kept = frozenset(candidate.float_nodes)
    return QuantizationEntry(
        dialect=candidate.dialect,
        method=candidate.method,
        agreement=measured_agreement(task, floats, int8),
        float_accuracy=floats.accuracy.value if floats else None,
        int8_accuracy=int8.accuracy.value if int8 else None,
        int8_nodes=coverage.get("int8"),
        total_nodes=coverage.get("total"),
        int8_macs=None if decision.share is None else decision.share.of_macs,
        float_nodes=tuple(FloatNode(**node) for node in coverage.get("floats", ())),
        damages=tuple(
            DamageEntry(node=one.node, layer=one.layer, noise=one.noise, kept_float=one.node in kept)
            for one in decision.damages
        ),
    )
