"""What teachers' backbones make of a batch: features are too large to be kept, so they run beside the student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.raw_detector import kind_of
from pipeline.tasks.detection.deployable.geometry import pyramid
from pipeline.training.renormalised import renormalised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.preprocess import Renormalisation

__all__ = ["TeacherPyramids", "backbone_of", "pyramid_of"]


class TeacherPyramids:
    """The teachers' feature pyramids of the latest batch; each backbone runs once for it, however many losses ask.

    Args:
        networks: The teachers; are not trained, and end in evaluation mode.
        changes: How each wants the inputs; none: as they are.

    Attributes:
        networks: The same.
    """

    def __init__(self, networks: Sequence[nn.Module], changes: Sequence[Renormalisation | None] = ()) -> None:
        self.networks = tuple(network.eval().requires_grad_(requires_grad=False) for network in networks)
        self._changes = changes or [None] * len(self.networks)
        self._latest: tuple[Tensor | None, list[Mapping[str, Tensor]]] = (None, [])

    def of(self, inputs: Tensor) -> list[Mapping[str, Tensor]]:
        """Of each teacher its levels by name, (batch, channels, height, width) each.

        Args:
            inputs: Of the student, (batch, channels, height, width); the teachers go where they are.
        """
        if self._latest[0] is not inputs:
            both = zip(self.networks, self._changes, strict=True)
            with torch.no_grad():
                found = [pyramid_of(one.to(inputs.device), renormalised(inputs, change)) for one, change in both]
            self._latest = (inputs, found)
        return self._latest[1]

    def release(self) -> None:
        """Forget the batch; the teachers are on the CPU, where the next losses find them."""
        self._latest = (None, [])
        for network in self.networks:
            network.to("cpu")


def backbone_of(network: Any) -> nn.Module:  # noqa: ANN401 - torchvision has no types
    """What makes the pyramid.

    Raises:
        UsageError: for a network without such a part.
    """
    found = getattr(network, "backbone", None)
    if isinstance(found, nn.Module):
        return found
    raise UsageError(
        "this network has no feature pyramid that could be compared",
        where=kind_of(network),
        expected="a part named backbone, as torchvision's detectors have it",
        fix="leave 'pkd' out of distill.losses",
    )


def pyramid_of(network: Any, inputs: Tensor) -> Mapping[str, Tensor]:  # noqa: ANN401 - torchvision has no types
    """The levels by name that a network in evaluation mode makes of some inputs."""
    backbone = backbone_of(network)
    framed = network.transform(list(inputs))[0].tensors if hasattr(network, "transform") else inputs
    return pyramid(backbone, framed)
