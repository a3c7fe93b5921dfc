"""Runtime options of the engine that is shipped, tried where the run measures."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.solo import QUICK, measure_in_turn
from pipeline.planning.time_ratio import engines_of
from pipeline.report.figures import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain

__all__ = ["LEAST_S", "best_options"]

_ROUNDS = 3
_WORTHWHILE = 0.97
"""Options other than the defaults are taken for a gain beyond the noise of a few processes."""
LEAST_S = 60.0
"""Trying them may take so long whatever is left of the budget."""
_PROFILE = replace(QUICK, processes=1, iterations=120, min_iterations=32, max_s=3.0)


def best_options(chain: Chain, target: Target, engine: Artifact, *, left_s: float) -> Mapping[str, Json]:
    """Those of the target's variants with which the engine is fastest; empty when the defaults are as fast.

    Faster is a lower median without a higher ninth decile: threads that wait actively are quick on an idle machine and
    late on a busy one.

    Each runs in processes of its own, in turn and round by round: idle threads of one session that wait actively
    would slow another in the same process.

    Args:
        chain: The run.
        target: Of the engine.
        engine: That is shipped.
        left_s: Of the budget. Where an engine is so slow that trying would take longer, and longer than a minute, the
            defaults stay, and the user is told.
    """
    section, place = chain.plan.recipe.measure, chain.plan.place
    variants: list[Mapping[str, Json]] = [{}, *target.variants(place.machine)]
    if section.threads is not None:
        variants = [variant for variant in variants if "threads" not in variant]
    found: list[list[list[float]]] = [[] for _ in variants]
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        (usual_engine,) = engines_of(chain, (engine,), Path(scratch))
        spec = usual_engine.spec
        trials = [number for _ in range(_ROUNDS) for number in range(len(variants))] if len(variants) > 1 else []
        first_s = 0.0
        for done, number in enumerate(trials):
            if done == 1 and (whole_s := first_s * len(trials)) > max(LEAST_S, left_s):
                chain.progress.note(
                    f"runtime options are not tried: with this engine that would take {seconds(whole_s)}, and of "
                    f"--budget {seconds(max(0.0, left_s))} are left"
                )
                return {}
            one = replace(usual_engine, spec=replace(spec, options={**spec.options, **variants[number]}))
            with place.one_at_a_time():  # waiting for others says nothing of the engine
                began = time.monotonic()
                found[number].append(measure_in_turn(one, _PROFILE, chain.progress, place=place).samples_s())
                first_s = first_s or time.monotonic() - began
    figures = [(median(map(median, rounds)), median(map(_ninth_decile, rounds))) for rounds in found if rounds]
    if not figures:
        return {}
    usual = figures[0]
    better = [number for number, own in enumerate(figures) if own[0] < _WORTHWHILE * usual[0] and own[1] <= usual[1]]
    return variants[min(better, key=lambda number: figures[number][0])] if better else {}


def _ninth_decile(samples: Sequence[float]) -> float:
    return sorted(samples)[int(0.9 * (len(samples) - 1))]
