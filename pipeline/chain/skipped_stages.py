"""Which stages a run leaves out, and why; and seeing that nothing is asked of those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.chain.goal_checks import check_goal, goal_decides_size
from pipeline.chain.teachers import is_file_of_answers
from pipeline.errors import UsageError
from pipeline.recipe.goal import asks_for_fewer_pixels
from pipeline.tasks.distillation.teaching import INSIDE, OF_ANSWERS, OF_LAYERS, Teaching
from pipeline.training.schedule import MOVING_KINDS, PUTTING_TOGETHER_KINDS, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.data import Dataset
    from pipeline.models import ModelSource, WeightsSource
    from pipeline.preprocess import PreprocessSpec
    from pipeline.recipe import Recipe
    from pipeline.stages.distill import Distill
    from pipeline.stages.recovery import Recovering
    from pipeline.tasks import Task

__all__ = ["check_asked", "skipped_stages"]

_OF_OBJECTS = ".objects_schedule"
_OF_TEACHERS = ("teachers", *Teaching.model_fields)
"""Fields of a recovery that say from whom and how the network learns."""


def skipped_stages(
    recipe: Recipe, dataset: Dataset, model: ModelSource, weights: WeightsSource, task: Task
) -> dict[str, str]:
    """Stage to the reason why it is left out.

    Args:
        recipe: As the user gave it.
        dataset: Of the run.
        model: Of the student.
        weights: Of the student.
        task: Of the model.

    Raises:
        UsageError: when a stage is asked for that cannot be done.
    """
    skipped: dict[str, str] = dict.fromkeys(recipe.skip, "skipped on request")
    if model.origin == "onnx":
        _check_untrained(recipe, model)
        asked = recipe.downsample.acts or goal_decides_size(recipe, skipped)
        for name in ("distill", "prune", *(("downsample",) if asked else ())):
            skipped.setdefault(name, "an ONNX file is not trained: its network is taken as it is")
    if not dataset.train:
        for name in ("distill", "prune"):  # without them the batch norms are what downsample tunes
            skipped.setdefault(name, "no training images")
    if recipe.distill.teachers is None and (weights.origin == "file" or not task.teachers):
        why = "the network comes trained" if weights.origin == "file" else "nobody is named to learn from"
        skipped.setdefault("distill", f"{why}; name teachers with --teacher")
    if recipe.input.size is not None and recipe.downsample.size is None and goal_decides_size(recipe, skipped):
        why = "input.size is given: images stay as large as that, unless downsample.size=auto"
        skipped.setdefault("downsample", why)
    return skipped


def check_asked(recipe: Recipe, preprocess: PreprocessSpec, skipped: Mapping[str, str], task: Task) -> None:
    """See that what is asked of the stages that are run can be had.

    Args:
        recipe: As the user gave it, with what the task fills in.
        preprocess: How the network is fed.
        skipped: As of :func:`skipped_stages`.
        task: Of the model.

    Raises:
        UsageError: for what cannot.
    """
    check_goal(recipe, skipped)
    _check_size(recipe, preprocess, skipped)
    _check_mixed_sizes(recipe, skipped, task)
    _check_stem(recipe, skipped, task)
    _check_losses(recipe, skipped, task)
    _check_answers_compared(recipe, skipped, task)
    _check_smoothing(recipe, skipped, task)
    if not task.answers_teach:
        _check_untaught(recipe, skipped, task)
    _check_teachers(recipe, skipped)
    _check_files(recipe, skipped, task)
    _check_patience(recipe, skipped)
    _check_weighting(recipe, skipped, task)


def _check_size(recipe: Recipe, preprocess: PreprocessSpec, skipped: Mapping[str, str]) -> None:
    """See that what is asked for is smaller, and that somebody asks where it is to be found."""
    size = recipe.downsample.size
    if size is None or "downsample" in skipped:
        return
    if size != "auto":
        recipe.downsample.smaller_than(preprocess.size)
    elif not asks_for_fewer_pixels(recipe.goal):
        raise UsageError(
            "how large images have to be is decided by a goal, and there is none that smaller ones help to hold",
            where="downsample.size",
            got="auto",
            fix="add --goal latency=0.5x, or give the size in pixels",
        )


def _check_mixed_sizes(recipe: Recipe, skipped: Mapping[str, str], task: Task) -> None:
    """See that there is another size to mix in, and that the network holds nothing in pixels of one of them."""
    section = recipe.downsample
    if not section.mixed_sizes or "downsample" in skipped:
        return
    if task.placed:
        raise UsageError(
            f"a network for {task.name} is tuned to one size: its boxes are in pixels of that",
            where="downsample.mixed_sizes",
            got=str(section.mixed_sizes),
            fix="leave it out",
        )
    if section.size is None and not goal_decides_size(recipe, skipped):
        raise UsageError(
            "sizes are mixed where images are made smaller, and they stay as they are",
            where="downsample.mixed_sizes",
            got=str(section.mixed_sizes),
            fix="give downsample.size, or leave it out",
        )


def _check_stem(recipe: Recipe, skipped: Mapping[str, str], task: Task) -> None:
    """See that nothing rests on the stem as it is."""
    section = recipe.downsample
    if section.stem is None or "downsample" in skipped:
        return
    if section.size == "auto":
        raise UsageError(
            "how large images have to be is measured with the stem as it is",
            where="downsample.stem",
            got=f"{section.stem}, and downsample.size=auto",
            fix="give the size in pixels, or leave the one or the other out",
        )
    if section.stem == "doubled" and task.placed:
        raise UsageError(
            f"a network for {task.name} says places by maps of certain sizes",
            where="downsample.stem",
            got=section.stem,
            expected="earlier, which leaves these as large as they are",
        )


def _check_teachers(recipe: Recipe, skipped: Mapping[str, str]) -> None:
    """See that there are teachers where a recovery is to learn from them."""
    for name, stage in (("downsample", recipe.downsample), ("prune", recipe.prune)):
        if stage.teachers == "all" and name not in skipped and "distill" in skipped:
            raise UsageError(
                f"{name} is to learn from the teachers of distill, and there are none",
                where=f"{name}.teachers",
                got=skipped["distill"],
                fix=f"set {name}.teachers=itself, or name teachers with --teacher",
            )


def _check_files(recipe: Recipe, skipped: Mapping[str, str], task: Task) -> None:
    """See that files of answers are learned from, and hold for the views that they are learned on.

    They speak of each image as it is.
    """
    files = [text for text in recipe.distill.teachers or () if is_file_of_answers(text)]
    if not files or "distill" in skipped:
        return
    astray = PUTTING_TOGETHER_KINDS | MOVING_KINDS if task.placed else PUTTING_TOGETHER_KINDS
    learning: list[tuple[str, Distill | Recovering]] = [("distill", recipe.distill)]
    if task.answers_teach:
        recovering = (("downsample", recipe.downsample), ("prune", recipe.prune))
        learning += [(name, one) for name, one in recovering if one.teachers == "all" and name not in skipped]
    for name, section in learning:
        if not section.compares_answers:
            raise UsageError(
                "nothing would be learned from a file of answers: no loss compares answers",
                where=f"{name}.losses",
                got=f"{', '.join(section.losses)}, beside {files[0]}",
                expected=f"{' or '.join(sorted(task.compares - INSIDE))} among them",
                fix="add one, or leave the file out",
            )
        kinds = [kind for kind in section.schedule.augment if kind in astray]
        if kinds:
            raise UsageError(
                "a file of answers speaks of each image as it is, and they would be learned on other ones",
                where=f"{name}.schedule.augment",
                got=f"{', '.join(kinds)}, beside {files[0]}",
                expected=f"none of {', '.join(sorted(astray))}",
                fix="leave that out, or name networks as teachers, which are asked about every view",
            )


def _check_patience(recipe: Recipe, skipped: Mapping[str, str]) -> None:
    """See that somebody says when a training gets no better: held-back images do, and not in a first lesson."""
    for key, schedule in _schedules(recipe, skipped):
        if schedule.patience is None:
            continue
        if key.endswith(_OF_OBJECTS):
            fix = "leave it out: objects that are cut out are all learned from"
        elif not recipe.data.validation:
            fix = "add --set data.validation=0.1, or leave it out"
        else:
            continue
        raise UsageError(
            "no images are held back that would say when this training gets no better",
            where=f"{key}.patience",
            got=str(schedule.patience),
            fix=fix,
        )


def _check_smoothing(recipe: Recipe, skipped: Mapping[str, str], task: Task) -> None:
    """See that labels are smoothed by losses that can; the first lesson of a detector is a classifier's."""
    for key, schedule in _schedules(recipe, skipped) if task.placed else ():
        if schedule.label_smoothing and not key.endswith(_OF_OBJECTS):
            raise UsageError(
                f"a network for {task.name} learns by losses of its own, which take labels as they are",
                where=f"{key}.label_smoothing",
                got=str(schedule.label_smoothing),
                fix="leave it out",
            )


def _schedules(recipe: Recipe, skipped: Mapping[str, str]) -> Iterator[tuple[str, Schedule]]:
    """All that are said of stages that are not left out, each with its key, whether it is trained by or not."""
    for stage in ("baseline", "distill", "downsample", "prune"):
        for name, schedule in getattr(recipe, stage):
            if stage not in skipped and isinstance(schedule, Schedule):
                yield f"{stage}.{name}", schedule


def _check_weighting(recipe: Recipe, skipped: Mapping[str, str], task: Task) -> None:
    """See that there are as many weights as teachers, where weights are given."""
    named = len(recipe.distill.teachers or task.teachers)
    counts = {"distill": named} | {
        name: 1 + (named if getattr(recipe, name).teachers == "all" else 0) for name in ("downsample", "prune")
    }
    for name, count in counts.items():
        weighting = getattr(recipe, name).weighting
        if isinstance(weighting, tuple) and len(weighting) != count and name not in skipped:
            whom = "in the order of distill.teachers" if name == "distill" else "the network as it was first"
            raise UsageError(
                "there are not as many weights as teachers",
                where=f"{name}.weighting",
                got=f"{len(weighting)} for {count}",
                expected=f"a weight for each, {whom}",
            )


def _check_losses(recipe: Recipe, skipped: Mapping[str, str], task: Task) -> None:
    """See that what is compared with teachers is there to be compared."""
    for name in ("distill", "downsample", "prune") if task.answers_teach else ("distill",):
        unknown = sorted(set(getattr(recipe, name).losses) - task.compares)
        if unknown and name not in skipped:
            raise UsageError(
                f"networks for {task.name} cannot learn by {unknown[0]!r}",
                where=f"{name}.losses",
                expected=f"some of {', '.join(sorted(task.compares))}",
            )
    section = recipe.distill
    if section.pairs and not set(OF_LAYERS) & set(section.losses) and "distill" not in skipped:
        raise UsageError(
            "pairs of layers are named, and no loss compares layers",
            where="distill.pairs",
            got=f"losses of {', '.join(section.losses)}",
            expected=f"{' or '.join(sorted(OF_LAYERS))} in distill.losses",
        )


def _check_answers_compared(recipe: Recipe, skipped: Mapping[str, str], task: Task) -> None:
    """See that nothing is asked of the answers of teachers that no loss looks at."""
    for name in ("distill", "downsample", "prune") if task.answers_teach else ("distill",):
        section = getattr(recipe, name)
        defaults = type(section).model_fields
        asked = [key for key in ("temperature", "standardise") if getattr(section, key) != defaults[key].default]
        asked += ["weighting"] if section.weighting == "confidence" else []
        if asked and not set(OF_ANSWERS) & set(section.losses) and name not in skipped:
            raise UsageError(
                "this is about the classes that teachers answer with, and no loss compares these",
                where=f"{name}.{asked[0]}",
                got=f"{getattr(section, asked[0])}, beside losses of {', '.join(section.losses)}",
                expected=f"one of {', '.join(OF_ANSWERS)} in {name}.losses",
                fix="leave it out",
            )


def _check_untaught(recipe: Recipe, skipped: Mapping[str, str], task: Task) -> None:
    """See that nothing is asked of a recovery's teachers where there is none."""
    for name, stage in (("downsample", recipe.downsample), ("prune", recipe.prune)):
        asked = [key for key in _OF_TEACHERS if getattr(stage, key) != type(stage).model_fields[key].default]
        if asked and name not in skipped:
            raise UsageError(
                f"a network for {task.name} recovers by its own loss, without a teacher",
                where=f"{name}.{asked[0]}",
                got=str(getattr(stage, asked[0])),
                fix="leave that out",
            )


def _check_untrained(recipe: Recipe, model: ModelSource) -> None:
    """Refuse what asks for the training of a network that comes as an ONNX file, or for a fraction of what it costs."""
    asked = {
        "prune": "prune" in recipe.goal.require,
        "downsample.size": recipe.downsample.size is not None,
        "downsample.stem": recipe.downsample.stem is not None,
        "distill.teachers": recipe.distill.teachers is not None,
    }
    for key, wanted in asked.items():
        if wanted and key.partition(".")[0] not in recipe.skip:
            raise UsageError(
                "an ONNX file cannot be trained, and so neither distilled nor downsampled nor pruned",
                where=str(model.file),
                got=f"{key} is asked for",
                fix="give the PyTorch network as path/to/file.py:factory with its --weights, or leave that out",
            )
    relative = [f"{budget.quantity}={budget.text}" for budget in recipe.goal.budgets() if budget.relative]
    if relative:
        raise UsageError(
            "a fraction is one of the network as it is unpruned, and an ONNX file is not pruned",
            where="goal",
            got=", ".join(relative),
            fix="give an amount, such as latency=5ms: the report says whether the file holds it",
        )
