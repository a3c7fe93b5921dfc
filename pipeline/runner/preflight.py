"""What only PyTorch can tell, found out before hours are spent: does every network build, load its weights, answer?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline.chain.execution import cached
from pipeline.errors import UsageError
from pipeline.stage import Inputs
from pipeline.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.chain.chain import Chain
    from pipeline.stage import Stage
    from pipeline.subject import Parts

__all__ = ["preflight"]


def preflight(chain: Chain, folders: Iterable[Path]) -> None:
    """Try the student and the teachers, unless their first stage is in the store: then they were tried before.

    Args:
        chain: What will run.
        folders: Where results will be written; nothing is made there yet.

    Raises:
        UsageError: when a folder cannot be made or written to, a factory fails, or a network does not take the input
            or answer for the classes.
        WeightsError: when given weights do not fit.
    """
    for folder in folders:
        _check_writable(folder)
    recipe = chain.plan.recipe
    teaching = recipe.baseline.model_copy(update={"schedule": recipe.distill.teacher_schedule})
    firsts: list[tuple[Parts, Stage]] = [(chain.plan.parts, recipe.baseline)]
    firsts += [(parts, teaching) for parts in chain.plan.teachers]
    untried = [
        parts
        for parts, stage in firsts
        if cached(stage, Inputs(artifacts={}, subject=Subject(parts=parts)), chain.store, seed=recipe.seed) is None
    ]
    if not untried:
        return
    with chain.progress.track("trying the networks", len(untried)) as ticker:
        for parts in untried:
            _try(parts)
            ticker.advance()


def _check_writable(folder: Path) -> None:
    place = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not place.is_dir():
        raise UsageError("results cannot be put here", where=str(folder), got=f"{place} is a file", expected="a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError("results cannot be put here", where=str(folder), got=f"{place} may not be written to")


def _try(parts: Parts) -> None:
    from pipeline.models.build import build_network, check_outputs
    from pipeline.models.weights import load_weights

    classes = len(parts.dataset.classes)
    network = build_network(parts.model, classes=classes)
    load_weights(network, parts.weights)
    height, width = parts.preprocess.size
    check_outputs(network, (1, 3, height, width), classes=classes)
