"""What of a recipe depends on the task: filled in where nobody said otherwise, and left where somebody did."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.chain.task_defaults import for_task
from pipeline.models.resolve import resolve_model
from pipeline.recipe import Recipe
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection
from pipeline.tasks.distillation.teaching import INSIDE

TASK = Detection()


def _filled(model: str = "ssdlite320_mobilenet_v3_large", **sections: Any) -> Recipe:  # noqa: ANN401 - raw input
    return for_task(Recipe.model_validate({"model": model, **sections}), TASK, resolve_model(model))


def test_a_classifier_s_recipe_stays_as_it_is() -> None:
    recipe = Recipe.model_validate({"model": "resnet18", "distill": {"weight": 0.9}})

    assert for_task(recipe, Classification(), resolve_model("resnet18")) == recipe


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


def test_a_family_s_own_schedule_is_that_of_all_its_trainings_but_for_what_is_said() -> None:
    found = _filled("fasterrcnn_mobilenet_v3_large_320_fpn", prune={"schedule": {"epochs": 7}})
    family = TASK.family_schedules["fasterrcnn"]

    for schedule in (found.baseline.schedule, found.distill.schedule, found.downsample.schedule):
        assert schedule is not None
        assert (schedule.epochs, schedule.batch_size) == (family["epochs"], family["batch_size"])
    assert (found.prune.schedule.epochs, found.prune.schedule.batch_size) == (7, family["batch_size"])


@pytest.mark.parametrize(
    ("student", "teachers", "family"),
    [
        ("ssdlite320_mobilenet_v3_large", ["fasterrcnn_resnet50_fpn@net.pth", "fasterrcnn_resnet50_fpn_v2"], True),
        ("ssdlite320_mobilenet_v3_large", ["fasterrcnn_resnet50_fpn", "fcos_resnet50_fpn"], False),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", ["ssdlite320_mobilenet_v3_large"], False),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", ["fasterrcnn_resnet50_fpn", "theirs.safetensors"], True),
    ],
)
def test_teachers_are_trained_as_their_own_family(student: str, teachers: list[str], *, family: bool) -> None:
    found = _filled(student, distill={"teachers": teachers}).distill
    own = TASK.family_schedules["fasterrcnn"] if family else TASK.schedule

    assert found.teacher_schedule.epochs == own["epochs"]
    assert (found.schedule.epochs == TASK.schedule["epochs"]) is (student[:3] == "ssd")


def test_a_student_has_the_first_lesson_of_the_untaught_one() -> None:
    assert _filled().distill.objects_schedule == _filled().baseline.objects_schedule
    assert _filled(baseline={"objects_first": False}).distill.objects_first is False
    assert _filled(distill={"objects_first": False}).baseline.objects_first is True


def test_a_baseline_that_is_compared_with_a_taught_one_is_trained_as_that_is() -> None:
    assert _filled(distill={"teachers": ["fcos_resnet50_fpn"]}).baseline.schedule is None
    assert _filled(distill={"teachers": ["fcos_resnet50_fpn"]}, skip=["distill"]).baseline.schedule is not None


def test_of_teachers_of_which_only_answers_are_known_nothing_inside_is_asked() -> None:
    alone = _filled(distill={"teachers": ["theirs.safetensors"]}).distill.losses
    among = _filled(distill={"teachers": ["theirs.safetensors", "fcos_resnet50_fpn"]}).distill.losses

    assert alone == among == {"boxes": 1.0}
    assert not INSIDE.intersection(alone)
