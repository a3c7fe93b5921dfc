"""What of a recipe depends on the task: filled in where nobody said otherwise, and left where somebody did."""

from __future__ import annotations

from typing import Any

from pipeline.chain.task_defaults import for_task
from pipeline.recipe import Recipe
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection
from pipeline.tasks.distillation.teaching import INSIDE

TASK = Detection()


def _filled(**sections: Any) -> Recipe:  # noqa: ANN401 - raw input
    return for_task(Recipe.model_validate({"model": "ssdlite320_mobilenet_v3_large", **sections}), TASK)


def test_a_classifier_s_recipe_stays_as_it_is() -> None:
    recipe = Recipe.model_validate({"model": "resnet18", "distill": {"weight": 0.9}})

    assert for_task(recipe, Classification()) == recipe


def test_data_schedules_and_teaching_are_those_of_the_task() -> None:
    found = _filled()

    assert found.data.source == "digits-detection"
    for schedule in (found.baseline.schedule, found.distill.schedule, found.distill.teacher_schedule):
        assert schedule is not None
        assert schedule.learning_rate == TASK.schedule["learning_rate"]
    assert found.distill.losses == TASK.teaching["losses"]
    assert found.distill.weight == TASK.teaching["weight"]


def test_what_the_user_says_stays() -> None:
    found = _filled(
        data={"source": "boxes"},
        distill={"losses": {"boxes": 2.0}, "schedule": {"epochs": 40}},
        baseline={"schedule": {"batch_size": 4}},
    )

    assert found.data.source == "boxes"
    assert found.distill.losses == {"boxes": 2.0}
    assert found.distill.schedule.epochs == 40
    assert found.distill.schedule.batch_size == TASK.schedule["batch_size"]
    assert found.baseline.schedule is not None
    assert (found.baseline.schedule.batch_size, found.baseline.schedule.epochs) == (4, TASK.schedule["epochs"])


def test_a_baseline_that_is_compared_with_a_taught_one_is_trained_as_that_is() -> None:
    assert _filled(distill={"teachers": ["fcos_resnet50_fpn"]}).baseline.schedule is None
    assert _filled(distill={"teachers": ["fcos_resnet50_fpn"]}, skip=["distill"]).baseline.schedule is not None


def test_of_teachers_of_which_only_answers_are_known_nothing_inside_is_asked() -> None:
    alone = _filled(distill={"teachers": ["theirs.safetensors"]}).distill.losses
    among = _filled(distill={"teachers": ["theirs.safetensors", "fcos_resnet50_fpn"]}).distill.losses

    assert alone == {"boxes": 1.0}
    assert not INSIDE.intersection(alone)
    assert among == TASK.teaching["losses"]
