"""Who teaches: the networks that a recipe names, each with its weights, and files of answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.artifact import sha256_of_file
from pipeline.chain.preprocessing import preprocess_of, resized
from pipeline.chain.teacher_classes import columns_of
from pipeline.errors import UsageError, WeightsError
from pipeline.models.resolve import PINNED, WEIGHTS_FILES, resolve_model, resolve_weights
from pipeline.models.ssdlite_tail import with_tail_of
from pipeline.preprocess_section import InputSection
from pipeline.stages.answers import TakeAnswers
from pipeline.typed_path import typed_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.models import ModelSource
    from pipeline.progress import Progress
    from pipeline.recipe import Recipe
    from pipeline.subject import Parts
    from pipeline.tasks import Task

__all__ = ["NamedTeacher", "answer_files", "in_named_order", "is_file_of_answers", "named_teachers", "teacher_parts"]

_One = TypeVar("_One")


@dataclass(frozen=True, slots=True)
class NamedTeacher:
    """A teacher's network as the recipe names it, and what it says of its weights."""

    text: str
    model: ModelSource
    weights: str | None


def named_teachers(recipe: Recipe, task: Task) -> tuple[NamedTeacher, ...]:
    """Each teacher that is a network: ``resnet101``, ``vgg16@pretrained``, ``a.py:b@w.pth``.

    Args:
        recipe: Of the run.
        task: Of the student, and so of its teachers.

    Raises:
        UsageError: for a name that leads nowhere, to an ONNX file or to a network for something else, and for the
            input of a teacher that is not named.
    """
    texts = recipe.distill.teachers or task.teachers
    for key in ("teacher_input", "teacher_classes"):
        _check_named(f"distill.{key}", getattr(recipe.distill, key) or (), texts)
    pairs = recipe.distill.pairs or {}
    _check_named("distill.pairs", [name for name, own in pairs.items() if isinstance(own, dict)], texts)
    twice = [text for number, text in enumerate(texts) if text in texts[:number]]
    if twice:
        raise UsageError(
            "a teacher is named twice", got=twice[0], fix="name it once; distill.weighting weighs teachers"
        )
    found = []
    for text in texts:
        if is_file_of_answers(text):
            continue
        name, at, weights = text.rpartition("@")
        if not at or not (
            weights in {"pretrained", "none"} or weights.startswith(PINNED) or weights.endswith(WEIGHTS_FILES)
        ):
            name, weights = text, ""  # a sign within the name of a folder
        model = resolve_model(name)
        if "distill" not in recipe.skip:
            model = _for_task(model, task)
        found.append(NamedTeacher(text, model, weights or None))
    return tuple(found)


def _check_named(key: str, told: Iterable[str], texts: Sequence[str]) -> None:
    """See that what is told of teachers is told of networks that are named."""
    networks = [text for text in texts if not is_file_of_answers(text)]
    stray = [text for text in told if text not in networks]
    if stray:
        known = "; a file of answers says its own classes" if is_file_of_answers(stray[0]) else ""
        raise UsageError(
            f"{key} is about a teacher that is not named",
            got=stray[0],
            expected=f"one of {', '.join(networks) or 'no network, since none is named'}{known}",
        )


def _for_task(model: ModelSource, task: Task) -> ModelSource:
    """The network as one of the task's; what a user's own file is for, it does not say."""
    if model.origin == "onnx":
        raise UsageError(
            "an ONNX file cannot teach: teachers are asked as PyTorch networks",
            where="distill.teachers",
            got=str(model.file),
            expected="a name, path/to/file.py:factory@weights.pth, or a file of answers",
            fix="give the PyTorch network that the file was exported from, or leave it out",
        )
    if model.task != task.name and model.origin != "file":
        raise UsageError(
            f"{model.name} is no network for {task.name}",
            where="distill.teachers",
            got=f"one for {model.task}",
            expected="teachers that answer as the student does; `edgewright models` lists what each is for",
        )
    return replace(model, task=task.name)


def answer_files(recipe: Recipe) -> tuple[TakeAnswers, ...]:
    """The teachers of which only answers are known: ``theirs.safetensors``.

    Raises:
        WeightsError: when there is no such file.
    """
    files = [typed_path(text) for text in recipe.distill.teachers or () if is_file_of_answers(text)]
    for file in files:
        if not file.is_file():
            raise WeightsError(
                "there is no such file of answers",
                where=str(file),
                fix="its owner writes it with `edgewright answers MODEL --data ... --out FILE`",
            )
    return tuple(TakeAnswers(file=file, file_sha256=sha256_of_file(file)) for file in files)


def in_named_order(texts: Sequence[str], networks: Iterable[_One], files: Iterable[_One]) -> list[_One]:
    """Teachers of both kinds in one row, as the recipe names them: given weights are counted so.

    Args:
        texts: The recipe's names.
        networks: For each that names a network, in their order.
        files: For each that names a file of answers.
    """
    of_networks, of_files = iter(networks), iter(files)
    return [next(of_files if is_file_of_answers(text) else of_networks) for text in texts]


def is_file_of_answers(text: str) -> bool:
    """Whether a teacher's name is that of a file, so that there is no network to look into.

    A sign in front of weights stands within the names of folders too: a file of that name is one.
    """
    return text.endswith(".safetensors") and ("@" not in text or typed_path(text).is_file())


def teacher_parts(parts: Parts, teacher: NamedTeacher, recipe: Recipe, cache: Path, progress: Progress) -> Parts:
    """What a teacher's own run is about: everything of the student's but network, weights and how that is fed.

    A teacher whose published weights are taken is fed as those want it, at the student's size where the user gave one,
    and of what the student sees where answers say where something is; any other one as the student. What the recipe's
    ``distill.teacher_input`` says comes first.

    Args:
        parts: Of the student.
        teacher: Its network, and what was said of its weights; None: as for the student, and none for a network of
            one's own.
        recipe: Of the run, as the user gave it.
        cache: Where downloads are kept.
        progress: Where they are shown.

    Raises:
        UsageError: for a teacher whose answers are about another part of the images, and for names of its classes that
            do not fit.
        WeightsError: for weights that cannot be used.
    """
    weights = teacher.weights
    if weights is None and (recipe.weights == "none" or teacher.model.origin == "file"):
        weights = "none"
    found = resolve_weights(weights, teacher.model, cache=cache, progress=progress)
    model = with_tail_of(teacher.model, found)
    columns = columns_of(teacher, recipe, parts, found)
    preprocess = parts.preprocess
    if found.origin == "pretrained":
        sized = recipe.model_copy(update={"input": InputSection(size=recipe.input.size)})
        preprocess, _ = preprocess_of(sized, teacher.model, found)
        if parts.task.placed:
            preprocess = preprocess.resized_as(parts.preprocess)
    own = recipe.distill.teacher_input.get(teacher.text)
    if own is not None:
        preprocess = own.over(resized(preprocess, own))
    if parts.task.placed and not preprocess.shows_as(parts.preprocess):
        raise UsageError(
            "this teacher sees another part of the images than the student, and says where things are",
            where=teacher.text,
            got=f"{preprocess.part_shown()}, the student's {parts.preprocess.part_shown()}",
            fix="let both be fed alike: input.resize, distill.teacher_input",
        )
    turned = "affine" in recipe.distill.schedule.augment and not preprocess.has_ratio_of(parts.preprocess)
    if parts.task.placed and turned:
        raise UsageError(
            "images are turned for student and teacher alike, which puts objects elsewhere in inputs of another ratio",
            where=teacher.text,
            got=f"{preprocess.part_shown()}, the student's {parts.preprocess.part_shown()}, and affine in "
            "distill.schedule.augment",
            fix="leave affine out, or let both have one ratio by distill.teacher_input",
        )
    return replace(parts, model=replace(model, columns=columns), weights=found, preprocess=preprocess)
