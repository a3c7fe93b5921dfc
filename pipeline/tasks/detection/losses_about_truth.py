"""A detector's own losses on some inputs, about whatever is taken for the truth."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from itertools import count
from typing import TYPE_CHECKING, Any

from pipeline.models.sampled_proposals import samplers_of
from pipeline.models.training_answers import answering_as_in_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from pipeline.tasks.detection.box_labels import BoxLabels

__all__ = ["LossesAboutTruth"]

_WITHOUT_TRUTH = ("backbone", "head", "rpn.head", "module")
"""Parts of torchvision's detectors, and of one of raw outputs, that look at the inputs alone: what they answer holds
for any truth."""


class LossesAboutTruth:
    """What a network in training mode has to say of some inputs; its losses can be asked for more than once.

    What does not depend on the truth is computed at the first question only, so that a second one costs no backbone;
    but a compiled network is run as it is.

    Args:
        network: Of torchvision's interface; one that does not train gives the losses that it would give in training.
        inputs: (batch, channels, height, width).
    """

    def __init__(self, network: nn.Module, inputs: Tensor) -> None:
        self._network, self._inputs = network, inputs
        self._parts = {} if hasattr(network, "_orig_mod") else _parts_of(network)
        self._answered: dict[str, list[Any]] = {name: [] for name in self._parts}

    def about(self, truth: BoxLabels) -> dict[str, Tensor]:
        """The network's losses by name, a scalar each."""
        targets = [
            {"boxes": boxes, "labels": classes + 1} for boxes, classes in zip(truth.boxes, truth.classes, strict=True)
        ]
        for sampler in samplers_of(self._network):
            sampler.follow(sum(map(len, truth.boxes)) / max(1, len(truth.boxes)))
        training = nullcontext() if self._network.training else answering_as_in_training(self._network)
        with self._answering_once(), training:
            losses: dict[str, Tensor] = self._network(self._inputs, targets)
        return losses

    @contextmanager
    def _answering_once(self) -> Iterator[None]:
        """The parts without truth give what they gave before, call by call, where they were asked before."""
        for name, part in self._parts.items():
            part.forward = _once(part.forward, self._answered[name])
        try:
            yield
        finally:
            for part in self._parts.values():
                del part.forward  # the class's own is there again


def _once(forward: Callable[..., Any], answered: list[Any]) -> Callable[..., Any]:
    """The same function, whose first answers are those that are there, and which adds every further one."""
    calls = count()

    def answer(*inputs: Any, **named: Any) -> Any:  # noqa: ANN401 - any module's
        number = next(calls)
        if number == len(answered):
            answered.append(forward(*inputs, **named))
        return answered[number]

    return answer


def _parts_of(network: nn.Module) -> dict[str, Any]:
    """The parts that look at the inputs alone, by name; none whose forward is not that of its class."""
    modules = dict(network.named_modules())
    return {name: modules[name] for name in _WITHOUT_TRUTH if name in modules and "forward" not in vars(modules[name])}
