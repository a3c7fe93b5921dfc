"""Training images of two sizes: which of them a batch has is decided by what is in it, as its pixels are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.training.draws import uniform

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.schedule import Augmentation

__all__ = ["MixedSizes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedSizes:
    """The same images at two sizes, a batch at a time.

    Hoffer et al., "Mix & Match: training convnets with mixed image sizes for improved accuracy, speed and scale
    resiliency", 2019 (arXiv:1908.08986), with the number of images a batch fixed.

    Attributes:
        own: At the size that is trained for.
        other: The very same ones at another size.
        share: Fraction of the batches that are of the other size.
    """

    own: TrainingImages
    other: TrainingImages
    share: float

    def batches(
        self, order: Tensor, batch_size: int, *, view: int = 0, augment: Sequence[Augmentation] = ()
    ) -> Iterator[Batch]:
        """As those of :class:`TrainingImages`, with the same images in the same batches.

        The size is drawn from number and view of a batch's first image. So a training that goes on within an epoch
        meets the sizes it would have met, and what teachers said of a view holds for either.

        Args:
            order: Indices into the split, (n,).
            batch_size: Images a batch.
            view: Which view of every image.
            augment: What changes from view to view.
        """
        chunks: tuple[Tensor, ...] = torch.split(order, batch_size) if len(order) else ()
        others = [bool(uniform(chunk[:1], view, "size")[0] < self.share) for chunk in chunks]
        walks = {}
        for is_other, images in ((False, self.own), (True, self.other)):
            some = [chunk for chunk, drawn in zip(chunks, others, strict=True) if drawn is is_other]
            walks[is_other] = images.batches(torch.cat([order[:0], *some]), batch_size, view=view, augment=augment)
        for drawn in others:
            yield next(walks[drawn])
