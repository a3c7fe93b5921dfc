"""From outcomes to the report's record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.environment import this_machine, versions
from pipeline.report.record import (
    AccuracyFigure,
    BundleEntry,
    DamageEntry,
    FloatNode,
    Latency,
    MachineEntry,
    Memory,
    QuantizationEntry,
    Report,
    StageRow,
    TeacherEntry,
    TriedEntry,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporters.bundle import Bundle
    from exporters.target import Target
    from pipeline.runner.decision import Decision
    from pipeline.runner.execution import StageResult
    from pipeline.runner.measure import Measured
    from pipeline.runner.plan import Plan
    from pipeline.stage import TrainedNetwork

__all__ = ["Outcome", "Taught", "bundle_entry", "machine_entry", "make_report", "row_of"]

_STAGES = ("baseline", "distill", "prune", "calibrate", "export", "build")
_REPORTED = ("torch", "torchvision", "onnx", "onnxruntime", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A stage's result, and what the model was measured to be after it."""

    result: StageResult
    measured: Measured
    facts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """A teacher, what it was measured to be, and how long its training took, seconds."""

    teacher: TrainedNetwork
    measured: Measured
    wall_s: float


def row_of(outcome: Outcome, earlier: Sequence[Outcome] = ()) -> StageRow:
    """The report's row of an outcome; ``earlier`` are those before it, for what was measured then already."""
    result, measured = outcome.result, outcome.measured
    twins = [other.result.stage for other in earlier if other.measured.engine_sha256 == measured.engine_sha256]
    same = (f"runs the same bytes as after {twins[0]}: measured once",) if twins else ()
    latency, thin = measured.solo.latency()
    memory, untold = measured.solo.memory_bytes()
    return StageRow(
        name=result.stage,
        status=result.status,
        wall_s=result.wall_s,
        params=outcome.facts["params"],
        macs=outcome.facts["macs"],
        size_bytes=measured.size_bytes,
        latency_s=Latency.model_validate(latency),
        memory_bytes=Memory.model_validate(memory),
        accuracy=AccuracyFigure(metric=measured.accuracy.metric, value=measured.accuracy.value, n=measured.accuracy.n),
        artifact_sha256=result.artifact.sha256,
        notes=(*result.notes, *same, *thin, *untold, *measured.solo.warnings()),
    )


def make_report(
    plan: Plan,
    target: Target,
    outcomes: Sequence[Outcome],
    taught: Sequence[Taught],
    decision: Decision,
    bundle: Bundle,
) -> Report:
    """Everything that is known of the run for one target."""
    rows = {outcome.result.stage: row_of(outcome, outcomes[:position]) for position, outcome in enumerate(outcomes)}
    metric = plan.parts.task.metric
    for name, reason in plan.skipped.items():
        rows[name] = StageRow(name=name, status="skipped", accuracy=AccuracyFigure(metric=metric), notes=(reason,))
    stages = tuple(rows[name] for name in _STAGES if name in rows)
    return Report(
        edgewright=__version__,
        model=bundle.manifest["model"],
        task=plan.parts.task.name,
        target=target.name,
        data=plan.parts.dataset.name,
        machine=machine_entry(),
        verdict=_verdict(plan, outcomes),
        stages=stages,
        teachers=tuple(_teacher_entry(one) for one in taught),
        quantization=_quantization(decision, outcomes),
        bundle=bundle_entry(bundle),
        conditions=outcomes[-1].measured.solo.processes[0]["facts"],
        warnings=(*plan.notes, *dict.fromkeys(w for outcome in outcomes for w in outcome.measured.solo.warnings())),
    )


def machine_entry() -> MachineEntry:
    """This machine, as the report tells it."""
    machine = this_machine()
    return MachineEntry.model_validate(
        {**machine.to_json(), "class": machine.machine_class, "versions": versions(_REPORTED)}
    )


def bundle_entry(bundle: Bundle) -> BundleEntry:
    """A bundle, by its place beside the report."""
    size = sum(path.stat().st_size for path in bundle.root.rglob("*") if path.is_file())
    return BundleEntry(path=bundle.root.name, sha256=bundle.sha256, size_bytes=size)


def _teacher_entry(taught: Taught) -> TeacherEntry:
    return TeacherEntry(
        model=taught.teacher.source.name,
        params=taught.teacher.artifact.facts["params"],
        size_bytes=taught.measured.size_bytes,
        p50_s=taught.measured.p50_s,
        accuracy=taught.measured.accuracy.value,
        wall_s=taught.wall_s,
    )


def _verdict(plan: Plan, outcomes: Sequence[Outcome]) -> Verdict:
    first, last = outcomes[0].measured, outcomes[-1].measured
    precision = outcomes[-1].result.artifact.facts["precision"]
    speedup = first.p50_s / last.p50_s
    shrink = first.size_bytes / last.size_bytes
    change = last.accuracy.value - first.accuracy.value
    held = change >= -plan.recipe.goal.max_accuracy_drop - 1e-9
    lost = f"{abs(100 * change):.2f} points {'lost' if change < 0 else 'gained'}" if change else "no accuracy lost"
    reason = outcomes[-1].result.notes[0]
    why = f" ({reason})" if precision == "float" else ""
    sentence = (
        f"{'OK' if held else 'MISSED'} {precision}: {speedup:.2f}x faster at p50, {shrink:.1f}x smaller, {lost} "
        f"({100 * last.accuracy.value:.2f} % {last.accuracy.metric}){why}"
    )
    return Verdict(
        status="ok" if held else "missed",
        sentence=sentence,
        precision=precision,
        speedup=speedup,
        shrink=shrink,
        accuracy_change=change,
    )


def _quantization(decision: Decision, outcomes: Sequence[Outcome]) -> QuantizationEntry:
    by_stage = {outcome.result.stage: outcome for outcome in outcomes}
    floats, int8 = by_stage["calibrate"].measured.accuracy, by_stage["export"].measured.accuracy
    candidate = decision.candidate
    coverage = by_stage["export"].result.artifact.facts["coverage"].get(candidate.dialect, {})
    same = [a == b for a, b in zip(floats.answers, int8.answers, strict=True)]
    kept = frozenset(candidate.float_nodes)
    return QuantizationEntry(
        dialect=candidate.dialect,
        method=candidate.method,
        agreement=sum(same) / len(same),
        float_accuracy=floats.value,
        int8_accuracy=int8.value,
        int8_nodes=coverage.get("int8"),
        total_nodes=coverage.get("total"),
        float_nodes=tuple(FloatNode(**node) for node in coverage.get("floats", ())),
        tried=tuple(TriedEntry(**asdict(one)) for one in decision.tried),
        damages=tuple(
            DamageEntry(node=one.node, noise=one.noise, kept_float=one.node in kept) for one in decision.damages
        ),
    )
