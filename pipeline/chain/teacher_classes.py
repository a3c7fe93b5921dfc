"""In which order a teacher answers: by the names of its classes, where these are not in the data's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.scan import read_lines
from pipeline.errors import UsageError
from pipeline.typed_path import typed_path

if TYPE_CHECKING:
    from pipeline.chain.teachers import NamedTeacher
    from pipeline.models import WeightsSource
    from pipeline.recipe import Recipe
    from pipeline.subject import Parts

__all__ = ["columns_of"]


def columns_of(teacher: NamedTeacher, recipe: Recipe, parts: Parts, weights: WeightsSource) -> tuple[int, ...] | None:
    """In which place of the teacher's answer each of the data's classes stands; None: in the data's order.

    Args:
        teacher: As it is named.
        recipe: Names the file with the classes' names in ``distill.teacher_classes``.
        parts: Of the student, whose classes these are.
        weights: The teacher's.

    Raises:
        DataError: when the file cannot be read.
        UsageError: when its names are not those of the data's classes, each once, or nobody trained the teacher before.
    """
    text = (recipe.distill.teacher_classes or {}).get(teacher.text)
    if text is None:
        return None
    key = f"distill.teacher_classes, {teacher.text}"
    if parts.task.placed:
        raise UsageError(
            "the classes of a teacher that says where things are cannot be put into another order",
            where=key,
            fix="let it share its answers: `edgewright answers` writes them with the names of their classes",
        )
    if weights.origin == "scratch":
        raise UsageError(
            "this teacher is trained here, and answers in the order of the data's classes",
            where=key,
            got=weights.reason or "no weights",
            fix="name its weights, or leave the key out",
        )
    wanted, names = parts.dataset.classes, read_lines(typed_path(text))
    lacking = [name for name in wanted if name not in names]
    strange = [name for number, name in enumerate(names) if name not in wanted or name in names[:number]]
    if lacking or strange:
        raise UsageError(
            f"the teacher's classes lack {lacking[0]!r}"
            if lacking
            else f"the teacher's classes have {strange[0]!r}, which the data have not, or have once",
            where=text,
            got=f"{len(names)} names",
            expected=f"the names of the data's {len(wanted)} classes, one a line, in the order of the teacher's answer",
        )
    columns = tuple(names.index(name) for name in wanted)
    return None if columns == tuple(range(len(wanted))) else columns
