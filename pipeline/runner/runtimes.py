"""What would be shipped beside the plain runtimes on the same network: is all this worth it, on this machine?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.engine import Engine, write_inputs
from benchmarks.margins import EFFORTS, Effort, Margins
from benchmarks.pairs import PairProtocol
from exporters import plain
from exporters.target import HALVES, Precision
from pipeline.artifact import FLOAT_MODEL, ArtifactKind
from pipeline.catalog import OPENERS
from pipeline.data.dataset import read_images, rotating_samples
from pipeline.report.gate_texts import gate_cells
from pipeline.runner.deploy import finished
from pipeline.runner.latency import judge_side_by_side
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.report.comparison import MetricRow
    from pipeline.runner.chain import Chain
    from pipeline.runner.deploy import Finished

__all__ = ["COLUMNS", "Beside", "beside_plain_runtimes", "cells"]

COLUMNS = ("beside", "precision", "its p50", "target", "its p50", "change", "interval", "verdict")

PRECISIONS: tuple[Precision, ...] = ("float", *HALVES, "int8")
_INPUTS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """One comparison.

    Attributes:
        precision: Of both.
        target: Whose engine would be shipped.
        runtime: What it stands beside.
        p50: Judged as by the gate: the runtime is the baseline, the shipped engine the candidate.
        unfit: Why the machine could not be judged by.
    """

    precision: Precision
    target: str
    runtime: str
    p50: MetricRow
    unfit: tuple[str, ...]


def beside_plain_runtimes(
    chain: Chain, *, effort: Effort = EFFORTS["default"], protocol: PairProtocol | None = None
) -> Iterator[Beside]:
    """Run the plan in every precision and hold what each target gets against every runtime that is installed.

    Args:
        chain: The run; nothing is published.
        effort: How much evidence.
        protocol: How each process measures; default: the gate's.
    """
    for precision in PRECISIONS:
        targets = tuple(target for target in chain.plan.targets if precision in target.precisions)
        if not targets:
            continue
        build = chain.plan.recipe.build.model_copy(update={"precision": precision})
        recipe = chain.plan.recipe.model_copy(update={"build": build})
        own = replace(chain, plan=replace(chain.plan, recipe=recipe, targets=targets))
        for one in finished(own):
            if not one.target.cannot_run():
                yield from _beside(own, one, precision, effort, protocol or PairProtocol())


def cells(one: Beside) -> tuple[str, ...]:
    """A text for each of :data:`COLUMNS`."""
    _, verdict, theirs, ours, change, interval, _ = gate_cells(one.p50)
    return one.runtime, one.precision, theirs, one.target, ours, change, interval, verdict


def _beside(
    chain: Chain, one: Finished, precision: Precision, effort: Effort, protocol: PairProtocol
) -> Iterator[Beside]:
    parts = chain.plan.parts
    engine = one.artifacts[ArtifactKind.ENGINE]
    spec = EngineSpec.from_json(engine.facts["engine"])
    samples = rotating_samples(parts.dataset.test, _INPUTS)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        own_inputs, float_inputs = Path(scratch, "own.bin"), Path(scratch, "float.bin")
        ours = Engine(folder=engine.root, spec=spec, opener=OPENERS[spec.target], inputs=own_inputs)
        write_inputs(own_inputs, read_images(samples, parts.preprocess, spec.input.dtype), spec)
        for folder, other in _others(chain, one, precision, spec):
            write_inputs(float_inputs, read_images(samples, parts.preprocess), other)
            theirs = Engine(folder=folder, spec=other, opener=plain.OPENERS[other.target], inputs=float_inputs)
            seed = chain.plan.recipe.seed
            judged = judge_side_by_side(
                theirs, ours, chain.progress, protocol=protocol, margins=Margins(), effort=effort, seed=seed
            )
            yield Beside(
                precision=precision,
                target=one.target.name,
                runtime=other.target,
                p50=judged.rows[0],
                unfit=judged.control.reasons,
            )


def _others(chain: Chain, one: Finished, precision: Precision, spec: EngineSpec) -> Iterator[tuple[Path, EngineSpec]]:
    """Folder and spec of the same network in every plain runtime that computes in that precision by itself.

    OpenVINO takes 16-bit floats for a float network where the CPU has them.
    """
    exported = one.artifacts[ArtifactKind.ONNX]
    assert one.made.decision is not None  # noqa: S101 - a finished target has one
    model = one.made.decision.candidate.file if precision == "int8" else FLOAT_MODEL
    height, width = chain.plan.parts.preprocess.size
    floats = replace(spec, input=replace(spec.input, name="input", shape=(1, 3, height, width), dtype="float32"))
    for name in plain.plain_runtimes():
        if precision == "int8" or plain.computes_in(name) == precision:
            yield exported.root, plain.of_onnx(name, floats, model)
    if precision == "float":
        yield one.artifacts[ArtifactKind.NETWORK].root, plain.of_network(floats, chain.plan.parts.model)
