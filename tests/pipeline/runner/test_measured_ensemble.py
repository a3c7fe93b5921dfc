"""What teachers are together: of other sizes, and where of some only answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.runner.deploy import deploy
from pipeline.runner.measured_ensemble import _said_together, weighed_otherwise
from pipeline.runner.write_answers_file import write_answers_file
from pipeline.stages.distill import Distill
from pipeline.store import Store
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection
from pipeline.tasks.joining.detection import joined

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.report import Report


def test_what_members_say_one_by_one_is_joined_as_in_one_process() -> None:
    first = [(np.array([2.0, 0.0], np.float32),), (np.array([0.0, 0.0], np.float32),)]
    second = [(np.array([0.25, 0.75], np.float32),), (np.array([1.0, 0.0], np.float32),)]
    found = _said_together(Classification(), [first, second], ["logits", "probabilities"])
    likely = np.exp(2) / (np.exp(2) + 1)
    np.testing.assert_allclose(found[0][0], [(likely + 0.25) / 2, (1 - likely + 0.75) / 2], rtol=1e-6)
    np.testing.assert_allclose(found[1][0], [0.75, 0.25])


def test_detections_of_members_are_joined_and_cut_as_in_one_process() -> None:
    rule = {"score": 0.05, "iou": 0.5, "most": 10}
    task = Detection().reading(rule)
    sure, faint = (10.0, 10.0, 40.0, 50.0), (60.0, 10.0, 90.0, 50.0)
    members = [
        (np.array([sure, faint], np.float32), np.array([0.9, score], np.float32), np.array([1, 1]))
        for score in (0.06, 0.0)
    ]
    samples = [Sample(path=Path("x"), name="0", label=Objects(size=(100, 100), boxes=(Box(0, *sure),)), sha256="0")]
    spec = PreprocessSpec(size=(100, 100))

    one_by_one = _said_together(task, [task.in_images([one], samples, spec) for one in members], [rule, rule])
    fused = joined([tuple(part[None] for part in one) for one in members], [rule, rule])
    together = task.in_images([tuple(part[0] for part in fused)], samples, spec)

    found = task.score(one_by_one, samples).decisions
    assert found == task.score(together, samples).decisions
    assert len(found[0]) == 1


def _chain(recipe: Recipe, store: Store, **fields: Any) -> Chain:  # noqa: ANN401 - raw input
    given = {**recipe.model_dump(by_alias=True), "skip": ["prune"], "build": {"precision": "float"}, **fields}
    return Chain(
        make_plan(type(recipe).model_validate(given), store, SilentProgress()), store, SilentProgress(), lambda _: None
    )


def _report(recipe: Recipe, store: Store, out: Path, *, seeds: int = 1, **distill: Any) -> Report:  # noqa: ANN401
    measure = {"processes": 1, "iterations": 12, "seeds": seeds}
    section = {**recipe.distill.model_dump(), **distill}
    (deployed,) = deploy(_chain(recipe, store, measure=measure, distill=section), out=out)
    return deployed.report


@pytest.mark.slow
def test_members_of_other_sizes_are_measured_one_by_one(tiny_recipe: Recipe, tiny_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(tiny_file.read_text(encoding="utf-8"), encoding="utf-8")
    names = [f"{tiny_file}:tiny", f"{other}:tiny"]
    store = Store(tmp_path / "store")
    larger = {names[1]: {"size": 24, "resize": "squash", "mean": 0.5, "std": 0.25}}
    report = _report(tiny_recipe, store, tmp_path / "out", seeds=2, teachers=names, teacher_input=larger)

    found = report.ensemble
    assert found is not None
    assert found.summed
    assert found.accuracy is not None
    assert found.accuracy >= min(one.accuracy for one in report.teachers)
    assert found.p50_s == pytest.approx(sum(one.p50_s for one in report.teachers))
    assert found.size_bytes == sum(one.size_bytes for one in report.teachers)
    assert len(found.seeds) == 2
    assert "each measured alone with its own input, summed" in (tmp_path / "out" / "report.md").read_text("utf-8")
    again = _report(tiny_recipe, store, tmp_path / "again", seeds=2, teachers=names, teacher_input=larger)
    assert again.ensemble == found


@pytest.mark.slow
def test_where_only_answers_teach_students_seeds_and_p_are_told(
    tiny_recipe: Recipe, tiny_file: Path, tmp_path: Path
) -> None:
    store, file = Store(tmp_path / "store"), tmp_path / "theirs.safetensors"
    write_answers_file(_chain(tiny_recipe, store), file)
    report = _report(tiny_recipe, store, tmp_path / "out", seeds=2, teachers=[str(file)])

    found = report.ensemble
    assert found is not None
    assert found.accuracy is None
    assert found.why_not == "of theirs only answers about training images are known"
    assert [one.seed for one in found.seeds] == [0, 1]
    assert found.untaught is not None
    assert 0 <= found.p_value <= 1
    for name in ("report.md", "report.html"):
        page = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "Ensemble or student" in page
        assert "student that learned from them" in page
        assert "The ensemble was not measured: of theirs only answers" in page

    both = _report(tiny_recipe, store, tmp_path / "both", teachers=[str(file), f"{tiny_file}:tiny"], weighting=(3, 1))
    assert both.ensemble is not None
    assert (both.ensemble.members, len(both.teachers)) == (2, 1)
    assert both.ensemble.other_weights
    taught = both.stage("distill")
    assert taught is not None
    assert "learned from theirs and tiny" in taught.notes  # as they are named, so that the weights are theirs


@pytest.mark.parametrize(
    ("fields", "otherwise"),
    [
        ({}, False),
        ({"weighting": "confidence"}, True),
        ({"weighting": (3, 1)}, True),
        ({"weighting": (2, 2)}, False),
        ({"weighting": "confidence", "teachers": ("resnet18",)}, False),
    ],
)
def test_teachers_that_do_not_count_alike_for_their_student_are_another_ensemble(
    fields: dict[str, Any], *, otherwise: bool
) -> None:
    teaching = Distill.model_validate({"teachers": ("resnet18", "resnet34"), **fields})
    assert weighed_otherwise(teaching) is otherwise
