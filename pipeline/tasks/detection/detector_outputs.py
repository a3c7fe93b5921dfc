"""What detection does with outputs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import DataError
from pipeline.image_input import boxes_in_image
from pipeline.tasks.accuracy import Accuracy
from pipeline.tasks.detection.changed import changed_and_whole
from pipeline.tasks.detection.deployable.agreement import candidates_differ
from pipeline.tasks.detection.deployable.post_process import PostProcess
from pipeline.tasks.detection.marked import marks_of_detections, marks_of_truth
from pipeline.tasks.detection.same_objects import same_objects
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.artifact import Json
    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import Array, Outputs
    from pipeline.tasks.marks import Mark

__all__ = ["DetectorOutputs"]

_LEARNED = 0.2
"""Of AP50: SSDlite's published weights make 0.34 on COCO's 80 classes."""


class DetectorOutputs:
    """That part of :class:`~pipeline.tasks.detection.detection.Detection`.

    Attributes:
        metric: Of the score.
        post: What is left to do with the candidates.
    """

    metric = "AP"
    post: PostProcess

    def told_with(self, outputs: Sequence[Outputs]) -> Json:  # noqa: ARG002 - whatever they are
        """The thresholds."""
        return asdict(self.post)

    def in_images(
        self, outputs: Sequence[Outputs], samples: Sequence[Sample], preprocess: PreprocessSpec
    ) -> list[Outputs]:
        """What is found on each, with its boxes in pixels of the images; other candidates have the score 0.

        Suppressed first, as on the device: boxes that reach into a letterbox's fill are cut there, and overlap by more.
        """
        from pipeline.tasks.detection.box_labels import objects_of

        spec = preprocess.model_dump(mode="json")
        placed: list[Outputs] = []
        for (candidates, likelihoods, numbers), sample in zip(outputs, samples, strict=True):
            boxes, scores, labels = detections(candidates, likelihoods, numbers, **asdict(self.post))
            rest = len(likelihoods) - len(scores)
            in_image = boxes_in_image(boxes, objects_of(sample).size, spec)
            placed.append((np.pad(in_image, ((0, rest), (0, 0))), np.pad(scores, (0, rest)), np.pad(labels, (0, rest))))
        return placed

    def told_in_images(self, told: Json) -> Json:  # noqa: ARG002 - whatever it was
        """Nothing goes any more."""
        return asdict(PostProcess(score=0.0, iou=1.0, most=self.post.most))

    def score(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> Accuracy:
        """COCO's average precision by pycocotools, over thresholds from 0.50 to 0.95."""
        from pipeline.tasks.detection.average_precision import Found, coco_figures
        from pipeline.tasks.detection.box_labels import objects_of

        found = [self._found_in(one) for one in outputs]
        truth = [objects_of(sample) for sample in samples]
        labels = [label for sample in samples for label in sample.classes]
        seen = [int(classes.max(initial=0)) for _, _, classes in found]
        figures = coco_figures([Found(*one) for one in found], truth, classes=1 + max([*labels, *seen], default=0))
        beside = dict(figures.figures)
        return Accuracy(
            metric=self.metric,
            value=beside.pop("AP"),
            n=len(samples),
            per_image=figures.per_image,
            decisions=_decisions(found),
            beside=beside,
        )

    def metric_of(self, per_image: Sequence[Json]) -> Callable[[Sequence[int]], float]:
        """COCO's average precision; see :func:`~pipeline.tasks.detection.average_precision.precision_of`."""
        from pipeline.tasks.detection.average_precision import precision_of

        return precision_of(per_image)

    def hardly_learned(self, found: Accuracy, samples: Sequence[Sample]) -> str | None:  # noqa: ARG002 - whatever they show
        """That AP50 is low: AP itself is of good detectors too, where objects are small or many."""
        value = found.beside["AP50"]
        return f"has an AP50 of {100 * value:.2f} %" if value < _LEARNED else None

    def mean_loss(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> float:
        """What is lacking to an AP50 of 1."""
        return 1.0 - self.score(outputs, samples).beside["AP50"]

    def in_order(self, outputs: Sequence[Outputs], have: Sequence[str], want: Sequence[str]) -> Sequence[Outputs]:
        """The candidates with the labels of the wanted order.

        Raises:
            DataError: when a wanted class is not among those there are, or the other way round.
        """
        if tuple(have) == tuple(want):
            return outputs
        unknown = sorted(set(have) ^ set(want))
        if unknown:
            raise DataError(
                f"model and data do not know the same classes: {unknown[0]!r}",
                got=f"{len(have)} classes",
                expected="those of the data",
            )
        place = np.array([0, *(1 + want.index(name) for name in have)])
        return [(boxes, scores, place[labels]) for boxes, scores, labels in outputs]

    def difference(self, wanted: Sequence[Array], found: Sequence[Array]) -> float:
        """See :func:`~pipeline.tasks.detection.deployable.agreement.candidates_differ`."""
        return candidates_differ(wanted, found, score=self.post.score)

    def noise(self, outputs: Sequence[Outputs], reference: Sequence[Outputs]) -> float:
        """How much of the reference's detections is not there, or more is: squared scores, relative to the reference's.

        See :func:`~pipeline.tasks.detection.changed.changed_and_whole`.
        """
        changed = whole = 0.0
        for ours, theirs in zip(outputs, reference, strict=True):
            of_image = changed_and_whole(self._found(ours), self._found(theirs))
            changed, whole = changed + of_image[0], whole + of_image[1]
        return changed / max(whole, 1e-30)

    def about_equal(self, first: Outputs, second: Outputs, tolerance: float) -> bool:
        """Whether their scores add up to the same: the boxes of a network that knows nothing are tossed up."""
        totals = [float(scores.sum()) for _, scores, _ in (first, second)]
        return abs(totals[0] - totals[1]) <= max(tolerance, 1e-2) * max(totals, default=0.0)

    def decide(self, outputs: Sequence[Outputs]) -> tuple[Json, ...]:
        """The detections of each image: class index, score, and the box, xyxy."""
        return _decisions([self._found(one) for one in outputs])

    def alike(self, first: Sequence[Json], second: Sequence[Json]) -> tuple[bool, ...]:
        """Whether both are sure of the same objects: as many, each with a partner of its class in the same place."""
        return tuple(same_objects(a, b) for a, b in zip(first, second, strict=True))

    def marks(self, sample: Sample, decision: Json | None = None) -> tuple[Mark, ...]:
        """The objects, or the detections that the model is sure of; see :mod:`~pipeline.tasks.detection.marked`."""
        from pipeline.tasks.detection.box_labels import objects_of

        objects = objects_of(sample)
        return marks_of_truth(objects) if decision is None else marks_of_detections(objects, decision)

    def _found(self, output: Outputs) -> Outputs:
        """Boxes, scores and class indices that are left of one image's candidates."""
        candidates, likelihoods, numbers = output
        boxes, scores, labels = detections(candidates, likelihoods, numbers, **asdict(self.post))
        return boxes, scores, labels - 1

    def _found_in(self, placed: Outputs) -> Outputs:
        """The same of one image's outputs as of :meth:`in_images`, of which those of a score may have been joined."""
        boxes, scores, labels = placed
        found = np.flatnonzero(scores > max(0.0, self.post.score))[: self.post.most]
        return boxes[found], scores[found], labels[found] - 1


def _decisions(found: Sequence[Outputs]) -> tuple[Json, ...]:
    return tuple(
        [[int(label), float(score), *map(float, box)] for box, score, label in zip(*one, strict=True)] for one in found
    )
