"""Runtime options of the engine that is shipped, tried on the machine."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.engine import Engine, write_inputs
from benchmarks.solo import QUICK, measure_solo
from pipeline.catalog import OPENERS
from pipeline.data.dataset import read_images, rotating_samples
from pipeline.environment import this_machine
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.runner.chain import Chain

__all__ = ["best_options"]

_ROUNDS = 3
_WORTHWHILE = 0.97
"""Options other than the defaults are taken for a gain beyond the noise of a few processes."""
_PROFILE = replace(QUICK, processes=1, iterations=120, min_iterations=32, max_s=3.0)


def best_options(chain: Chain, target: Target, engine: Artifact) -> Mapping[str, Json]:
    """Those of the target's variants with which the engine is fastest; empty when the defaults are as fast.

    Each runs in processes of its own, in turn and round by round: idle threads of one session that wait actively
    would slow another in the same process.
    """
    parts, section = chain.plan.parts, chain.plan.recipe.measure
    variants: list[Mapping[str, Json]] = [{}, *target.variants(this_machine())]
    if section.threads is not None:
        variants = [variant for variant in variants if "threads" not in variant]
    spec = EngineSpec.from_json(engine.facts["engine"])
    times: list[list[float]] = [[] for _ in variants]
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        path = Path(scratch, "inputs.bin")
        write_inputs(path, read_images(rotating_samples(parts.dataset.calibration, 16), parts.preprocess), spec)
        for _ in range(_ROUNDS if len(variants) > 1 else 0):
            for variant, found in zip(variants, times, strict=True):
                own = replace(spec, options={**spec.options, **variant})
                one = Engine(folder=engine.root, spec=own, opener=OPENERS[spec.target], inputs=path)
                found.append(median(measure_solo(one, _PROFILE, chain.progress).samples_s()))
    if len(variants) == 1:
        return {}
    medians = [median(found) for found in times]
    best = medians.index(min(medians))
    return variants[best] if medians[best] < _WORTHWHILE * medians[0] else {}
