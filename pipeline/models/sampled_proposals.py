"""Of which proposals Faster R-CNN's two losses are taken in a step of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

if TYPE_CHECKING:
    from torch import nn

__all__ = ["SampledProposals", "sampled_by_objects", "samplers_of"]

_STEP = 16
"""A network that is compiled is compiled anew for every other number."""


class SampledProposals(BalancedPositiveNegativeSampler):  # type: ignore[misc]  # torchvision has no types
    """As many proposals of an image, drawn by chance, as its objects are worth; at most a half of them are objects.

    torchvision draws 512 for the head, which looks at each with two large layers: for small images with few objects
    that is most of a step's time. With a number that follows the objects each of them is seen in most steps.

    Args:
        least: Proposals of an image.
        most: Proposals of an image.
        each: Proposals for an object.
    """

    def __init__(self, *, least: int, most: int, each: int) -> None:
        super().__init__(least, 0.5)
        self._least, self._most, self._each = least, most, each

    def follow(self, objects: float) -> None:
        """Draw for images of so many objects from now on."""
        wanted = -(-self._each * objects // _STEP) * _STEP
        self.batch_size_per_image = int(min(self._most, max(self._least, wanted)))


def sampled_by_objects(network: Any) -> Any:  # noqa: ANN401 - torchvision has no types
    """A Faster R-CNN with such samplers, of its anchors and for its head; changed in place."""
    network.rpn.fg_bg_sampler = SampledProposals(least=64, most=256, each=8)
    network.roi_heads.fg_bg_sampler = SampledProposals(least=16, most=128, each=3)
    return network


def samplers_of(network: nn.Module) -> list[SampledProposals]:
    """A detector's samplers that follow the objects; none of one that is sampled otherwise."""
    parts = (getattr(network, name, None) for name in ("rpn", "roi_heads"))
    found = (getattr(part, "fg_bg_sampler", None) for part in parts)
    return [sampler for sampler in found if isinstance(sampler, SampledProposals)]
