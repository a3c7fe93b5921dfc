"""Deciding for a target that can be built here and not run: every precision is built, none is timed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from exporters.target import HALVES, PRECISIONS
from pipeline.artifact import ArtifactKind
from pipeline.chain.engine_measurement import loaded_size
from pipeline.errors import ParityError
from pipeline.planning.int8_candidate import export_of, written
from pipeline.planning.int8_decision import Decision
from pipeline.planning.int8_formats import formats, search_images
from pipeline.planning.precision_choice import too_little_error
from pipeline.planning.trials import Trials
from pipeline.quantization.calibrated import read_calibration
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.sensitivity import outputs_of
from pipeline.quantization.share import int8_share
from pipeline.tasks import agreement

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import Plan
    from pipeline.planning.int8_candidate import Candidate
    from pipeline.quantization.share import Int8Share

__all__ = ["decide_unmeasured", "first_choice"]

_SAFEST: tuple[Precision, ...] = (*HALVES, "float")
"""What is shipped when nothing can be measured: INT8 might be slower than FP16 there, and nobody would know."""


def decide_unmeasured(chain: Chain, target: Target, artifacts: Mapping[ArtifactKind, Artifact]) -> Decision:
    """Build every precision of the target; ship what was asked for, else 16-bit floats, else float.

    A network that 16-bit floats cannot hold is told among what was tried, unless they were asked for. What INT8 does to
    the outputs is computed on this machine's CPU, with the arithmetic that Q/DQ stands for.

    Args:
        chain: What is run.
        target: Where it will run.
        artifacts: Holds the calibration.

    Raises:
        AccuracyError: when INT8 was asked for and too little of the network can run in it.
        ParityError: when the precision that was asked for does not compute what the network computes.
    """
    asked = chain.plan.recipe.build.precision
    candidate = formats(chain.plan, target)[0]
    trials = Trials("precisions", {"build.precision": asked})
    if asked == "int8" and not (share := _share(artifacts[ArtifactKind.CALIBRATION], candidate)).is_int8:
        raise too_little_error(share)
    onnx = {ArtifactKind.ONNX: chain.execute(export_of(chain.plan, candidate), artifacts).artifact}
    noise, alike = _simulated(chain, artifacts[ArtifactKind.CALIBRATION], candidate)
    built, refused = _built(chain, target, candidate, onnx)
    precision = _shipped(asked, built)
    if precision in refused:
        raise refused[precision]
    labels = {one: candidate.label if one == "int8" else one for one in PRECISIONS}
    for one, engine in built.items():
        outcome = f"{'shipped' if one == precision else 'built'}, not timed{_products(engine)}"
        trials.note(labels[one], outcome, {"size_bytes": loaded_size(engine)})
    if "int8" in built:
        trials.note(candidate.label, figures={"noise": noise, "agreement": alike})
    for one, error in refused.items():
        trials.note(labels[one], f"refused: {error.what}, {error.got}")
    why = f"{precision} on request" if asked != "auto" else f"{precision}, since nothing can be timed here"
    reason = f"{why}: {chain.plan.cannot_run(target)}"
    return Decision(precision=precision, candidate=candidate, choice=trials.choice(labels[precision], reason))


def first_choice(plan: Plan, target: Target) -> tuple[Candidate, Precision]:
    """Form and precision that are shipped for such a target, where the network holds in 16 bits.

    Args:
        plan: Of the run.
        target: That cannot run where it measures.
    """
    return formats(plan, target)[0], _shipped(plan.recipe.build.precision, target.precisions)


def _shipped(asked: Precision | Literal["auto"], there: Collection[str]) -> Precision:
    """What is shipped of the precisions that there are."""
    return next(one for one in _SAFEST if one in there) if asked == "auto" else asked


def _share(calibration: Artifact, candidate: Candidate) -> Int8Share:
    """How much of a form is INT8."""
    model = read_calibration(calibration).model
    return int8_share(model, dialect_named(candidate.dialect), frozenset(candidate.float_nodes))


def _built(
    chain: Chain, target: Target, candidate: Candidate, onnx: Mapping[ArtifactKind, Artifact]
) -> tuple[dict[Precision, Artifact], dict[Precision, ParityError]]:
    """The engine of each precision, and why one could not be made."""
    built: dict[Precision, Artifact] = {}
    refused: dict[Precision, ParityError] = {}
    for one in (one for one in PRECISIONS if one in target.precisions):
        stage = chain.plan.build_stage(target, source=candidate.source(one), precision=one)
        try:
            built[one] = chain.execute(stage, onnx).artifact
        except ParityError as error:
            refused[one] = error
    return built, refused


def _products(engine: Artifact) -> str:
    """How many convolutions and matrix products compute in what, where the builder told."""
    found: Mapping[str, int] = engine.facts["engine"]["options"].get("products", {})
    return f"; products: {', '.join(f'{count} {kind}' for kind, count in found.items())}" if found else ""


def _simulated(chain: Chain, calibration: Artifact, candidate: Candidate) -> tuple[float, float]:
    """Error and agreement of INT8 on calibration images, against the float graph."""
    parts, calibrated = chain.plan.parts, read_calibration(calibration)
    images = search_images(chain.plan)
    quantised = written(chain.plan, calibrated, candidate)
    reference, outputs = outputs_of(calibrated.model, images), outputs_of(quantised, images, exact=True)
    task = parts.task
    return task.noise(outputs, reference), agreement(task, task.decide(outputs), task.decide(reference))
