"""A file of answers: what a teacher that stays with its owner says of images that both have.

Federated distillation: networks and data are not handed over, answers are. The file holds ``logits``, float16 (images,
classes), and in its metadata the images' names (paths relative to the data set's root) and the classes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import DataError, WeightsError
from pipeline.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.data import Sample
    from pipeline.training.teacher_answers import TeacherAnswers

__all__ = ["SCHEMA", "read_shared", "write_shared"]

SCHEMA = "edgewright.answers/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedAnswers:
    """What stands in such a file.

    Attributes:
        names: Of the images, in the order of the logits.
        classes: In the order of the columns.
        logits: float16, (images, classes).
        path: Of the file.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    logits: Tensor
    path: Path

    def about(self, samples: Sequence[Sample], classes: Sequence[str]) -> TeacherAnswers:
        """The answers to some images, with the columns in the order of the classes.

        Raises:
            DataError: when an image or a class is not in the file.
        """
        from pipeline.training.teacher_answers import TeacherAnswers

        row = {name: number for number, name in enumerate(self.names)}
        column = {name: number for number, name in enumerate(self.classes)}
        for what, there, wanted in (
            ("image", row, [sample.name for sample in samples]),
            ("class", column, list(classes)),
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
        chosen = self.logits[[row[sample.name] for sample in samples]][:, [column[name] for name in classes]]
        return TeacherAnswers.of(chosen[:, None].float())


def write_shared(path: Path, logits: Tensor, *, samples: Sequence[Sample], classes: Sequence[str], model: str) -> None:
    """Write the file, whole or not at all.

    Args:
        path: Where; its folder has to be there.
        logits: (images, classes).
        samples: The images, in that order.
        classes: In the order of the columns.
        model: Whose answers, for people.
    """
    told = {
        "schema": SCHEMA,
        "model": model,
        "images": json.dumps([sample.name for sample in samples]),
        "classes": json.dumps(list(classes)),
    }
    write_tensors(path, {"logits": logits.half()}, told)


def read_shared(path: Path) -> SharedAnswers:
    """Read such a file.

    Raises:
        WeightsError: when it is none.
    """
    from safetensors import SafetensorError

    try:
        tensors, told = read_tensors(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError("this file of answers cannot be read", where=str(path), got=str(error)) from error
    logits = tensors.get("logits")
    if logits is None or told.get("schema") != SCHEMA:
        raise WeightsError(
            "this is no file of answers",
            where=str(path),
            got=f"schema {told.get('schema', 'none')}",
            expected=f"{SCHEMA}, as `edgewright answers` writes it; weights belong to a model: MODEL@{path.name}",
        )
    names, classes = (tuple(json.loads(told[name])) for name in ("images", "classes"))
    if logits.shape != (len(names), len(classes)) or not logits.isfinite().all():
        raise WeightsError(
            "this file of answers is damaged",
            where=str(path),
            got=f"logits {tuple(logits.shape)}, {len(names)} images, {len(classes)} classes",
        )
    return SharedAnswers(names=names, classes=classes, logits=logits, path=path)
