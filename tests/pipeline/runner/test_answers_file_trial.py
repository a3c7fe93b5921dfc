"""What teachers wrote down is read before anybody is trained, by a run and by what explains one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import DataError, WeightsError
from pipeline.progress import SilentProgress
from pipeline.runner.answers_file_trial import try_answer_files
from pipeline.runner.explain import explain
from pipeline.runner.preflight import preflight
from pipeline.training.answers_file import write_shared

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.chain.plan import Plan
    from pipeline.recipe import Recipe
    from pipeline.store import Store


def _plan(recipe: Recipe, store: Store, file: Path) -> Plan:
    distill = recipe.distill.model_copy(update={"teachers": (str(file),)})
    return make_plan(recipe.model_copy(update={"distill": distill}), store, SilentProgress())


def _write(recipe: Recipe, store: Store, file: Path, *, classes: Sequence[str], task: str = "classification") -> Plan:
    """A file about the training images, and the plan with it."""
    file.write_bytes(b"there has to be one to plan with")
    parts = _plan(recipe, store, file).parts
    logits = torch.zeros(len(parts.dataset.train), len(classes)).half()
    told = {"classes": classes, "model": "theirs", "task": task, "preprocess": parts.preprocess}
    write_shared(file, {"logits": logits}, samples=parts.dataset.train, **told)
    return _plan(recipe, store, file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "theirs.safetensors"


def test_bytes_that_are_no_answers_are_refused_before_any_network_is_built(
    tiny_recipe: Recipe, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(bytes(number * 7 % 251 for number in range(300)))
    plan = _plan(tiny_recipe, store, file)
    monkeypatch.setattr("pipeline.models.build.build_network", None)  # would fail if it were called
    with pytest.raises(WeightsError, match="this file of answers cannot be read"):
        preflight(Chain(plan, store, SilentProgress(), lambda _: None))
    with pytest.raises(WeightsError, match="this file of answers cannot be read"):
        explain(plan, store)


def test_answers_about_other_classes_or_another_task_are_refused(tiny_recipe: Recipe, store: Store, file: Path) -> None:
    with pytest.raises(DataError, match="says nothing of class 'red'"):
        try_answer_files(_write(tiny_recipe, store, file, classes=("blue", "green", "rot")), store)
    with pytest.raises(WeightsError, match="these answers are for detection"):
        try_answer_files(_write(tiny_recipe, store, file, classes=("blue", "green", "red"), task="detection"), store)


def test_what_fits_is_taken_and_what_was_taken_is_read_no_more(
    tiny_recipe: Recipe, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _write(tiny_recipe, store, file, classes=("red", "green", "blue"))
    try_answer_files(plan, store)
    Chain(plan, store, SilentProgress(), lambda _: None).execute(plan.answer_files[0], {})
    monkeypatch.setattr("pipeline.training.answers_file.read_shared", None)  # would fail if it were called
    try_answer_files(plan, store)
