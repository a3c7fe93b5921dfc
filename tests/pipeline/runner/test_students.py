"""What a student is held against: the same training without teachers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.models.build import build_network
from pipeline.models.resolve import resolve_model
from pipeline.progress import SilentProgress
from pipeline.runner.deploy import deploy
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe import Recipe
    from pipeline.report import Report

_ROUNDS = {"epochs": 6, "batch_size": 16}


def _report(recipe: Recipe, store: Store, out: Path, told: list[str]) -> Report:
    class _Told(SilentProgress):
        def note(self, text: str) -> None:
            told.append(text)

    chain = Chain(make_plan(recipe, store, SilentProgress()), store, _Told(), lambda _: None)
    (deployed,) = deploy(chain, out=out)
    return deployed.report


@pytest.mark.slow
def test_a_network_that_comes_trained_is_held_against_the_same_training_without_teachers(
    tiny_recipe: Recipe, tiny_file: Path, tmp_path: Path
) -> None:
    """Trained weights that can still learn, and a teacher that knows nothing: what is gained is no teacher's doing."""
    torch.manual_seed(0)
    torch.save(build_network(resolve_model(f"{tiny_file}:tiny"), classes=3).state_dict(), tmp_path / "w.pth")
    distill = {
        "teachers": [f"{tiny_file}:tiny@none"],
        "weight": 0.0,
        "schedule": _ROUNDS,
        "teacher_schedule": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-6},
    }
    recipe = type(tiny_recipe).model_validate(
        {
            **tiny_recipe.model_dump(by_alias=True),
            "weights": str(tmp_path / "w.pth"),
            "skip": ["prune"],
            "distill": distill,
            "measure": {"processes": 1, "iterations": 12, "seeds": 2},
            "build": {"precision": "float", "budget_s": 0},
        }
    )
    told: list[str] = []
    report = _report(recipe, Store(tmp_path / "store"), tmp_path / "out", told)

    baseline, taught = (report.stage(name) for name in ("baseline", "distill"))
    assert baseline is not None
    assert taught is not None
    assert report.ensemble is not None
    assert report.ensemble.trained_again
    assert report.ensemble.untaught is not None
    assert (taught.accuracy.value or 0) > (baseline.accuracy.value or 0) + 0.3  # the fine-tuning's doing
    assert report.ensemble.untaught.accuracy == taught.accuracy.value
    assert report.ensemble.p_value == 1
    assert [one.untaught for one in report.ensemble.seeds] == [one.distilled for one in report.ensemble.seeds]
    assert report.taught_change is not None
    assert report.taught_change.change == 0
    assert any("it is trained once more" in text for text in told)
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "distill against the same training without them: +0.00 points" in page
