"""What detection does in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.tasks.detection.losses_about_truth import LossesAboutTruth
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.tasks.labels import Labels
    from pipeline.tasks.lesson import Lesson
    from pipeline.tasks.moves import Moves, Tile
    from pipeline.training.images import Batch, TrainingImages

__all__ = ["DetectorTraining"]


class DetectorTraining:
    """That part of :class:`~pipeline.tasks.detection.detection.Detection`."""

    def collated(self, samples: Sequence[Sample], preprocess: PreprocessSpec) -> Labels:
        """The boxes where they are in the input, with their classes."""
        from pipeline.tasks.detection.box_labels import BoxLabels

        return BoxLabels.of(samples, preprocess)

    def moved(self, labels: Labels, moves: Moves) -> Labels:
        """The boxes where they are after the images were moved."""
        from pipeline.tasks.detection.box_labels import BoxLabels

        assert isinstance(labels, BoxLabels)  # noqa: S101 - made by collated
        return labels.moved(moves)

    def put_together(self, parts: Sequence[Labels], tiles: Sequence[Sequence[Tile]], size: tuple[int, int]) -> Labels:
        """The boxes of all parts where they are in the whole."""
        from pipeline.tasks.detection.box_labels import BoxLabels

        boxes = [part for part in parts if isinstance(part, BoxLabels)]  # all of them: made by collated
        return BoxLabels.put_together(boxes, tiles, size)

    def lesson(self, network: nn.Module, images: TrainingImages, *, classes: int) -> Lesson | None:
        """To tell objects apart: see :func:`~pipeline.tasks.detection.single_objects.lesson_of_objects`."""
        from pipeline.tasks.detection.single_objects import lesson_of_objects

        return lesson_of_objects(network, images, classes=classes)

    def doubt(self, network: nn.Module, images: TrainingImages, preprocess: PreprocessSpec) -> str | None:
        """Of objects that are too small for it, and of images without any."""
        from pipeline.tasks.detection.box_labels import BoxLabels
        from pipeline.tasks.detection.empty_images import doubt_of_empty_images
        from pipeline.tasks.detection.small_objects import doubt_of_small_objects

        assert isinstance(images.labels, BoxLabels)  # noqa: S101 - made by collated
        small = doubt_of_small_objects(network, images.labels, preprocess.shape[1:])
        return "; ".join(filter(None, (small, doubt_of_empty_images(network, images.labels)))) or None

    def answers(self, network: nn.Module, batch: Batch) -> LossesAboutTruth:
        """The network's own losses, about the truth or about what teachers take for it."""
        from pipeline.tasks.detection.losses_about_truth import LossesAboutTruth

        return LossesAboutTruth(network, batch.inputs)

    def reader(self, network: nn.Module, inputs: Tensor) -> Callable[[Any], Any]:  # noqa: ARG002 - losses are losses
        """Nothing has to be read otherwise."""
        from pipeline.tasks.logits import as_they_are

        return as_they_are

    def loss(self, outputs: LossesAboutTruth, batch: Batch, *, smoothing: float = 0.0) -> Tensor:  # noqa: ARG002 - within the network
        """The sum of the network's own losses; a scalar."""
        from pipeline.tasks.detection.box_labels import BoxLabels

        assert isinstance(batch.labels, BoxLabels)  # noqa: S101 - made by collated
        return _sum(outputs.about(batch.labels))

    def remembered(self, network: nn.Module, inputs: Tensor, read: Callable[[Any], Any]) -> dict[str, Tensor]:  # noqa: ARG002 - boxes are boxes
        """Its detections; see :func:`~pipeline.tasks.detection.distillation.kept_detections.kept_detections`."""
        from pipeline.tasks.detection.distillation.kept_detections import kept_detections
        from pipeline.tasks.detection.interface import found_by

        return kept_detections(found_by(network, inputs), (inputs.shape[2], inputs.shape[3]))

    def shared(self, kept: Mapping[str, Tensor], classes: int) -> dict[str, Tensor]:  # noqa: ARG002 - they are numbered
        """As they are kept."""
        return dict(kept)

    def taken(self, shared: Mapping[str, Tensor], have: Sequence[str], want: Sequence[str]) -> dict[str, Tensor]:
        """The detections with the wanted classes' numbers."""
        from pipeline.tasks.detection.distillation.kept_detections import renumbered

        return renumbered(shared, [want.index(name) if name in want else None for name in have])

    def distillation_loss(
        self, student: LossesAboutTruth, teachers: Sequence[Mapping[str, Tensor]], batch: Batch, teaching: Teaching
    ) -> Tensor:
        """The sum of the network's own losses about the boxes that the teachers together are sure of; a scalar.

        Args:
            student: As of :meth:`answers`.
            teachers: What each says of the batch, as of :meth:`remembered`.
            batch: That is looked at.
            teaching: Which losses, and how.
        """
        from pipeline.tasks.detection.distillation.pseudo_truth import pseudo_truth

        if "boxes" not in teaching.losses:
            return batch.inputs.new_zeros(())
        weights = teaching.weighting if isinstance(teaching.weighting, tuple) else None
        found = pseudo_truth(teachers, (batch.inputs.shape[2], batch.inputs.shape[3]), weights)
        return teaching.losses["boxes"] * _sum(student.about(found.to(batch.inputs.device)))


def _sum(losses: Mapping[str, Tensor]) -> Tensor:
    first, *others = losses.values()
    return sum(others, start=first)
