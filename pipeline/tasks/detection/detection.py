"""Object detection: boxes with a class and a score."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from pipeline.tasks.detection.deployable.form import OUTPUTS
from pipeline.tasks.detection.deployable.post_process import PostProcess
from pipeline.tasks.detection.detector_networks import DetectorNetworks
from pipeline.tasks.detection.detector_outputs import DetectorOutputs
from pipeline.tasks.detection.detector_training import DetectorTraining

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from pipeline.artifact import Json
    from pipeline.training.schedule import Augmentation

__all__ = ["Detection"]

_CUSTOMARY = PostProcess(score=0.05, iou=0.5, most=100)
_VERSION = 2
"""Of how outputs are scored: raise it when an accuracy that was measured no longer is what would be measured."""


class Detection(DetectorNetworks, DetectorTraining, DetectorOutputs):
    """Networks of torchvision's detection interface.

    In training they take inputs and targets and give a dictionary of losses. Outputs of their deployable form, image by
    image, are candidates: boxes (k, 4) xyxy in pixels of the input, scores (k,), and labels (k,) from 1, since 0 is the
    background: the class index is one less.

    Args:
        post: What is left to do with the candidates.
    """

    name = "detection"
    hit_or_miss = False
    embedded = "digits-detection"
    follows: frozenset[Augmentation] = frozenset(("flip", "shift", "scale", "affine", "mosaic", "colour", "erase"))
    output_names: tuple[str, ...] = OUTPUTS
    placed = True
    chosen = True
    usual_sizes: tuple[int, ...] = (640, 800)
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

    def read_from(self, network: nn.Module) -> Json:
        """Its thresholds; see :func:`~pipeline.tasks.detection.deployable.post_process`."""
        from pipeline.tasks.detection.deployable import post_process

        return asdict(post_process(network))

    def reading(self, said: Json) -> Self:
        """With those thresholds."""
        return type(self)(PostProcess(**said)) if said else self

    def identity(self) -> Json:
        """The name, the thresholds, and how outputs are scored."""
        return {"name": self.name, "version": _VERSION, **asdict(self.post)}
