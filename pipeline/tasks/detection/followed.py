"""A detector from its image to what its heads answer, as a pruner follows its channels.

What comes behind the heads, decoding, choosing, suppression, has no channels; a graph of channels ends before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from pipeline.tasks.detection.deployable.form import deployable
from pipeline.tasks.detection.deployable.geometry import framed, pyramid
from pipeline.tasks.detection.deployable.raw import RawForm
from pipeline.tasks.followed import Followed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["followed_detector"]


def followed_detector(network: nn.Module, size: tuple[int, int], *, channels: int = 3) -> Followed:
    """Backbone, pyramid and heads, up to the layers that say classes, boxes and whatever else the heads answer.

    Args:
        network: One that has a deployable form; ends in eval mode.
        size: Height and width of its input.
        channels: Of its input.

    Raises:
        UsageError: for one that has none.
    """
    from torchvision.models.detection import FasterRCNN

    form: nn.Module = deployable(network, size, channels=channels)
    if isinstance(network, FasterRCNN):
        form = _BothStages(network)
    elif isinstance(form, RawForm):
        form = form.module  # a user's decoding may leave no way back, as below no_grad
    module = _ToTheHeads(form).eval()
    module.answering = _nearest_layers(module, torch.zeros(1, channels, *size))
    return Followed(module, module.answering)


class _ToTheHeads(nn.Module):
    """Gives what the answering layers give, as they give it: level after level where a head is shared by levels.

    Args:
        form: From an image to answers; its layers are the network's own.
    """

    answering: tuple[nn.Module, ...] = ()

    def __init__(self, form: nn.Module) -> None:
        super().__init__()
        self.form = form

    def answers(self, image: Tensor) -> list[Tensor]:
        """What the form makes of an image (1, channels, height, width), with the way there recorded by autograd."""
        if not all(parameter.requires_grad for parameter in self.form.parameters()):
            image = image.detach().requires_grad_().clone()  # or layers that are not trained would not be seen
        return list(_tensors(self.form(image)))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The outputs of :attr:`answering` for an image (1, channels, height, width)."""
        found: list[Tensor] = []
        handles = [
            layer.register_forward_hook(lambda _layer, _given, answered: found.append(answered))
            for layer in self.answering
        ]
        try:
            self.answers(image)
        finally:
            for handle in handles:
                handle.remove()
        return tuple(found)


class _BothStages(nn.Module):
    """Faster R-CNN without its proposals.

    The whole map of each level stands for what is pooled from it in the proposals' places: that has the same channels.

    Args:
        network: The eager one.
    """

    def __init__(self, network: Any) -> None:  # noqa: ANN401 - torchvision has no types
        super().__init__()
        heads = network.roi_heads
        self.backbone, self.rpn_head = network.backbone, network.rpn.head
        self.box_head, self.box_predictor = heads.box_head, heads.box_predictor
        self._pooled = tuple(heads.box_roi_pool.featmap_names)
        self._side = tuple(heads.box_roi_pool.output_size)
        self._stride = int(network.transform.size_divisible)

    def forward(self, image: Tensor) -> tuple[Any, Any]:
        """What both heads answer."""
        features = pyramid(self.backbone, framed(image, self._stride))
        maps = [feature for name, feature in features.items() if name in self._pooled]
        pooled = reduce(torch.add, (functional.adaptive_avg_pool2d(one, self._side) for one in maps))
        return self.rpn_head(list(features.values())), self.box_predictor(self.box_head(pooled))


def _nearest_layers(module: _ToTheHeads, image: Tensor) -> tuple[nn.Module, ...]:
    """The layers from which nothing but layout, activations, decoding and choosing leads to the answers.

    Found by the way that autograd recorded, so that heads of any make are understood.
    """
    makers: dict[object, nn.Module] = {}

    def remember(layer: nn.Module, _given: object, answered: Tensor) -> None:
        makers[answered.grad_fn] = layer

    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(remember) for layer in layers]
    try:
        with torch.enable_grad():
            answers = module.answers(image)
    finally:
        for handle in handles:
            handle.remove()
    found: dict[nn.Module, None] = {}
    seen: set[object] = set()
    steps: list[Any] = [answer.grad_fn for answer in answers]
    while steps:
        step = steps.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        if step in makers:
            found[makers[step]] = None
        else:
            steps += [before for before, _ in step.next_functions]
    return tuple(found)


def _tensors(answered: Any) -> Iterator[Tensor]:  # noqa: ANN401 - however a head arranges them
    """Every tensor in lists, tuples, dictionaries and records of such; what else a network answers has no channels."""
    if isinstance(answered, torch.Tensor):
        yield answered
        return
    if is_dataclass(answered):
        answered = [getattr(answered, one.name) for one in fields(answered)]
    if isinstance(answered, Mapping):
        answered = answered.values()
    elif not isinstance(answered, list | tuple):
        return
    for one in answered:
        yield from _tensors(one)
