"""What teachers wrote down, read before anybody is trained: is it about these images, these classes, this task?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.chain.execution import cached
from pipeline.stage import Inputs
from pipeline.subject import Subject

if TYPE_CHECKING:
    from pipeline.chain.plan import Plan
    from pipeline.store import Store

__all__ = ["try_answer_files"]


def try_answer_files(plan: Plan, store: Store) -> None:
    """Read every file of answers as it will be read, which takes seconds; not one that was taken before.

    Args:
        plan: Of the run.
        store: Holds what was taken before.

    Raises:
        WeightsError: when one is no file of answers, is damaged, of another task, or about other parts of the images
            where places count.
        DataError: when one says nothing of a training image or a class.
    """
    parts = plan.parts
    for taken in plan.answer_files:
        inputs = Inputs(artifacts={}, subject=Subject(parts=parts).restricted(taken.reads))
        if cached(taken, inputs, store, seed=plan.recipe.seed) is None:
            from pipeline.training.answers_file import read_shared

            read_shared(taken.file).about(parts.dataset.train, parts.dataset.classes, parts.task, parts.preprocess)
