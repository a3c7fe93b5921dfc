"""What detection does with its networks."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.tasks.suppression import Suppression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.models.source import OneNumber
    from pipeline.session import Outputs
    from pipeline.tasks.detection.deployable.post_process import PostProcess
    from pipeline.tasks.followed import Followed

__all__ = ["DetectorNetworks"]


class DetectorNetworks:
    """That part of :class:`~pipeline.tasks.detection.detection.Detection`.

    Attributes:
        post: What is left to do with the candidates.
    """

    post: PostProcess

    def check(self, network: nn.Module, input_shape: tuple[int, ...], *, classes: int, trained: bool) -> None:
        """See that it answers each image with boxes, scores and labels, and in training with losses."""
        from pipeline.tasks.detection.interface import check_detector

        check_detector(network, input_shape, classes=classes, trained=trained)

    def why_untrained(self, network: nn.Module) -> str | None:
        """A network of raw outputs learns by a loss that comes with it; see :mod:`pipeline.models.raw_detector`."""
        from pipeline.models.raw_detector import RawDetector

        if not isinstance(network, RawDetector) or network.learns:
            return None
        return "no loss(outputs, targets) stands where its decode does, so it cannot be trained"

    def one_number(self, network: nn.Module, inputs: Tensor) -> OneNumber | None:  # noqa: ARG002 - it has boxes
        """None: it answers with boxes."""
        return None

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
        from pipeline.tasks.detection.interface import found_by

        return found_by(network, inputs)

    def deployable(self, network: nn.Module, shape: tuple[int, int, int, int]) -> nn.Module:
        """See :func:`pipeline.tasks.detection.deployable.deployable`."""
        from pipeline.tasks.detection.deployable import deployable

        return deployable(network, shape[2:], channels=shape[1])

    def doubt_of_form(self, network: nn.Module, inputs: Tensor, *, trained: bool) -> str | None:
        """See :func:`pipeline.tasks.detection.own_answers.doubt_of_form`."""
        from pipeline.tasks.detection.own_answers import doubt_of_form

        return doubt_of_form(network, inputs, trained=trained)

    def followed(self, network: nn.Module, shape: tuple[int, int, int, int]) -> Followed | None:
        """See :func:`pipeline.tasks.detection.followed.followed_detector`."""
        from pipeline.tasks.detection.followed import followed_detector

        return followed_detector(network, shape[2:], channels=shape[1])

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
