"""Object detection: boxes with a class and a score."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.errors import DataError
from pipeline.preprocess import boxes_in_image
from pipeline.tasks.detection.deployable.agreement import candidates_differ
from pipeline.tasks.detection.deployable.form import OUTPUTS
from pipeline.tasks.detection.deployable.post_process import PostProcess
from pipeline.tasks.detection.marked import marks_of_detections, marks_of_truth
from pipeline.tasks.detection.same_objects import pairs_of, same_objects
from pipeline.tasks.reading.detection import detections
from pipeline.tasks.suppression import Suppression
from pipeline.tasks.task import Accuracy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.data import Sample
    from pipeline.models.source import OneNumber
    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import Array, Outputs
    from pipeline.tasks.detection.losses_about_truth import LossesAboutTruth
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.tasks.followed import Followed
    from pipeline.tasks.lesson import Lesson
    from pipeline.tasks.marks import Mark
    from pipeline.tasks.moves import Moves, Tile
    from pipeline.tasks.task import Labels
    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.schedule import Augmentation

__all__ = ["Detection"]

_CUSTOMARY = PostProcess(score=0.05, iou=0.5, most=100)


class Detection:
    """Networks of torchvision's detection interface.

    In training they take inputs and targets and give a dictionary of losses. Outputs of their deployable form, image by
    image, are candidates: boxes (k, 4) xyxy in pixels of the input, scores (k,), and labels (k,) from 1, since 0 is the
    background: the class index is one less.

    Args:
        post: What is left to do with the candidates.
    """

    name = "detection"
    metric = "AP"
    hit_or_miss = False
    blind_answer = "naming no object"
    embedded = "digits-detection"
    follows: frozenset[Augmentation] = frozenset(("flip", "shift", "scale", "affine", "mosaic", "colour", "erase"))
    output_names: tuple[str, ...] = OUTPUTS
    placed = True
    chosen = True
    schedule: Mapping[str, Json] = {
        "epochs": 8,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "augment": [],
    }
    teachers: tuple[str, ...] = ()
    """A detector that would have to be trained first takes longer than all else: nobody is learned from unasked."""
    teaching: Mapping[str, Json] = {"losses": {"pkd": 6.0}, "weight": 0.5}
    """Labels and features in the proportion of PKD's authors, whose published settings for Faster R-CNN and RetinaNet
    add six times the loss of each level. On labelled images the boxes of teachers add little to the labels."""
    teaching_by_answers: Mapping[str, Json] = {"losses": {"boxes": 1.0}, "weight": 0.5}
    compares = frozenset(("pkd", "boxes", "scores", "iou", "ld"))
    answers_teach = False
    family_schedules: Mapping[str, Mapping[str, Json]] = {
        "fasterrcnn": {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3},
    }
    lesson_schedule: Mapping[str, Json] = {
        "epochs": 5,
        "batch_size": 64,
        "learning_rate": 2e-3,
        "augment": ["shift", "scale"],
    }

    def __init__(self, post: PostProcess = _CUSTOMARY) -> None:
        self.post = post

    # The network

    def check(self, network: nn.Module, input_shape: tuple[int, ...], *, classes: int, trained: bool) -> None:
        """See that it answers each image with boxes, scores and labels, and in training with losses."""
        from pipeline.tasks.detection.interface import check_detector

        check_detector(network, input_shape, classes=classes, trained=trained)

    def one_number(self, network: nn.Module, inputs: Tensor) -> OneNumber | None:  # noqa: ARG002 - it has boxes
        """None: it answers with boxes."""
        return None

    def read_from(self, network: nn.Module) -> Json:
        """Its thresholds; see :func:`~pipeline.tasks.detection.deployable.post_process`."""
        from pipeline.tasks.detection.deployable import post_process

        return asdict(post_process(network))

    def reading(self, said: Json) -> Self:
        """With those thresholds."""
        return type(self)(PostProcess(**said)) if said else self

    def identity(self) -> Json:
        """The name and the thresholds."""
        return {"name": self.name, **asdict(self.post)}

    def remarks(
        self,
        outputs: Sequence[Outputs],  # noqa: ARG002 - boxes are boxes
        classes: Sequence[str],  # noqa: ARG002
        one_number: OneNumber | None,  # noqa: ARG002
        *,
        trained: bool,  # noqa: ARG002
    ) -> tuple[str, ...]:
        """None."""
        return ()

    def outputs_of(self, network: nn.Module, inputs: Tensor) -> list[Outputs]:
        """What is left after the network's own suppression: boxes, scores, labels of each image."""
        answers = [{name: tensor.detach().cpu() for name, tensor in one.items()} for one in network(inputs)]
        return [(one["boxes"].float().numpy(), one["scores"].float().numpy(), one["labels"].numpy()) for one in answers]

    def deployable(self, network: nn.Module, size: tuple[int, int]) -> nn.Module:
        """See :func:`pipeline.tasks.detection.deployable.deployable`."""
        from pipeline.tasks.detection.deployable import deployable

        return deployable(network, size)

    def followed(self, network: nn.Module, size: tuple[int, int]) -> Followed | None:
        """See :func:`pipeline.tasks.detection.followed.followed_detector`."""
        from pipeline.tasks.detection.followed import followed_detector

        return followed_detector(network, size)

    def shrunk(self, network: nn.Module, before: tuple[int, int], after: tuple[int, int]) -> None:
        """Anchors whose sides are pixels shrink as the images do; those of SSD are shares of the image.

        YOLO's stay: they are its strides, which do not depend on the image.
        """
        from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet

        from pipeline.models.anchor_sizes import scale_anchors

        if isinstance(network, FCOS | FasterRCNN | RetinaNet):
            scale_anchors(network, math.sqrt(math.prod(after) / math.prod(before)))

    def suppression(self, classes: int) -> Suppression:
        """That of the network; labels count from 1."""
        return Suppression(labels=1 + classes, **asdict(self.post))

    # Training

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
        """See :func:`~pipeline.tasks.detection.small_objects.doubt_of_small_objects`."""
        from pipeline.tasks.detection.box_labels import BoxLabels
        from pipeline.tasks.detection.small_objects import doubt_of_small_objects

        assert isinstance(images.labels, BoxLabels)  # noqa: S101 - made by collated
        return doubt_of_small_objects(network, images.labels.boxes, preprocess.shape[1:])

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

        return kept_detections(self.outputs_of(network, inputs), (inputs.shape[2], inputs.shape[3]))

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

    # Outputs

    def told_with(self, outputs: Sequence[Outputs]) -> Json:  # noqa: ARG002 - whatever they are
        """The thresholds."""
        return asdict(self.post)

    def in_images(
        self, outputs: Sequence[Outputs], samples: Sequence[Sample], preprocess: PreprocessSpec
    ) -> list[Outputs]:
        """The boxes in pixels of the images."""
        from pipeline.tasks.detection.box_labels import objects_of

        spec = preprocess.model_dump(mode="json")
        return [
            (boxes_in_image(boxes, objects_of(sample).size, spec), *rest)
            for (boxes, *rest), sample in zip(outputs, samples, strict=True)
        ]

    def score(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> Accuracy:
        """COCO's average precision by pycocotools, over thresholds from 0.50 to 0.95."""
        from pipeline.tasks.detection.average_precision import Found, coco_figures
        from pipeline.tasks.detection.box_labels import objects_of

        found = [self._found(one) for one in outputs]
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
            decisions=self.decide(outputs),
            beside=beside,
        )

    def metric_of(self, per_image: Sequence[Json]) -> Callable[[Sequence[int]], float]:
        """COCO's average precision; see :func:`~pipeline.tasks.detection.average_precision.precision_of`."""
        from pipeline.tasks.detection.average_precision import precision_of

        return precision_of(per_image)

    def blind_score(self, samples: Sequence[Sample]) -> float:  # noqa: ARG002 - whatever they show
        """Nothing is found without looking."""
        return 0.0

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

        A detection of score s whose partner of the same class has s' and overlaps by u counts (s - u s')^2, one without
        a partner its own square.
        """
        changed = whole = 0.0
        for ours, theirs in zip(outputs, reference, strict=True):
            mine, wanted = self._found(ours), self._found(theirs)
            matched = pairs_of(mine, wanted)
            whole += float((wanted[1] ** 2).sum())
            changed += sum((wanted[1][one] - overlap * mine[1][other]) ** 2 for other, one, overlap in matched)
            ours_taken, theirs_taken = ({pair[place] for pair in matched} for place in (0, 1))
            for (_, scores, _), taken in ((mine, ours_taken), (wanted, theirs_taken)):
                changed += sum(float(score) ** 2 for number, score in enumerate(scores) if number not in taken)
        return float(changed / max(whole, 1e-30))

    def about_equal(self, first: Outputs, second: Outputs, tolerance: float) -> bool:
        """Whether their scores add up to the same: the boxes of a network that knows nothing are tossed up."""
        totals = [float(scores.sum()) for _, scores, _ in (first, second)]
        return abs(totals[0] - totals[1]) <= max(tolerance, 1e-2) * max(totals, default=0.0)

    def decide(self, outputs: Sequence[Outputs]) -> tuple[Json, ...]:
        """The detections of each image: class index, score, and the box, xyxy."""
        return tuple(
            [[int(label), float(score), *map(float, box)] for box, score, label in zip(*self._found(one), strict=True)]
            for one in outputs
        )

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


def _sum(losses: Mapping[str, Tensor]) -> Tensor:
    first, *others = losses.values()
    return sum(others, start=first)
