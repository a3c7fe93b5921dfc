"""The contract of a task: all that differs between one kind of network and another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pipeline.tasks.contract.networks import NetworkContract
from pipeline.tasks.contract.outputs import OutputContract
from pipeline.tasks.contract.training import TrainingContract

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.artifact import Json
    from pipeline.training.schedule import Augmentation

__all__ = ["Task", "agreement"]


class Task(NetworkContract, TrainingContract, OutputContract, Protocol):
    """What differs between tasks: truth, training, deployable form, how outputs are read, metric.

    What outputs mean is in ``pipeline/tasks/reading``, and what a bundle's runner says of them in ``exporters/device``,
    each in the file of the task's name.

    Attributes:
        name: As in recipes and manifests.
        metric: As in tables, such as ``top1``.
        hit_or_miss: Whether what an image contributes to the metric is 1.0 or 0.0, and the metric their mean.
        embedded: The data that comes with us for it.
        follows: What may change from view to view of an image so that its truth can follow.
        output_names: Of the deployable form, in their order.
        placed: Whether answers say where something is, so that those of networks that see other parts of an image
            cannot be compared.
        chosen: Whether outputs are chosen among many, as a detector's candidates, so that images of which all places
            are alike are answered by chance.
        usual_sizes: Sides of square inputs that its networks are often trained with.
        schedule: How its networks are best trained, from scratch or to recover, where not as the schedule's own
            defaults say.
        family_schedules: What is better for some over that, by how their names begin.
        lesson_schedule: Likewise of what a part of them learns before; see :meth:`lesson`.
        teachers: Networks to learn from where none are named; none: then nobody is learned from.
        teaching: How they are best learned from, where not as the defaults of
            :class:`~pipeline.tasks.distillation.teaching.Teaching` say.
        teaching_by_answers: The same where of some teachers only answers are known.
        compares: Names of the losses that can draw its networks to their teachers.
        answers_teach: Whether a network that lost something recovers by what it answered before; else by its own loss.
    """

    name: str
    metric: str
    hit_or_miss: bool
    embedded: str
    follows: frozenset[Augmentation]
    output_names: tuple[str, ...]
    placed: bool
    chosen: bool
    usual_sizes: tuple[int, ...]
    schedule: Mapping[str, Json]
    teachers: tuple[str, ...]
    teaching: Mapping[str, Json]
    teaching_by_answers: Mapping[str, Json]
    compares: frozenset[str]
    answers_teach: bool
    family_schedules: Mapping[str, Mapping[str, Json]]
    lesson_schedule: Mapping[str, Json]


def agreement(task: Task, first: Sequence[Json], second: Sequence[Json]) -> float:
    """Fraction of the images on which two models decide the same; 1 for none."""
    same = task.alike(first, second)
    return sum(same) / len(same) if same else 1.0
