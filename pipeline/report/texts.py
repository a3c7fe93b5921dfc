"""What the report says, as plain texts: the same in the terminal, in Markdown and in HTML."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING

from pipeline.report import figures
from pipeline.report.record import EnsembleEntry, StudentEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.report.record import FloatNode, MachineEntry, PairedChange, Report, SeedEntry, StageRow, TeacherEntry

__all__ = [
    "DAMAGE_COLUMNS",
    "PHASE_COLUMNS",
    "SEED_COLUMNS",
    "STAGE_COLUMNS",
    "TEACHER_COLUMNS",
    "at_a_glance",
    "beside_verdict",
    "damage_rows",
    "ensemble_notes",
    "int8_text",
    "measured_where",
    "notes",
    "phase_rows",
    "seed_rows",
    "stage_cells",
    "teacher_rows",
    "time_spent",
]

_SHORT_S = 0.5
"""Phases that took less are left out of a sentence."""

STAGE_COLUMNS = ("stage", "", "p50", "p90", "p95", "p99", "size", "memory peak", "params", "MACs", "accuracy", "took")
"""The second column says whether the stage ran."""

DAMAGE_COLUMNS = ("layer", "ONNX node", "error when it alone is INT8", "runs in")

PHASE_COLUMNS = ("phase", "took", "share")

SEED_COLUMNS = ("seed", "without teachers", "distilled", "points gained", "of the way")

TEACHER_COLUMNS = (
    "network",
    "accuracy",
    "95 %",
    "p50",
    "size",
    "memory peak",
    "params",
    "confidence off by",
    "like the ensemble",
    "of the way",
    "training took",
)

_UNTAUGHT, _DISTILLED = "student without teachers", "student that learned from them"


def stage_cells(row: StageRow) -> tuple[str, ...]:
    """One stage, a text for each of :data:`STAGE_COLUMNS`."""
    return (
        row.name,
        row.status,
        *(figures.milliseconds(getattr(row.latency_s, name)) for name in ("p50", "p90", "p95", "p99")),
        figures.megabytes(row.size_bytes),
        figures.megabytes(row.memory_bytes.peak),
        figures.count(row.params),
        figures.count(row.macs),
        figures.percent(row.accuracy.value),
        figures.seconds(row.wall_s),
    )


def teacher_rows(report: Report) -> list[tuple[str, ...]]:
    """The ensemble, then the student that learned from it: what one network in place of many gained and cost."""
    found = report.ensemble
    rows = [_network_row(f"teacher {one.model}", one, one.wall_s) for one in report.teachers]
    if found is not None and found.accuracy is not None:
        error, wall_s = found.calibration_error[-1], sum(one.wall_s for one in report.teachers)
        rows.append(_network_row(f"ensemble of {found.members}", found, wall_s, error=error))
    if found is not None and found.untaught is not None and found.distilled is not None:
        way = _way_of(found.seeds[0], found) if found.seeds else None  # the run's own seed, as both students
        rows.append(_network_row(_UNTAUGHT, found.untaught, found.untaught.wall_s, way=None if way is None else 0.0))
        return [*rows, _network_row(_DISTILLED, found.distilled, found.distilled.wall_s, way=way)]
    for label, name in (_UNTAUGHT, "baseline"), (_DISTILLED, "distill"):
        row = report.stage(name)
        if rows and row is not None and row.status != "skipped":
            rows.append(_stage_row(label, row))
    return rows


def _is_untested(seed: SeedEntry) -> bool:
    """Whether a seed is from a report that says of no seed how far the student came."""
    return "way" not in seed.model_fields_set


def _way_of(seed: SeedEntry, ensemble: EnsembleEntry) -> float | None:
    """How far the student of a seed came: as the report says, or of an old one as it would have been told then."""
    if not _is_untested(seed):
        return seed.way
    if ensemble.accuracy is None or ensemble.accuracy <= seed.untaught:
        return None
    return (seed.distilled - seed.untaught) / (ensemble.accuracy - seed.untaught)


def _network_row(
    label: str,
    one: TeacherEntry | EnsembleEntry | StudentEntry,
    wall_s: float,
    *,
    error: float | None = None,
    way: float | None = None,
) -> tuple[str, ...]:
    """One network, a text for each of :data:`TEACHER_COLUMNS`."""
    if not isinstance(one, EnsembleEntry):
        error = one.calibration_error
    return (
        label,
        figures.percent(one.accuracy),
        figures.percent_interval(one.interval),
        figures.milliseconds(one.p50_s),
        figures.megabytes(one.size_bytes),
        figures.megabytes(one.memory_bytes),
        figures.count(one.params),
        figures.percent(error),
        figures.percent(one.agreement if isinstance(one, StudentEntry) else None),
        figures.percent(way),
        figures.seconds(wall_s),
    )


def _stage_row(label: str, row: StageRow) -> tuple[str, ...]:
    """The same where a report knows of a student no more than its stage's row."""
    return (
        label,
        figures.percent(row.accuracy.value),
        figures.percent_interval(None),
        figures.milliseconds(row.latency_s.p50),
        figures.megabytes(row.size_bytes),
        figures.megabytes(row.memory_bytes.peak),
        figures.count(row.params),
        *(figures.percent(None) for _ in range(3)),
        figures.seconds(row.wall_s),
    )


def ensemble_notes(report: Report) -> list[str]:
    """What has to be known of the figures of ensemble and students."""
    found = report.ensemble
    if found is None:
        return []
    told = [] if found.why_not is None else [f"The ensemble was not measured: {found.why_not}."]
    if found.why_no_way is not None:
        of_what = " of the mean" if len(found.seeds) > 1 else ""
        told.append(f"No share of the way is told{of_what}: {found.why_no_way}.")
    if found.accuracy is not None and any(map(_is_untested, found.seeds)):
        told.append(
            "This report is from before it was tested whether the ensemble is better than the student without "
            "teachers: shares of the way may be chance, and there are none where it is not above that student."
        )
    elif {one.way is None for one in found.seeds} == {True, False}:
        told.append(
            "A seed has no share of the way where it alone does not show that the ensemble is better than the student "
            "without teachers, or where the one with teachers is below that."
        )
    if found.summed:
        told.append(
            "The ensemble's latency and memory are its members', each measured alone with its own input, summed."
        )
    if found.other_weights and found.accuracy is not None:
        told.append(
            "The student learned from its teachers as distill.weighting weighs them; the ensemble is that of all alike."
        )
    if found.trained_again:
        told.append(
            "The network came trained: the student without teachers was trained like the other, by the labels alone."
        )
    if found.other_schedule:
        told.append(
            "The student without teachers was trained by baseline.schedule, which is not that of distill.schedule: "
            "what differs is not the teachers' doing alone."
        )
    return told


def seed_rows(report: Report) -> list[tuple[str, ...]]:
    """Both students from every seed, and their mean and spread; empty where there was one seed."""
    found = report.ensemble
    if found is None or len(found.seeds) < 2:
        return []
    columns = [[one.untaught for one in found.seeds], [one.distilled for one in found.seeds]]
    columns.append([distilled - untaught for untaught, distilled in zip(*columns, strict=True)])
    rows: list[tuple[str, ...]] = [
        (
            str(one.seed),
            figures.percent(one.untaught),
            figures.percent(one.distilled),
            figures.signed_points(gain),
            figures.percent(_way_of(one, found)),
        )
        for one, gain in zip(found.seeds, columns[2], strict=True)
    ]
    means = [figures.percent(fmean(column)) for column in columns[:2]]
    rows.append(("mean", *means, figures.signed_points(fmean(columns[2])), figures.percent(found.way)))
    rows.append(("standard deviation", *(f"{100 * stdev(column):.2f}" for column in columns), "-"))
    return rows


def int8_text(report: Report) -> str | None:
    """How the INT8 file compares with its float graph; None when there is none."""
    found = report.quantization
    if found is None:
        return None
    parity = (
        f"{figures.percent(found.agreement)} of the test images get the same answer as from the float graph "
        f"({figures.percent(found.int8_accuracy)} against {figures.percent(found.float_accuracy)}); "
        if found.agreement is not None
        else "The target cannot run here: answers were compared on this machine's CPU alone; "
    )
    text = f"{parity}dialect {found.dialect}, ranges by {found.method}."
    if found.total_nodes is not None:
        share = "" if found.int8_macs is None else f", {figures.percent(found.int8_macs)} of the multiplications"
        text += f" {found.int8_nodes} of {found.total_nodes} convolutions and matrix products run in INT8{share}."
    if found.float_nodes:
        text += f" In float: {_by_reason(found.float_nodes)}."
    return text


def _by_reason(nodes: Sequence[FloatNode]) -> str:
    """Nodes that share a reason, together."""
    reasons: dict[str, list[str]] = {}
    for node in nodes:
        reasons.setdefault(node.why, []).append(node.node)
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())


def damage_rows(report: Report, count: int = 10) -> list[tuple[str, ...]]:
    """The layers whose INT8 moves the output most, a text for each of :data:`DAMAGE_COLUMNS`."""
    if report.quantization is None:
        return []
    return [
        (one.layer, one.node, figures.fine_percent(one.noise), "float" if one.kept_float else "INT8")
        for one in report.quantization.damages[:count]
    ]


def at_a_glance(report: Report) -> list[str]:
    """What distillation and the whole run did to accuracy, each with its interval, for whoever reads no further."""
    told = [report.goal.sentence] if report.goal else []
    told += [report.ensemble.sentence] if report.ensemble else []
    asked = (
        ("what is shipped, against the baseline", report.shipped_change),
        (f"what the teachers brought, distill against {_without_teachers(report)}", report.taught_change),
    )
    return told + [f"{label}: {_change(found)}" for label, found in asked if found is not None]


def _without_teachers(report: Report) -> str:
    again = report.ensemble is not None and report.ensemble.trained_again
    return "the same training without them" if again else "baseline"


def _change(found: PairedChange) -> str:
    ends = f"{figures.signed_points(found.low)} to {figures.signed_points(found.high)}"
    shown = "" if found.low > 0 or found.high < 0 else "; a difference is not shown"
    return f"{figures.signed_points(found.change)} points of accuracy (95 %: {ends}, {found.n} images{shown})"


def beside_verdict(report: Report) -> list[tuple[str, str]]:
    """What has to be read together with the verdict: what was assumed, and why it may be wrong."""
    return [("assumed", text) for text in report.assumed] + [("doubt", text) for text in report.doubts]


def notes(report: Report) -> list[tuple[str, str]]:
    """Every note with the stage it belongs to, empty for those of the whole run."""
    return [("", warning) for warning in report.warnings] + [
        (row.name, note) for row in report.stages for note in row.notes
    ]


def time_spent(phases_s: Mapping[str, float]) -> str:
    """Where time went in a line, the longest phase first; short ones are in the sum alone."""
    phases = sorted(phases_s.items(), key=lambda phase: -phase[1])
    told = [f"{name} {figures.seconds(value)}" for name, value in phases if value >= _SHORT_S]
    return f"{figures.seconds(sum(phases_s.values()))}{': ' * bool(told)}{', '.join(told)}"


def phase_rows(report: Report) -> list[tuple[str, ...]]:
    """A phase of the run with its time and its share of the whole, a text for each of :data:`PHASE_COLUMNS`."""
    whole_s = sum(report.phases_s.values())
    phases = sorted(report.phases_s.items(), key=lambda phase: -phase[1])
    rows: list[tuple[str, ...]] = [
        (name, figures.seconds(value), figures.percent(value / whole_s)) for name, value in phases if value > 0
    ]
    return [*rows, ("until this was written", figures.seconds(whole_s), "")] if rows else []


def measured_where(report: Report) -> list[tuple[str, str]]:
    """Everything the figures depend on, a label and a text each."""
    bundle = report.bundle
    in_force = ", ".join(f"{name} {value}" for name, value in report.conditions.items())
    return [
        ("machine", _machine(report.machine)),
        ("versions", f"edgewright {report.edgewright}, {_versions(report.machine)}"),
        *([("made on", f"{_machine(made)}; {_versions(made)}")] if (made := report.made_on) else []),
        *([("in force", in_force)] if in_force else []),
        ("data", report.data),
        ("bundle", f"{bundle.path}/, {figures.megabytes(bundle.size_bytes)}, sha256 {bundle.sha256}"),
    ]


def _machine(machine: MachineEntry) -> str:
    device = f"{machine.device}, over SSH: " if machine.device else ""
    cpu = f"{machine.cpu}, {machine.cores} cores, {machine.ram_gib} GiB, {machine.system} on {machine.architecture}"
    isa = f" ({', '.join(machine.isa)})" if machine.isa else ""
    return f"{device}{cpu}{isa}; class {machine.class_}"


def _versions(machine: MachineEntry) -> str:
    return ", ".join(f"{name} {version}" for name, version in machine.versions.items() if version)
