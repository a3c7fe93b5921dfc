"""What would be shipped beside the plain runtimes on the same network: is all this worth it, where it is measured?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.engine import Engine, write_inputs
from benchmarks.pairs.paired_processes import PairProtocol
from benchmarks.statistics.margins import EFFORTS, Effort, Margins
from benchmarks.workers.workplace import HERE
from exporters import default_runtimes as plain
from exporters.target import PRECISIONS, Precision
from pipeline.artifact import ArtifactKind
from pipeline.data.dataset import read_images, rotating_samples
from pipeline.errors import UsageError
from pipeline.gate.latency_looks import judge_side_by_side
from pipeline.measuring.engine_inputs import engine_on_images
from pipeline.planning.fastest_target import Contender, fastest
from pipeline.report.gate_texts import gate_cells
from pipeline.runner.deploy import finished
from pipeline.runner.preflight import preflight
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.report.comparison import MetricRow
    from pipeline.runner.deploy import Finished

__all__ = ["COLUMNS", "Beside", "beside_plain_runtimes", "cells"]

COLUMNS = ("beside", "precision", "its p50", "target", "its p50", "change", "interval", "verdict")

_INPUTS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """One comparison.

    Attributes:
        precision: Of both.
        target: Whose engine would be shipped.
        runtime: What it stands beside.
        shipped: Whether it is the engine that would be shipped.
        p50: Judged as by the gate: the runtime is the baseline, the shipped engine the candidate.
        unfit: Why the machine could not be judged by.
    """

    precision: Precision
    target: str
    runtime: str
    shipped: bool
    p50: MetricRow
    unfit: tuple[str, ...]


def beside_plain_runtimes(
    chain: Chain, *, effort: Effort = EFFORTS["default"], protocol: PairProtocol | None = None
) -> Iterator[Beside]:
    """Run the plan, build every precision from it, and hold each against every runtime where the plan measures.

    PyTorch is one of them on this machine alone: devices have none.

    Args:
        chain: The run; nothing is published. Of the targets of ``auto`` only the fastest of each precision is held,
            and what would be shipped.
        effort: How much evidence.
        protocol: How each process measures; default: the gate's.

    Raises:
        UsageError: when none of the targets can run there.
    """
    reasons = {target.name: chain.plan.cannot_run(target) for target in chain.plan.targets}
    if all(reasons.values()):
        raise UsageError(
            "none of the targets can run here, so there is nothing to time",
            got="; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
            fix="add --target ort-cpu or --target auto",
        )
    chain = preflight(chain)
    every = replace(chain, plan=replace(chain.plan, fastest_only=False))
    runs = [one for one in finished(every) if not chain.plan.cannot_run(one.target)]
    runtimes = plain.plain_runtimes(chain.plan.place.cannot_run)
    machine, shipping = chain.plan.machine, _shipping(chain, runs)
    for precision in PRECISIONS:
        held = precision in {"float", "int8"} or any(plain.computes_in(name, machine) == precision for name in runtimes)
        able = [one for one in runs if precision in one.target.precisions] if held else []
        built = [_built(one, precision) for one in able]
        if built and chain.plan.fastest_only:
            number, _ = fastest(chain, [Contender(target=one.run.target, engine=one.engine) for one in built])
            built = [one for one in built if one is built[number] or _is_shipped(one, shipping)]
        for one in built:
            yield from _beside(one, effort, protocol or PairProtocol(), shipped=_is_shipped(one, shipping))


def _shipping(chain: Chain, runs: Sequence[Finished]) -> Sequence[Finished]:
    """Those of the runs that would be published: of the targets of ``auto`` the one that ``deploy`` takes."""
    if not chain.plan.fastest_only:
        return runs
    contenders = [Contender(target=one.target, engine=one.artifacts[ArtifactKind.ENGINE]) for one in runs]
    number, _ = fastest(chain, contenders)
    return [runs[number]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Built:
    """A precision of what a target got: the engine, and the ONNX file it was built from."""

    run: Finished
    precision: Precision
    engine: Artifact
    source: str


def _is_shipped(one: _Built, shipping: Sequence[Finished]) -> bool:
    published = any(one.run is run for run in shipping)
    return published and one.precision == one.run.artifacts[ArtifactKind.ENGINE].facts["precision"]


def _built(run: Finished, precision: Precision) -> _Built:
    chain = run.chain
    decision = run.made.decision
    assert decision is not None  # noqa: S101 - a finished target has one
    source = decision.candidate.source(precision)
    stage = chain.plan.build_stage(run.target, source=source, precision=precision, options=decision.options)
    engine = chain.execute(stage, {ArtifactKind.ONNX: run.artifacts[ArtifactKind.ONNX]}).artifact
    return _Built(run=run, precision=precision, engine=engine, source=source)


def cells(one: Beside) -> tuple[str, ...]:
    """A text for each of :data:`COLUMNS`."""
    _, verdict, theirs, ours, change, interval, _ = gate_cells(one.p50)
    return one.runtime, one.precision, theirs, one.target, ours, change, interval, verdict


def _beside(one: _Built, effort: Effort, protocol: PairProtocol, *, shipped: bool) -> Iterator[Beside]:
    chain = one.run.chain
    parts = chain.plan.parts
    spec = EngineSpec.from_json(one.engine.facts["engine"]).with_threads(chain.plan.recipe.measure.threads)
    samples = rotating_samples(parts.dataset.test, _INPUTS)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        ours = engine_on_images(one.engine.root, spec, samples, parts.preprocess, Path(scratch, "own.bin"))
        floats, inputs = _taking_floats(one, spec), Path(scratch, "float.bin")
        write_inputs(inputs, read_images(samples, parts.preprocess), floats)
        for folder, other in _others(one, floats):
            theirs = Engine(folder=folder, spec=other, opener=plain.OPENERS[other.target], inputs=inputs)
            seed = chain.plan.recipe.seed
            judged = judge_side_by_side(
                theirs,
                ours,
                chain.progress,
                protocol=protocol,
                margins=Margins(),
                effort=effort,
                seed=seed,
                place=chain.plan.place,
            )
            yield Beside(
                precision=one.precision,
                target=one.run.target.name,
                runtime=other.target,
                shipped=shipped,
                p50=judged.rows[0],
                unfit=judged.control.reasons,
            )


def _taking_floats(one: _Built, spec: EngineSpec) -> EngineSpec:
    """The spec with the input of the exported graph, which takes no bytes."""
    import onnx

    shape = one.run.chain.plan.parts.preprocess.shape
    graph = onnx.load(one.run.artifacts[ArtifactKind.ONNX].path(one.source), load_external_data=False).graph
    name = graph.input[0].name
    return replace(spec, input=replace(spec.input, name=name, shape=shape, dtype="float32"))


def _others(one: _Built, floats: EngineSpec) -> Iterator[tuple[Path, EngineSpec]]:
    """Folder and spec of the same network in every plain runtime that computes in that precision by itself.

    An ONNX file has no network for PyTorch, a device no PyTorch. OpenVINO takes 16-bit floats for a float network where
    the CPU has them.
    """
    plan = one.run.chain.plan
    threads = plan.recipe.measure.threads
    for name in plain.plain_runtimes(plan.place.cannot_run):
        if one.precision == "int8" or plain.computes_in(name, plan.machine) == one.precision:
            yield one.run.artifacts[ArtifactKind.ONNX].root, plain.of_onnx(name, floats, one.source, threads=threads)
    if one.precision == "float" and ArtifactKind.NETWORK in one.run.artifacts and plan.place is HERE:
        network = one.run.artifacts[ArtifactKind.NETWORK].root
        yield network, plain.of_network(floats, plan.parts.model, threads=threads)
