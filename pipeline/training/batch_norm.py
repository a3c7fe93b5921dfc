"""Batch-norm statistics computed anew: over the whole training split, or for a moment over some of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import nn

from pipeline.errors import DataError
from pipeline.models.folded_norms import FoldedNorm2d
from pipeline.training.hardware import layout_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from pipeline.training.images import Batch, TrainingImages

__all__ = ["current_statistics", "reestimate_batch_norm"]

_FEWEST = 2
"""Images that tell any: a batch of one has no variance where a map is one pixel."""
_ENOUGH = 512
"""Images that tell the statistics well enough to compare epochs by, at most..."""
_SHARE = 4
"""... and at most one in so many: without gradients they take a third of their time in training, 8 % of an epoch."""


@contextmanager
def current_statistics(network: nn.Module, images: TrainingImages, *, batch_size: int) -> Iterator[None]:
    """Within it the network is as it would be given away now: its statistics those of its weights, not lagging ones.

    They are told by some of the images, the same ones each time; nothing of the network is changed for good.

    Args:
        network: On any device.
        images: It is trained on.
        batch_size: Images a batch.
    """
    kept = [(buffer, buffer.clone()) for layer in _tracking(network) for buffer in layer.buffers(recurse=False)]
    modes = [(module, module.training) for module in network.modules()]
    reestimate_batch_norm(network, images, batch_size=batch_size, at_most=max(2, min(_ENOUGH, len(images) // _SHARE)))
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)
        for module, training in modes:
            module.training = training


def reestimate_batch_norm(
    network: nn.Module, images: TrainingImages, *, batch_size: int, at_most: int | None = None
) -> int:
    """Replace the running statistics by those of the finished weights, in place; the network ends in eval mode.

    The running averages lag behind weights that change quickly: after a short training, or with the small momentum
    of some mobile networks, they describe a network that no longer exists. Method: "precise batch norm", Wu and
    Johnson, "Rethinking 'Batch' in BatchNorm", 2021 (arXiv:2105.07576), section 3: the population's mean is
    ``E[mean]`` and its variance ``E[mean^2 + var] - E[mean]^2`` over the batches, each weighted by its images.

    Args:
        network: On any device.
        images: Walked through once, in an order that mixes the classes.
        batch_size: Images a batch; a last batch of a single image is left out.
        at_most: So many of the images, at least two; None: all.

    Returns:
        Of how many layers.

    Raises:
        DataError: when there are fewer than two images, and batch norms.
    """
    layers = _tracking(network)
    network.eval()
    if not layers:
        return 0
    if len(images) < _FEWEST:
        raise DataError(
            "there are too few images to measure the statistics of batch norms",
            got=str(len(images)),
            expected=f"at least {_FEWEST}",
            fix="add images",
        )
    layout = layout_for(network, images.first(2).to(next(network.parameters()).device))
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = 1.0  # after a batch, the running statistics are that batch's
        layer.train()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:at_most]
    moments = _moments(network, layers, images.batches(order, batch_size), layout)
    for layer, momentum, (mean, square) in zip(layers, momenta, moments, strict=True):
        layer.momentum = momentum
        _running(layer)[0].copy_(mean)
        _running(layer)[1].copy_((square - mean**2).clamp(min=0))
    network.eval()
    return len(layers)


def _tracking(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The batch norms that have running statistics, but for those that are folded into other layers."""
    layers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 - the 1d, 2d and 3d layers have no public base
    return [layer for layer in layers if layer.track_running_stats and not isinstance(layer, FoldedNorm2d)]


def _running(layer: nn.Module) -> tuple[Tensor, Tensor]:
    mean, variance = layer.running_mean, layer.running_var
    assert isinstance(mean, torch.Tensor)  # noqa: S101 - the layer tracks its statistics
    assert isinstance(variance, torch.Tensor)  # noqa: S101 - as above
    return mean, variance


class _EndOfPassError(Exception):
    """Every layer has seen what it had to see."""


@dataclass(slots=True)
class _Sums:
    """Of a layer's batch statistics, double precision, each weighted by its images.

    Attributes:
        first: Of means.
        second: Of mean squares.
        seen: How many images, each as often as it came.
    """

    first: Tensor
    second: Tensor
    seen: int = 0

    @classmethod
    def of(cls, layer: nn.Module) -> Self:
        """Nothing yet."""
        mean, _ = _running(layer)
        return cls(torch.zeros_like(mean, dtype=torch.float64), torch.zeros_like(mean, dtype=torch.float64))

    def add(self, layer: nn.Module, images: int, values: int) -> None:
        """What the layer has just seen, which stands in its running statistics.

        Args:
            layer: Keeps the variance of a sample, by one less than there are values.
            images: It saw.
            values: Of each channel.
        """
        mean, variance = (value.double() for value in _running(layer))
        variance *= (values - 1) / values
        self.first += images * mean
        self.second += images * (mean**2 + variance)
        self.seen += images

    def means(self) -> tuple[Tensor, Tensor]:
        """Of an image: 0 and 1 where there was none."""
        if not self.seen:
            return self.first, torch.ones_like(self.second)
        return self.first / self.seen, self.second / self.seen


class _Passes:
    """Passes through a network that end at its last batch norm: a detector's proposals and boxes are not asked for.

    The first one goes to the end, and counts.

    Args:
        network: In evaluation mode but for its batch norms.
        layers: Its batch norms; each may be called several times in a pass.
    """

    def __init__(self, network: nn.Module, layers: Sequence[nn.Module]) -> None:
        self._network = network
        self._wanted: int | None = None
        self._seen = self._images = 0
        self._sums = {layer: _Sums.of(layer) for layer in layers}
        self._hooks = [layer.register_forward_hook(self._add) for layer in layers]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def through(self, inputs: Tensor) -> None:
        """Show the layers a batch."""
        self._seen, self._images = 0, len(inputs)
        try:
            self._network(inputs)
        except _EndOfPassError:
            return
        self._wanted = self._seen

    def moments(self) -> list[tuple[Tensor, Tensor]]:
        """Mean and mean square of every layer's channels over all calls; of one that was never called as it began."""
        return [sums.means() for sums in self._sums.values()]

    def _add(self, layer: nn.Module, _inputs: object, normalised: Tensor) -> None:
        self._sums[layer].add(layer, self._images, normalised.numel() // normalised.shape[1])
        self._seen += 1
        if self._seen == self._wanted:
            raise _EndOfPassError


def _moments(
    network: nn.Module, layers: Sequence[nn.Module], batches: Iterable[Batch], layout: torch.memory_format
) -> list[tuple[Tensor, Tensor]]:
    """Mean and mean square of every layer's channels, double precision, each (channels,)."""
    device = next(iter(network.parameters())).device
    with torch.no_grad(), _Passes(network, layers) as passes:
        for batch in batches:
            inputs = batch.on(device, layout).inputs
            if len(inputs) == 1:
                continue
            passes.through(inputs)
    return passes.moments()
