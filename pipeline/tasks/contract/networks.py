"""What a task does with its networks: sees what they are, and gives the forms that others need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.models.source import OneNumber
    from pipeline.session import Outputs
    from pipeline.tasks.followed import Followed
    from pipeline.tasks.suppression import Suppression

__all__ = ["NetworkContract"]


class NetworkContract(Protocol):
    """A part of :class:`~pipeline.tasks.task.Task`."""

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

    def why_untrained(self, network: nn.Module) -> str | None:
        """Why a network cannot be trained, in a clause that names it; None where it can.

        Args:
            network: One that passed :meth:`check`.
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

    def deployable(self, network: nn.Module, shape: tuple[int, int, int, int]) -> nn.Module:
        """The network as it is exported: static shapes, one tensor in, a tuple of tensors or one tensor out.

        Args:
            network: Any of the task's.
            shape: Of its input, (1, channels, height, width).
        """
        ...

    def doubt_of_form(self, network: nn.Module, inputs: Tensor, *, trained: bool) -> str | None:
        """A sentence where what :meth:`deployable` gives may answer otherwise than the network; None where it does not.

        Args:
            network: One that passed :meth:`check`, in evaluation mode.
            inputs: Prepared images, (images, channels, height, width).
            trained: Whether its weights are of a training.

        Raises:
            UsageError: for one that would be deployed as something else.
        """
        ...

    def followed(self, network: nn.Module, shape: tuple[int, int, int, int]) -> Followed | None:
        """The network as its channels are followed, for pruning; None: as it is, up to the layer that answers.

        Args:
            network: Any of the task's; ends in evaluation mode.
            shape: Of its input, (1, channels, height, width).

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
