"""The contract of a task: all that differs between one kind of network and another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.data import Sample
    from pipeline.models.source import OneNumber
    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import Array, Outputs
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.tasks.followed import Followed
    from pipeline.tasks.lesson import Lesson
    from pipeline.tasks.marks import Mark
    from pipeline.tasks.moves import Moves, Tile
    from pipeline.tasks.suppression import Suppression
    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.schedule import Augmentation

__all__ = ["Accuracy", "Labels", "Task", "agreement"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """The value of a task's metric, a fraction of 1.

    Attributes:
        metric: Such as ``top1``.
        value: Over all images.
        n: Number of images.
        per_image: What each image contributed, in the order of the split and in the task's own form (classification:
            1.0 hit, 0.0 miss): for paired comparisons, see :meth:`Task.metric_of`.
        decisions: What was decided for each image, as JSON in the task's own form (classification: the class's index),
            in the same order: for the agreement of two models, see :meth:`Task.alike`.
        calibration_error: How far the model's confidence is from how often it is right, a fraction of 1; None where
            the task has no such figure.
        beside: What else is customarily told with the metric: name to a fraction of 1.
    """

    metric: str
    value: float
    n: int
    per_image: tuple[Json, ...]
    decisions: tuple[Json, ...]
    calibration_error: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        tuples = {name: tuple(value[name]) for name in ("per_image", "decisions")}
        return cls(**{**value, **tuples})


class Labels(Protocol):
    """What is known of some images, as a loss takes it; a tensor is one."""

    def __len__(self) -> int:
        """How many images."""
        ...

    def __getitem__(self, indices: Tensor, /) -> Self:
        """What is known of some of them."""
        ...

    def to(self, device: torch.device, /, *, non_blocking: bool = False) -> Self:
        """The same there."""
        ...


class Task(Protocol):
    """What differs between tasks: truth, training, deployable form, how outputs are read, metric.

    What outputs mean is in ``pipeline/tasks/reading``, and what a bundle's runner says of them in ``exporters/device``,
    each in the file of the task's name.

    Outputs come image by image: ``outputs[i]`` holds every output of the model for ``samples[i]``, so that a task may
    have several.

    Attributes:
        name: As in recipes and manifests.
        metric: As in tables, such as ``top1``.
        hit_or_miss: Whether what an image contributes to the metric is 1.0 or 0.0, and the metric their mean.
        blind_answer: The best that can be done without looking at the image, in words; see :meth:`blind_score`.
        embedded: The data that comes with us for it.
        follows: What may change from view to view of an image so that its truth can follow.
        output_names: Of the deployable form, in their order.
        placed: Whether answers say where something is, so that those of networks that see other parts of an image
            cannot be compared.
        chosen: Whether outputs are chosen among many, as a detector's candidates, so that images of which all places
            are alike are answered by chance.
        schedule: How its networks are best trained, from scratch or to recover, where not as the schedule's own
            defaults say.
        family_schedules: What is better for some over that, by how their names begin.
        lesson_schedule: Likewise of what a part of them learns before; see :meth:`lesson`.
        teachers: Networks to learn from where none are named; none: then nobody is learned from.
        teaching: How they are best learned from, where not as the defaults of
            :class:`~pipeline.tasks.distillation.teaching.Teaching` say.
        teaching_by_answers: The same where of all teachers only answers are known.
        compares: Names of the losses that can draw its networks to their teachers.
        answers_teach: Whether a network that lost something recovers by what it answered before; else by its own loss.
    """

    name: str
    metric: str
    hit_or_miss: bool
    blind_answer: str
    embedded: str
    follows: frozenset[Augmentation]
    output_names: tuple[str, ...]
    placed: bool
    chosen: bool
    schedule: Mapping[str, Json]
    teachers: tuple[str, ...]
    teaching: Mapping[str, Json]
    teaching_by_answers: Mapping[str, Json]
    compares: frozenset[str]
    answers_teach: bool
    family_schedules: Mapping[str, Mapping[str, Json]]
    lesson_schedule: Mapping[str, Json]

    # The network

    def check(self, network: nn.Module, input_shape: tuple[int, ...], *, classes: int, trained: bool) -> None:
        """See that a network takes this input and answers for so many classes; its mode is as before afterwards.

        Args:
            network: Any.
            input_shape: With the batch, such as ``(1, 3, 224, 224)``.
            classes: Of the data.
            trained: Whether it will be trained, and so has to answer for batches in training mode too.

        Raises:
            UsageError: before anything is trained on it.
        """
        ...

    def one_number(self, network: nn.Module, inputs: Tensor) -> OneNumber | None:
        """What a network for two classes answers with where it answers with one number, else None."""
        ...

    def read_from(self, network: nn.Module) -> Json:
        """What a network says of how its outputs are to be read: for :meth:`reading`. None where it says nothing."""
        ...

    def reading(self, said: Json) -> Self:
        """The task that reads outputs so; ``said`` as of :meth:`read_from`, or of a bundle's manifest."""
        ...

    def identity(self) -> Json:
        """What of the task decides results: its name, and how outputs are read where that may differ."""
        ...

    def remarks(
        self, outputs: Sequence[Outputs], classes: Sequence[str], one_number: OneNumber | None, *, trained: bool
    ) -> tuple[str, ...]:
        """What the user should know of how a network answers.

        Args:
            outputs: Its, to any images.
            classes: Of the data.
            one_number: As of :meth:`one_number`.
            trained: Whether it is trained here.
        """
        ...

    def outputs_of(self, network: nn.Module, inputs: Tensor) -> list[Outputs]:
        """What a network in evaluation mode gives for some inputs, (batch, channels, height, width), image by image."""
        ...

    def deployable(self, network: nn.Module, size: tuple[int, int]) -> nn.Module:
        """The network as it is exported: static shapes, one tensor in, a tuple of tensors or one tensor out.

        Args:
            network: Any of the task's.
            size: Height and width of its input.
        """
        ...

    def followed(self, network: nn.Module, size: tuple[int, int]) -> Followed | None:
        """The network as its channels are followed, for pruning; None: as it is, up to the layer that answers.

        Args:
            network: Any of the task's; ends in evaluation mode.
            size: Height and width of its input.

        Raises:
            UsageError: for one that cannot be.
        """
        ...

    def shrunk(self, network: nn.Module, before: tuple[int, int], after: tuple[int, int]) -> None:
        """Let what the network holds in pixels of its input follow that input, in place.

        Args:
            network: Any of the task's.
            before: Height and width of its input so far.
            after: Of its smaller one.
        """
        ...

    def suppression(self, classes: int) -> Suppression | None:
        """What is left to do with the outputs and a graph may do too; None where nothing is.

        Args:
            classes: Of the data.
        """
        ...

    # Training

    def collated(self, samples: Sequence[Sample], preprocess: PreprocessSpec) -> Labels:
        """What is known of the images, as :meth:`loss` takes it, about what the network sees of each."""
        ...

    def moved(self, labels: Labels, moves: Moves) -> Labels:
        """What is known of images after they were moved."""
        ...

    def put_together(self, parts: Sequence[Labels], tiles: Sequence[Sequence[Tile]], size: tuple[int, int]) -> Labels:
        """What is known of images that were put together of several.

        Args:
            parts: Of the images themselves, and of what was put beside each.
            tiles: Where each part lies; see :func:`pipeline.training.mosaic.tiles_of`.
            size: Height and width of the images.
        """
        ...

    def lesson(self, network: nn.Module, images: TrainingImages, *, classes: int) -> Lesson | None:
        """What a part of a network of random weights learns before the whole does; None where nothing is gained by it.

        Args:
            network: The whole; the lesson shares the part with it.
            images: It will be trained on.
            classes: Of the data.
        """
        ...

    def doubt(self, network: nn.Module, images: TrainingImages, preprocess: PreprocessSpec) -> str | None:
        """What speaks against training the network on images that are prepared so; None where nothing does."""
        ...

    def answers(self, network: nn.Module, batch: Batch) -> Any:  # noqa: ANN401 - the task's own
        """What a network in training mode gives for a batch, in the form that :meth:`loss` takes.

        A tuple is the main answer and those of auxiliary heads.
        """
        ...

    def reader(self, network: nn.Module, inputs: Tensor) -> Callable[[Any], Any]:
        """A function from what a network answers to what the losses take.

        Args:
            network: Asked about the inputs in evaluation mode; it is left in that.
            inputs: A few.
        """
        ...

    def loss(self, outputs: Any, batch: Batch, *, smoothing: float = 0.0) -> Tensor:  # noqa: ANN401 - as of answers
        """The training loss of a batch, a scalar. For classification outputs are (batch, classes) logits."""
        ...

    def remembered(self, network: nn.Module, inputs: Tensor, read: Callable[[Any], Any]) -> dict[str, Tensor]:
        """What a teacher says of some inputs, in a form small enough to be kept: by name, (batch, ...).

        Args:
            network: In evaluation mode.
            inputs: (batch, channels, height, width).
            read: As of :meth:`reader`.
        """
        ...

    def shared(self, kept: Mapping[str, Tensor], classes: int) -> dict[str, Tensor]:
        """What is kept of one view, as its owner writes it to a file for others: by name, (images, ...).

        Args:
            kept: As of :meth:`remembered`.
            classes: How many the teacher knows.
        """
        ...

    def taken(self, shared: Mapping[str, Tensor], have: Sequence[str], want: Sequence[str]) -> dict[str, Tensor]:
        """Inverse of :meth:`shared`, for classes of another order; what is said of classes nobody wants is left out.

        Args:
            shared: As it stands in the file.
            have: Class names in the file's order.
            want: Those of the data, each of which is among the file's.

        Raises:
            KeyError, IndexError: when something is not in the file, or there are fewer classes in it than it says.
        """
        ...

    def distillation_loss(
        self,
        student: Any,  # noqa: ANN401 - as of answers
        teachers: Sequence[Mapping[str, Tensor]],
        batch: Batch,
        teaching: Teaching,
    ) -> Tensor:
        """How far the student's answers are from what the teachers say together, a scalar.

        Args:
            student: As :meth:`loss` takes it.
            teachers: What each says of the batch, as of :meth:`remembered`.
            batch: That was answered.
            teaching: Which losses, and how.
        """
        ...

    # Outputs

    def told_with(self, outputs: Sequence[Outputs]) -> Json:
        """What whoever reads the outputs has to know of them, for the bundle's manifest: see :meth:`reading`."""
        ...

    def in_images(
        self, outputs: Sequence[Outputs], samples: Sequence[Sample], preprocess: PreprocessSpec
    ) -> Sequence[Outputs]:
        """The outputs with every place in pixels of the images, where they say places in pixels of the input.

        Args:
            outputs: As they come from an engine.
            samples: That they are about.
            preprocess: How these became inputs.
        """
        ...

    def score(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> Accuracy:
        """The metric over all images, with what each contributed; outputs as of :meth:`in_images`."""
        ...

    def metric_of(self, per_image: Sequence[Json]) -> Callable[[Sequence[int]], float]:
        """A function from how often each image counts to the metric.

        Args:
            per_image: As of :attr:`Accuracy.per_image`.
        """
        ...

    def blind_score(self, samples: Sequence[Sample]) -> float:
        """What the metric gives the best answer that looks at no image: a network near it has learned nothing."""
        ...

    def mean_loss(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> float:
        """How bad the outputs are for images that are measured and not trained on; finer than the metric on few.

        Outputs are as of :meth:`in_images`.
        """
        ...

    def in_order(self, outputs: Sequence[Outputs], have: Sequence[str], want: Sequence[str]) -> Sequence[Outputs]:
        """The outputs as a network would give them whose classes stand in another order.

        Args:
            outputs: Image by image.
            have: Class names in the order of the outputs.
            want: The same names in the wanted order.
        """
        ...

    def difference(self, wanted: Sequence[Array], found: Sequence[Array]) -> float:
        """How far an export's outputs for one input are from what they should be, both with their batch axes.

        A fraction of the largest value; infinite for another shape or a value that is no number.
        """
        ...

    def noise(self, outputs: Sequence[Outputs], reference: Sequence[Outputs]) -> float:
        """How far another form of the network is from its reference over some images, relative: 0.01 is a hundredth."""
        ...

    def about_equal(self, first: Outputs, second: Outputs, tolerance: float) -> bool:
        """Whether two outputs for one image differ by rounding alone: at most so much of the largest."""
        ...

    def decide(self, outputs: Sequence[Outputs]) -> tuple[Json, ...]:
        """What each image's outputs say, as :attr:`Accuracy.decisions`."""
        ...

    def alike(self, first: Sequence[Json], second: Sequence[Json]) -> tuple[bool, ...]:
        """Image by image, whether two models decide the same."""
        ...

    def marks(self, sample: Sample, decision: Json | None = None) -> tuple[Mark, ...]:
        """What can be drawn onto an image; empty of a task that says nothing of places.

        Args:
            sample: The image, with its truth.
            decision: Of a model, as of :meth:`decide`; None: the truth is drawn.
        """
        ...


def agreement(task: Task, first: Sequence[Json], second: Sequence[Json]) -> float:
    """Fraction of the images on which two models decide the same; 1 for none."""
    same = task.alike(first, second)
    return sum(same) / len(same) if same else 1.0
