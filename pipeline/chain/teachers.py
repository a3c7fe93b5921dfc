"""Who teaches: the networks that a recipe names, each with its weights, and files of answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_file
from pipeline.errors import WeightsError
from pipeline.models.resolve import resolve_model, resolve_weights
from pipeline.stages.answers import TakeAnswers

if TYPE_CHECKING:
    from pipeline.models import ModelSource
    from pipeline.progress import Progress
    from pipeline.recipe import Recipe
    from pipeline.subject import Parts

__all__ = ["DEFAULT_TEACHERS", "answer_files", "named_teachers", "teacher_parts"]

DEFAULT_TEACHERS = ("resnet18", "resnet34")
"""Two networks that learn quickly from few images and err on different ones; seconds an epoch on two cores."""

_WEIGHTS = (".safetensors", ".pt", ".pth")


def named_teachers(recipe: Recipe) -> tuple[tuple[ModelSource, str | None], ...]:
    """Each teacher's network and what was said of its weights: ``resnet101``, ``vgg16@pretrained``, ``a.py:b@w.pth``.

    Raises:
        UsageError: for a name that leads nowhere.
    """
    found = []
    for text in recipe.distill.teachers or DEFAULT_TEACHERS:
        if _is_file_of_answers(text):
            continue
        name, at, weights = text.rpartition("@")
        if not at or not (weights in {"pretrained", "none"} or weights.endswith(_WEIGHTS)):
            name, weights = text, ""  # a sign within the name of a folder
        found.append((resolve_model(name), weights or None))
    return tuple(found)


def answer_files(recipe: Recipe) -> tuple[TakeAnswers, ...]:
    """The teachers of which only answers are known: ``theirs.safetensors``.

    Raises:
        WeightsError: when there is no such file.
    """
    files = [Path(text).expanduser() for text in recipe.distill.teachers or () if _is_file_of_answers(text)]
    for file in files:
        if not file.is_file():
            raise WeightsError(
                "there is no such file of answers",
                where=str(file),
                fix="its owner writes it with `edgewright answers MODEL --data ... --out FILE`",
            )
    return tuple(TakeAnswers(file=file, file_sha256=sha256_of_file(file)) for file in files)


def _is_file_of_answers(text: str) -> bool:
    return text.endswith(".safetensors") and "@" not in text


def teacher_parts(
    parts: Parts, model: ModelSource, weights: str | None, recipe: Recipe, cache: Path, progress: Progress
) -> Parts:
    """What a teacher's own run is about: everything of the student's but network and weights.

    Args:
        parts: Of the student.
        model: The teacher's network.
        weights: What was said of its weights; None: as for the student, and none for a network of one's own.
        recipe: Of the run.
        cache: Where downloads are kept.
        progress: Where they are shown.

    Raises:
        WeightsError: for weights that cannot be used.
    """
    if weights is None and (recipe.weights == "none" or model.origin == "file"):
        weights = "none"
    return replace(parts, model=model, weights=resolve_weights(weights, model, cache=cache, progress=progress))
