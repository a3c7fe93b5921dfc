"""Deciding for a target that can be built here and not run: every precision is built, none is timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.target import HALVES, PRECISIONS
from pipeline.artifact import ArtifactKind
from pipeline.chain.engine_measurement import loaded_size
from pipeline.data.dataset import read_images
from pipeline.errors import ParityError
from pipeline.planning.decision_record import Candidate, Decision, Tried
from pipeline.planning.int8_search import SEARCH_IMAGES, export_of, written
from pipeline.quantization.calibrated import read_calibration
from pipeline.quantization.sensitivity import outputs_of
from pipeline.tasks import agreement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain

__all__ = ["decide_unmeasured"]

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
        ParityError: when the precision that was asked for does not compute what the network computes.
    """
    section, asked = chain.plan.recipe.export, chain.plan.recipe.build.precision
    candidate = Candidate(
        method="mse" if section.method == "auto" else section.method,
        dialect=target.dialect(chain.plan.machine),
        float_nodes=tuple(sorted(section.float_nodes)),
        kept="export.float_nodes" if section.float_nodes else "",
    )
    onnx = {ArtifactKind.ONNX: chain.execute(export_of(chain.plan, candidate), artifacts).artifact}
    noise, alike = _simulated(chain, artifacts[ArtifactKind.CALIBRATION], candidate)
    built, refused = _built(chain, target, candidate, onnx)
    precision = next(one for one in _SAFEST if one in built) if asked == "auto" else asked
    if precision in refused:
        raise refused[precision]
    tried = [
        Tried(
            label=candidate.label if one == "int8" else one,
            noise=noise if one == "int8" else None,
            agreement=alike if one == "int8" else None,
            size_bytes=loaded_size(engine),
            outcome=f"{'shipped' if one == precision else 'built'}, not timed{_products(engine)}",
        )
        for one, engine in built.items()
    ]
    tried += [Tried(label=one, outcome=f"refused: {error.what}, {error.got}") for one, error in refused.items()]
    reason = f"{precision} on request" if asked != "auto" else f"{precision}, since nothing can be timed here"
    return Decision(
        precision=precision,
        reason=f"{reason}: {chain.plan.cannot_run(target)}",
        candidate=candidate,
        tried=tuple(tried),
    )


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
    images = list(read_images(parts.dataset.calibration[:SEARCH_IMAGES], parts.preprocess))
    quantised = written(chain.plan, calibrated, candidate)
    reference, outputs = outputs_of(calibrated.model, images), outputs_of(quantised, images, exact=True)
    task = parts.task
    return task.noise(outputs, reference), agreement(task, task.decide(outputs), task.decide(reference))
