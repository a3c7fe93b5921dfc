"""What a task does with outputs: reads, places, scores and compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.artifact import Json
    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import Array, Outputs
    from pipeline.tasks.accuracy import Accuracy
    from pipeline.tasks.marks import Mark

__all__ = ["OutputContract"]


class OutputContract(Protocol):
    """A part of :class:`~pipeline.tasks.task.Task`.

    Outputs come image by image: ``outputs[i]`` holds every output of the model for ``samples[i]``, so that a task may
    have several.
    """

    def told_with(self, outputs: Sequence[Outputs]) -> Json:
        """What whoever reads the outputs has to know of them, for the bundle's manifest: see :meth:`reading`."""
        ...

    def in_images(
        self, outputs: Sequence[Outputs], samples: Sequence[Sample], preprocess: PreprocessSpec
    ) -> Sequence[Outputs]:
        """The outputs as they are scored: read, and places in pixels of the images rather than of the input.

        Args:
            outputs: As they come from an engine.
            samples: That they are about.
            preprocess: How these became inputs.
        """
        ...

    def told_in_images(self, told: Json) -> Json:
        """What is still to be known of outputs as of :meth:`in_images`; ``told`` as of :meth:`told_with`."""
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

    def hardly_learned(self, found: Accuracy, samples: Sequence[Sample]) -> str | None:
        """That a network does little that could not be done without looking, as ``is right on ...``; None otherwise.

        Args:
            found: Its accuracy.
            samples: On these.
        """
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
