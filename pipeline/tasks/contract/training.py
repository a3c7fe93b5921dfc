"""What a task does in training: truth that follows its images, losses, what teachers say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.tasks.labels import Labels
    from pipeline.tasks.lesson import Lesson
    from pipeline.tasks.moves import Moves, Tile
    from pipeline.training.images import Batch, TrainingImages

__all__ = ["TrainingContract"]


class TrainingContract(Protocol):
    """A part of :class:`~pipeline.tasks.task.Task`."""

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
            KeyError, IndexError: when something is not in the file, or there are other classes in it than it says.
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
