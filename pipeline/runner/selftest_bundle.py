"""The bundle that the gate is tried on when the user names none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.workers.workplace import HERE
from exporters.bundle import read_bundle
from pipeline.artifact import sha256_of_json
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.recipe import Recipe
from pipeline.runner.deploy import deploy
from pipeline.runner.output_folder import BUNDLE

if TYPE_CHECKING:
    from benchmarks.workers.workplace import Workplace
    from exporters.bundle import Bundle
    from pipeline.progress import Progress
    from pipeline.store import Store

__all__ = ["made_for_selftest"]


def made_for_selftest(store: Store, progress: Progress, place: Workplace = HERE) -> Bundle:
    """A float ResNet-18 at 96 pixels, about ten milliseconds an inference, trained for an epoch on the digits.

    Args:
        store: Where it lies.
        progress: Told of the work.
        place: The machine it is for.
    """
    recipe = Recipe.model_validate(
        {
            "model": "resnet18",
            "weights": "none",
            "input": {"size": 96},
            "skip": ["distill", "prune"],
            "baseline": {"schedule": {"epochs": 1}},
            "build": {"precision": "float", "budget_s": 0},
            "measure": {"processes": 1, "iterations": 16},
        }
    )
    chain = Chain(make_plan(recipe, store, progress, place=place), store, progress, lambda _outcome: None)
    (deployed,) = deploy(chain, out=_folder(store, place))
    return read_bundle(deployed.folder / BUNDLE)


def _folder(store: Store, place: Workplace) -> Path:
    """Of each place its own: a bundle must not be replaced while it is gated elsewhere."""
    return store.root / "selftest" / sha256_of_json([place.name, place.identity])[:16]
