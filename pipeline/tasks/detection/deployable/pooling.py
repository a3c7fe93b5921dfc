"""RoIAlign over a pyramid on a fixed number of boxes: which level a box belongs to is arithmetic, not a selection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PyramidPooling"]


class PyramidPooling(nn.Module):
    """What torchvision's ``MultiScaleRoIAlign`` does, for one image of one size.

    Every box is pooled from every level, and what does not belong is weighed by zero: more work than needed, but on
    shapes that depend on no value.

    Args:
        pool: The eager one.
        features: Of an image of that size, by name.
        size: Height and width of the image without its frame.
    """

    def __init__(self, pool: Any, features: dict[str, Tensor], size: tuple[int, int]) -> None:  # noqa: ANN401 - torchvision has no types
        super().__init__()
        names = [name for name in features if name in pool.featmap_names]
        self._side = tuple(pool.output_size)
        self._samples = int(pool.sampling_ratio)
        # torchvision looks at the first side alone, and takes every scale for a power of two.
        powers = [-round(math.log2(features[name].shape[2] / size[0])) for name in names]
        # Lin et al., "Feature Pyramid Networks for Object Detection", 2017 (arXiv:1612.03144), equation 1, solved for
        # the side from which on a box belongs to a level; its floor is taken after 1e-6 was added.
        levels = range(powers[0] + 1, powers[-1] + 1)
        self._from = [pool.canonical_scale * 2.0 ** (level - pool.canonical_level - 1e-6) for level in levels]
        # Levels of one scale are one level, of which torchvision uses the first map: the others are left out.
        self._maps = [(name, 2.0**-power) for name, power in zip(names, powers, strict=True)][: len(self._from) + 1]

    def forward(self, features: dict[str, Tensor], boxes: Tensor) -> Tensor:
        """What lies in the boxes (k, 4), as (k, channels, height, width)."""
        from torchvision.ops import roi_align

        image = torch.zeros_like(boxes[:, :1])
        places = torch.cat([image, boxes], dim=1)
        pooled = [
            roi_align(features[name], places, self._side, spatial_scale=scale, sampling_ratio=self._samples)
            for name, scale in self._maps
        ]
        weighed = [part * share for part, share in zip(pooled, self._shares(boxes), strict=False)]
        return torch.stack(weighed).sum(dim=0) if len(weighed) > 1 else pooled[0]

    def _shares(self, boxes: Tensor) -> list[Tensor]:
        """For each level 1 or 0 for each box, (k, 1, 1, 1)."""
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()[:, None, None, None]
        reached = [torch.ones_like(sides), *((sides >= least).to(sides.dtype) for least in self._from)]
        return [here - above for here, above in zip(reached, [*reached[1:], torch.zeros_like(sides)], strict=True)]
