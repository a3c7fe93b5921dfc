"""INT8 formats, range method and bits of the weights, by the error they make on calibration images.

For a device, speed and accuracy are measured there; only this error is computed here, by the arithmetic that Q/DQ
stands for where the device has other instructions, and for a GPU.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.data.dataset import read_images
from pipeline.environment import this_machine
from pipeline.planning.int8_candidate import Candidate, written
from pipeline.quantization.dialects import saturates
from pipeline.quantization.sensitivity import layer_damages, outputs_of
from pipeline.tasks import agreement

if TYPE_CHECKING:
    from exporters.target import Target
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import Plan
    from pipeline.planning.measured_forms import MeasuredForms
    from pipeline.quantization.ranges import Method
    from pipeline.quantization.sensitivity import LayerDamage
    from pipeline.session import Array

__all__ = ["Formats", "formats", "search_images"]

_SEARCH_IMAGES, _FIRST_IMAGES = 64, 16
"""Calibration images by which forms are judged; what is hopeless on the first is not looked at on all."""
_HOPELESS = 1.5
"""A format whose error on the first images is so many times the best one's is not looked at further."""


def search_images(plan: Plan) -> list[Array]:
    """The calibration images by which forms are judged, as the network is fed with them."""
    return list(read_images(plan.parts.dataset.calibration[:_SEARCH_IMAGES], plan.parts.preprocess))


def formats(plan: Plan, target: Target) -> list[Candidate]:
    """Those that the recipe leaves open, first the one that is usually best: a budget may end the search early."""
    section, machine = plan.recipe.export, plan.machine
    methods: tuple[Method, ...] = (
        ("mse", "minmax", "percentile", "entropy") if section.method == "auto" else (section.method,)
    )
    fixed = tuple(sorted(section.float_nodes))
    full = target.dialect(machine)
    narrow = f"{full}-7bit"
    # what saturates there is not seen by exact arithmetic
    either = (narrow,) if _has_other_instructions(plan) else (full, narrow)
    dialects = {8: (full,), 7: (narrow,), "auto": either if saturates(full, machine) else (full,)}
    return [
        Candidate(method=method, dialect=dialect, float_nodes=fixed, kept="export.float_nodes" if fixed else "")
        for dialect in dialects[section.weight_bits]
        for method in methods
    ]


def _has_other_instructions(plan: Plan) -> bool:
    there, here = plan.machine, this_machine()
    return (there.architecture, there.isa) != (here.architecture, here.isa)


class Formats:
    """What formats and single layers err, computed here.

    Args:
        chain: What is run.
        target: Where it will run.
        forms: Where it is noted; they have the calibration.
    """

    def __init__(self, chain: Chain, target: Target, forms: MeasuredForms) -> None:
        self._chain, self._forms = chain, forms
        self._task = chain.plan.parts.task
        # fused kernels of this CPU say nothing of a GPU's: they round biases that it does not
        self._exact = _has_other_instructions(chain.plan) or not target.on_cpu
        self._images = search_images(chain.plan)

    def best(self, candidates: list[Candidate]) -> Candidate:
        """The one with the least error; the first where there is no time to look."""
        forms, task, calibrated = self._forms, self._task, self._forms.calibrated
        first = candidates[0]
        if forms.left_s() <= 0:
            return first
        reference = outputs_of(calibrated.model, self._images)
        best, least_early, least = first, math.inf, math.inf
        with self._chain.progress.track("INT8 formats", len(candidates)) as ticker:
            for candidate in candidates:
                ticker.advance(status=candidate.label)
                if forms.left_s() <= 0:
                    forms.note(candidate, "not looked at: the budget was spent")
                    continue
                model = written(self._chain.plan, calibrated, candidate)
                outputs = outputs_of(model, self._images[:_FIRST_IMAGES], exact=self._exact)
                early = task.noise(outputs, reference[:_FIRST_IMAGES])
                if early > _HOPELESS * least_early:
                    forms.note(candidate, f"given up after {len(outputs)} images: more error", noise=early)
                    continue
                outputs += outputs_of(model, self._images[_FIRST_IMAGES:], exact=self._exact)
                noise = task.noise(outputs, reference)
                alike = agreement(task, task.decide(outputs), task.decide(reference))
                forms.note(candidate, "more error than the best", noise=noise, agreement=alike)
                least_early = min(least_early, early)
                if noise < least:
                    best, least = candidate, noise
        forms.note(best, "the least error of all formats")
        return best

    def damages(self, best: Candidate) -> list[LayerDamage]:
        """What each layer errs that alone runs in INT8 as that candidate has it, the worst first."""
        left_s = self._forms.left_s()
        if left_s <= 0:
            return []
        return layer_damages(
            self._forms.calibrated.model,
            lambda nodes: written(self._chain.plan, self._forms.calibrated, best, nodes),
            self._images[:_FIRST_IMAGES],
            self._chain.progress,
            budget_s=left_s / 3,
        )
