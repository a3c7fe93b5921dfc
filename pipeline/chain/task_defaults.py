"""Defaults of a recipe that depend on the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from pipeline.chain.teachers import is_file_of_answers
from pipeline.stages.first_lesson import FirstLesson
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.artifact import Json
    from pipeline.models import ModelSource
    from pipeline.recipe import Recipe
    from pipeline.tasks import Task

__all__ = ["for_task"]

_Section = TypeVar("_Section", bound=BaseModel)


def for_task(recipe: Recipe, task: Task, model: ModelSource) -> Recipe:
    """The recipe with what depends on the task filled in where nobody said otherwise.

    A baseline without a schedule of its own is left without where there are teachers: it is trained as their student,
    who has the same first lesson.

    Args:
        recipe: As the user gave it.
        task: Of its model.
        model: Whose family may have a schedule of its own.
    """
    data, baseline = recipe.data, recipe.baseline
    if "source" not in data.model_fields_set:
        data = data.model_copy(update={"source": task.embedded})
    best = _schedule_of(task, [model.name])
    taught = recipe.distill.teachers is not None and "distill" not in recipe.skip
    if best and not (taught and baseline.schedule is None):
        baseline = baseline.model_copy(update={"schedule": _filled(baseline.schedule or Schedule(), best)})
    if task.lesson_schedule:
        lesson = _filled(baseline.objects_schedule or Schedule(), task.lesson_schedule)
        baseline = baseline.model_copy(update={"objects_schedule": lesson})
    distill = _filled(recipe.distill, _teaching(recipe, task))
    teachers = [text.partition("@")[0] for text in recipe.distill.teachers or () if not is_file_of_answers(text)]
    for name, own in {"schedule": best, "teacher_schedule": _schedule_of(task, teachers)}.items() if best else ():
        said = getattr(distill, name) if name in recipe.distill.model_fields_set else Schedule()
        distill = distill.model_copy(update={name: _filled(said, own)})
    first = {name: getattr(baseline, name) for name in FirstLesson.model_fields}
    distill = distill.model_copy(
        update={name: value for name, value in first.items() if name not in recipe.distill.model_fields_set}
    )
    stages: dict[str, BaseModel] = {"baseline": baseline, "distill": distill}
    for name in ("downsample", "prune") if best else ():
        stage = getattr(recipe, name)
        said = stage.schedule if "schedule" in stage.model_fields_set else Schedule()
        stages[name] = stage.model_copy(update={"schedule": _filled(said, best)})
    return recipe.model_copy(update={"task": task.name, "data": data, **stages})


def _schedule_of(task: Task, names: Sequence[str]) -> dict[str, Json]:
    """How networks of these names are best trained: as their family, where they are of one that has a schedule."""
    families = {next((one for one in task.family_schedules if name.startswith(one)), "") for name in names}
    own = task.family_schedules.get(families.pop(), {}) if len(families) == 1 else {}
    return {**task.schedule, **own}


def _teaching(recipe: Recipe, task: Task) -> Mapping[str, Json]:
    """How students are best taught by these teachers: where of some only answers are known, by the answers of all."""
    texts = recipe.distill.teachers or task.teachers
    return task.teaching_by_answers if any(map(is_file_of_answers, texts)) else task.teaching


def _filled(section: _Section, defaults: Mapping[str, Json]) -> _Section:
    """A section of the recipe with other defaults where nobody said otherwise."""
    said = {name: getattr(section, name) for name in section.model_fields_set}
    return type(section).model_validate({**defaults, **said}) if defaults else section
