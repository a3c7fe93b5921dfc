"""A file of answers: what a teacher that stays with its owner says of images that both have.

Federated distillation: networks and data are not handed over, answers are. The file holds what the task shares
(:meth:`pipeline.tasks.Task.shared`; classification: ``logits``, float16 (images, classes)), and in its metadata the
task, the images' names (paths relative to the data set's root), the classes, and which part of an image was seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import parse_json
from pipeline.errors import DataError, WeightsError
from pipeline.preprocess import PreprocessSpec
from pipeline.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.data import Sample
    from pipeline.tasks import Task
    from pipeline.training.cached_answers import TeacherAnswers

__all__ = ["SCHEMA", "read_shared", "write_shared"]

SCHEMA = "edgewright.answers/1"

_ANEW = "copy it again, or have `edgewright answers` write it anew"


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedAnswers:
    """What stands in such a file.

    Attributes:
        names: Of the images, in the order of the tensors.
        classes: In the teacher's order.
        tensors: By name, (images, ...).
        task: Name of the task that the answers are of.
        path: Of the file.
        seen: How images were resized for the teacher; None in files from before that was told.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    task: str
    path: Path
    seen: PreprocessSpec | None = None

    def about(
        self, samples: Sequence[Sample], classes: Sequence[str], task: Task, preprocess: PreprocessSpec
    ) -> TeacherAnswers:
        """The answers to some images, as the task keeps them, about the classes in that order.

        Raises:
            WeightsError: when they are of another task, or say where things are in images resized otherwise.
            DataError: when an image or a class is not in the file.
        """
        from pipeline.training.cached_answers import TeacherAnswers

        if task.name != self.task:
            raise WeightsError(
                f"these answers are for {self.task}", where=str(self.path), expected=f"answers for {task.name}"
            )
        if task.placed:
            self._see_the_same(preprocess)
        row = {name: number for number, name in enumerate(self.names)}
        for what, there, wanted in (
            ("image", row, [sample.name for sample in samples]),
            ("class", self.classes, list(classes)),
        ):
            lacking = [name for name in wanted if name not in there]
            if lacking:
                raise DataError(
                    f"this teacher says nothing of {what} {lacking[0]!r}",
                    where=str(self.path),
                    got=f"answers on {len(there)} {what}(s), {len(lacking)} of {len(wanted)} are lacking",
                    expected="every training image and every class of the data, by the same names",
                    fix="have its owner write it anew with `edgewright answers MODEL --data ...`",
                )
        rows = [row[sample.name] for sample in samples]
        try:
            taken = task.taken({name: tensor[rows] for name, tensor in self.tensors.items()}, self.classes, classes)
        except (KeyError, IndexError) as error:
            raise self.damaged() from error
        return TeacherAnswers({name: tensor[:, None] for name, tensor in taken.items()})

    def _see_the_same(self, preprocess: PreprocessSpec) -> None:
        """See that a place is the same share of the input's sides for the teacher and for who asks."""
        if self.seen is None or not self.seen.shows_as(preprocess):
            place = "" if preprocess.place is None else f" --set input.place={preprocess.place}"
            raise WeightsError(
                "this file says where things are, but not in what its student sees of the images",
                where=str(self.path),
                got="nothing of how the images were resized" if self.seen is None else self.seen.part_shown(),
                expected=preprocess.part_shown(),
                fix="have its owner write it anew, with an input.size of that ratio: "
                f"`edgewright answers MODEL --data ... --set input.resize={preprocess.resize}{place}`",
            )

    def damaged(self) -> WeightsError:
        """That what stands in the file does not go together."""
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in self.tensors.items())
        return WeightsError(
            "this file of answers is damaged",
            where=str(self.path),
            got=f"{shapes or 'nothing'}, {len(self.names)} images, {len(self.classes)} classes",
            fix=_ANEW,
        )


def write_shared(  # noqa: PLR0913 - what, of whom, about what
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    samples: Sequence[Sample],
    classes: Sequence[str],
    model: str,
    task: str,
    preprocess: PreprocessSpec,
) -> None:
    """Write the file, whole or not at all.

    Args:
        path: Where; its folder has to be there.
        tensors: By name, (images, ...), as of :meth:`pipeline.tasks.Task.shared`.
        samples: The images, in that order.
        classes: In the teacher's order.
        model: Whose answers, for people.
        task: Name of its task.
        preprocess: How the model was fed.
    """
    told = {
        "schema": SCHEMA,
        "task": task,
        "model": model,
        "images": json.dumps([sample.name for sample in samples]),
        "classes": json.dumps(list(classes)),
        "seen": preprocess.model_dump_json(include={"size", "resize", "place"}),
    }
    write_tensors(path, tensors, told)


def read_shared(path: Path) -> SharedAnswers:
    """Read such a file.

    Raises:
        WeightsError: when it is none.
    """
    from safetensors import SafetensorError

    try:
        tensors, told = read_tensors(path, sealed=False)  # files from before there was a seal
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(
            "this file of answers cannot be read",
            where=str(path),
            got=str(error),
            fix=_ANEW,
        ) from error
    if told.get("schema") != SCHEMA:
        raise WeightsError(
            "this is no file of answers",
            where=str(path),
            got=f"schema {told.get('schema', 'none')}",
            expected=f"{SCHEMA}, as `edgewright answers` writes it; weights belong to a model: MODEL@{path.name}",
        )
    try:
        names, classes = (_texts(told[name]) for name in ("images", "classes"))
        seen = _spec(told["seen"]) if "seen" in told else None
    except (KeyError, ValueError) as error:
        raise WeightsError(
            "this file of answers is damaged", where=str(path), got=f"{error} in what it tells", fix=_ANEW
        ) from error
    task = told.get("task", "classification")  # files from before there were others
    found = SharedAnswers(names=names, classes=classes, tensors=tensors, task=task, path=path, seen=seen)
    if not tensors or any(
        one.ndim < 2 or len(one) != len(names) or not one.isfinite().all() for one in tensors.values()
    ):
        raise found.damaged()
    return found


def _texts(written: str) -> tuple[str, ...]:
    """A JSON list of texts.

    Raises:
        ValueError: for anything else.
    """
    found = parse_json(written)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        message = "no list of texts"
        raise ValueError(message)
    return tuple(found)


def _spec(written: str) -> PreprocessSpec:
    """What of a preprocessing is written there.

    Raises:
        ValueError: for anything else, in one line.
    """
    try:
        return PreprocessSpec.model_validate_json(written)
    except ValueError:
        message = "no size and resize"
        raise ValueError(message) from None
