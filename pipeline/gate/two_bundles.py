"""The gate: two bundles side by side, measured, judged, told in one record."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.pairs.paired_processes import PairProcess, PairProtocol
from benchmarks.statistics.margins import EFFORTS, Effort, Margins
from benchmarks.statistics.non_inferiority import change_of, judge_accuracy, judge_memory, judge_size
from benchmarks.statistics.paired_metric import metric_drop
from benchmarks.workers.workplace import HERE, Workplace
from pipeline.catalog import task_of
from pipeline.errors import ParityError
from pipeline.gate.latency_looks import judge_side_by_side
from pipeline.gate.verdicts import exit_code, overall, sentence
from pipeline.measuring.bundle_measurement import engine_of, loaded_bytes, score_bundle
from pipeline.report.comparison import Comparison, Difference, MetricRow, ProcessPoint, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.engine import Engine
    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.progress import Progress

__all__ = ["GateOptions", "comparable", "decided", "gate", "judge_answers"]

_FIXED_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""glibc moves this threshold by what was freed so far, and with it the peak of one and the same model by a tenth from
process to process; given, it stays."""

_MEMORY_PROFILE = {
    "iterations": 16, "min_iterations": 16, "max_s": 5.0, "warmup_s": 0.0, "warmup_limit": 16,
}  # fmt: skip
"""Memory needs no timing: a few inferences bring the process to its peak."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOptions:
    """How a gate is run.

    Attributes:
        margins: What is still fine.
        effort: How much evidence.
        protocol: How each process measures.
        threads: Of both runtimes; None: as each bundle says.
        seed: Of orders and draws.
        place: Where both run.
    """

    margins: Margins = field(default_factory=Margins)
    effort: Effort = EFFORTS["default"]
    protocol: PairProtocol = field(default_factory=PairProtocol)
    threads: int | None = None
    seed: int = 0
    place: Workplace = HERE


def gate(baseline: Bundle, candidate: Bundle, dataset: Dataset, options: GateOptions, progress: Progress) -> Comparison:
    """Whether the candidate got slower, bigger or less accurate than the baseline.

    Both run on one machine, now: figures of another time or machine play no part.

    Args:
        baseline: A verified bundle.
        candidate: A verified bundle.
        dataset: Its test split is scored; some of it is what latency is measured with.
        options: Margins and effort.
        progress: Told of everything that takes time.

    Raises:
        ParityError: when the two are not for the same task and classes.
        EdgewrightError: when one of them does not run.
    """
    start = time.monotonic()
    _check_comparable(baseline, candidate)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        sides = _sides(baseline, candidate, dataset, options, Path(scratch))
        still = _still_figures(sides, dataset, options, progress)
        latency = judge_side_by_side(
            sides[0].engine,
            sides[1].engine,
            progress,
            protocol=options.protocol,
            margins=options.margins,
            effort=options.effort,
            seed=options.seed,
            place=options.place,
        )
    found = Comparison(
        baseline=baseline.sha256,
        candidate=candidate.sha256,
        verdict=Verdict.OK,
        sentence="",
        exit_code=0,
        metrics=(*latency.rows, *still),
        processes=tuple(_point(process) for process in latency.processes),
        control_change=math.expm1(latency.control.change.estimate),
        control_low=change_of(latency.control.change.low),
        control_high=change_of(latency.control.change.high),
        looks=latency.looks,
        unfit=latency.control.reasons,
        differences=_differences(sides, latency.processes),
        notes=_notes(latency.processes),
        wall_s=time.monotonic() - start,
    )
    return decided(found, candidate)


def judge_answers(
    baseline: Bundle, candidate: Bundle, dataset: Dataset, options: GateOptions, progress: Progress
) -> tuple[MetricRow, ...]:
    """What the gate says of the candidate's answers, without timing anything; arguments and errors as of :func:`gate`.

    Returns:
        The rows ``accuracy`` and ``agreement``.
    """
    _check_comparable(baseline, candidate)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        return _answers(_sides(baseline, candidate, dataset, options, Path(scratch)), dataset, options, progress)


def decided(found: Comparison, candidate: Bundle) -> Comparison:
    """The comparison with verdict, sentence and exit code as its metrics and what is missing demand."""
    verdict = overall(found)
    return found.model_copy(
        update={
            "verdict": verdict,
            "sentence": sentence(found, verdict, f"{candidate.manifest['model']} for {candidate.manifest['target']}"),
            "exit_code": exit_code(found, verdict),
        }
    )


@dataclass(frozen=True, slots=True)
class _Side:
    bundle: Bundle
    engine: Engine


def _sides(baseline: Bundle, candidate: Bundle, dataset: Dataset, options: GateOptions, scratch: Path) -> list[_Side]:
    return [
        _Side(bundle, engine_of(bundle, dataset, scratch / f"{name}.bin", threads=options.threads))
        for name, bundle in (("baseline", baseline), ("candidate", candidate))
    ]


def comparable(baseline: Bundle, candidate: Bundle) -> bool:
    """Whether they answer the same question: with other classes, nothing of one says anything of the other."""
    return _unlike(baseline, candidate) is None


def _check_comparable(baseline: Bundle, candidate: Bundle) -> None:
    unlike = _unlike(baseline, candidate)
    if unlike is not None:
        raise unlike


def _unlike(baseline: Bundle, candidate: Bundle) -> ParityError | None:
    """Why they cannot be compared; None where they can."""
    if baseline.manifest["task"] != candidate.manifest["task"]:
        return ParityError(
            "the two bundles are for different tasks",
            got=candidate.manifest["task"],
            expected=baseline.manifest["task"],
        )
    lacking = sorted(set(baseline.classes) ^ set(candidate.classes))
    if lacking:
        return ParityError(
            "parity: the two bundles do not know the same classes",
            where=str(candidate.root),
            got=f"{len(candidate.classes)} classes",
            expected=f"the {len(baseline.classes)} of the baseline; first difference {lacking[0]!r}",
            fix="make the candidate the beginning of what is compared from now on: edgewright baseline accept",
        )
    return None


def _still_figures(
    sides: Sequence[_Side], dataset: Dataset, options: GateOptions, progress: Progress
) -> tuple[MetricRow, ...]:
    """What needs no pairs: memory, load time, size, accuracy.

    Memory processes run one after the other and in turn: two at a time now and then get other pages from the kernel.
    """
    effort, place = options.effort, options.place
    request = {"affinity": list(options.protocol.affinity), "seed": options.seed, **_MEMORY_PROFILE}
    rounds = []
    with place.one_at_a_time(), progress.track("memory", effort.memory_processes) as ticker:
        for _ in range(effort.memory_processes):
            rounds.append([place.timed(side.engine, request, environment=_FIXED_ALLOCATOR)[0] for side in sides])
            ticker.advance()
    sizes = [loaded_bytes(side.bundle) for side in sides]
    return (
        _memory(rounds, options),
        judge_size(sizes[0], sizes[1], options.margins),
        *_answers(sides, dataset, options, progress),
        _told("load time", rounds, "load_ns"),
        _told("first inference", rounds, "first_ns"),
    )


def _answers(
    sides: Sequence[_Side], dataset: Dataset, options: GateOptions, progress: Progress
) -> tuple[MetricRow, ...]:
    """Accuracy, and on how many images both decide the same."""
    place = options.place
    first, second = (score_bundle(one.bundle, dataset, progress, engine=one.engine, place=place) for one in sides)
    task = task_of(sides[0].bundle.manifest)
    same = sum(task.alike(first.decisions, second.decisions))
    drop = metric_drop(task, first, second, alpha=options.effort.alpha)
    return judge_accuracy(drop, same, options.margins, options.effort)


def _memory(rounds: Sequence[Sequence[dict[str, Any]]], options: GateOptions) -> MetricRow:
    held = [[_beyond_runtime(results[side]["memory_bytes"]) for results in rounds] for side in (0, 1)]
    known = [[value for value in side if value is not None] for side in held]
    if any(len(side) < len(rounds) for side in known):
        return MetricRow(
            name="memory", unit="B", baseline=None, candidate=None, change=None, limit=options.margins.memory,
            method="peak resident", verdict=Verdict.OK, gating=False, note="memory is not told by this system",
        )  # fmt: skip
    return judge_memory(known[0], known[1], options.margins, options.effort)


def _beyond_runtime(memory: dict[str, int | None]) -> int | None:
    peak, imported = memory["peak"], memory["import"]
    return None if peak is None or imported is None else max(peak - imported, 1)


def _told(name: str, rounds: Sequence[Sequence[dict[str, Any]]], field: str) -> MetricRow:
    """A figure that is reported and decides nothing."""
    baseline, candidate = (median(results[side][field] / 1e9 for results in rounds) for side in (0, 1))
    return MetricRow(
        name=name,
        unit="s",
        baseline=baseline,
        candidate=candidate,
        change=candidate / baseline - 1,
        limit=0.10,
        method="medians of fresh processes; decides nothing",
        verdict=Verdict.OK if candidate <= 1.1 * baseline else Verdict.INCONCLUSIVE,
        gating=False,
    )


def _point(process: PairProcess) -> ProcessPoint:
    return ProcessPoint(
        kind=process.kind,
        position=process.position,
        pairs=len(process.a_s),
        p50_change=math.expm1(process.median_change()),
        p90_change=math.expm1(process.quantile_change(0.9)),
        baseline_p50_s=median(process.a_s),
        other_p50_s=median(process.b_s),
        pressure=process.state.pressure,
        others=process.state.others,
        steal=process.state.steal,
        mhz=process.state.mhz,
    )


def _differences(sides: Sequence[_Side], processes: Sequence[PairProcess]) -> tuple[Difference, ...]:
    """What is not the same on both sides, from the manifests and from what the runtimes say is in force."""
    facts = next(process.raw["facts"] for process in processes if process.kind == "pair")
    told = []
    for side, name in zip(sides, ("a", "b"), strict=True):
        manifest = side.bundle.manifest
        told.append(
            {
                "model": manifest["model"],
                "target": manifest["target"],
                "precision": manifest["precision"],
                "suppression, within what is timed": manifest.get("nms") == "graph" or None,
                **{f"made with {library}": version for library, version in manifest["versions"].items()},
                **{f"made for {key}": value for key, value in manifest["machine"].items()},
                **{f"in force: {key}": value for key, value in facts[name].items()},
                "test images": manifest["provenance"]["data"]["test"][:12],
            }
        )
    keys = dict.fromkeys((*told[0], *told[1]))
    return tuple(
        Difference(what=key, baseline=_shown(told[0].get(key)), candidate=_shown(told[1].get(key)))
        for key in keys
        if told[0].get(key) != told[1].get(key)
    )


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)


def _notes(processes: Sequence[PairProcess]) -> tuple[str, ...]:
    unsettled = sum(not process.converged for process in processes)
    settled = (f"the warm-up of {unsettled} of {len(processes)} processes did not settle",) if unsettled else ()
    apart = "each side ran in a process of its own, stopped while the other had its turn: idle threads would disturb it"
    return (*settled, apart) if any(process.apart for process in processes) else settled
