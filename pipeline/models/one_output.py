"""Networks that answer more than one tensor: which is the answer, and which only help in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["answer_with_one_tensor", "described", "split_outputs"]

_CUSTOMARY = ("logits", "out", "output")
"""What networks call their answer, in the order they are looked for."""


def answer_with_one_tensor(network: nn.Module, name: str | None) -> nn.Module:
    """Let the network answer its main output alone, and in training mode ``(main, *auxiliary)`` where there are more.

    Done by a hook, so that the network's modules and the names of its weights stay what its builder made them.

    Args:
        network: Changed in place, and returned.
        name: Of the main output, or its place in a tuple; None for the customary or the first one.
    """

    def pick(module: nn.Module, _inputs: object, outputs: Any) -> Any:  # noqa: ANN401 - whatever a network answers
        if isinstance(outputs, torch.Tensor) and name is None:
            return outputs
        main, auxiliary = split_outputs(outputs, name)
        return (main, *auxiliary) if module.training and auxiliary else main

    network.register_forward_hook(pick)
    return network


def split_outputs(outputs: object, name: str | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The main output, and those of the others that have its shape: auxiliary classifiers.

    Args:
        outputs: A tensor, a sequence, a mapping, or an object with tensors as attributes.
        name: As of :func:`answer_with_one_tensor`.

    Raises:
        UsageError: when there is no such output, or no tensor at all.
    """
    found = _named(outputs)
    if name is not None:
        wanted = name
    else:
        wanted = next((known for known in _CUSTOMARY if known in found), next(iter(found), ""))
    if wanted not in found:
        raise UsageError(
            f"the network has no output {name!r}" if name else "the network answers no tensor",
            got=described(outputs),
            expected="one tensor, or several of which one is the answer",
            fix="name it with --set model.output=NAME" if found else "let forward return the logits",
        )
    main = found.pop(wanted)
    return main, tuple(other for other in found.values() if other.shape == main.shape)


def described(outputs: object) -> str:
    """What a network answered, in a few words: ``dict with logits (1, 10), features (1, 64, 7, 7)``."""
    if isinstance(outputs, torch.Tensor):
        return str(tuple(outputs.shape))
    parts = [f"{name} {tuple(value.shape)}" for name, value in _named(outputs).items()]
    return f"{type(outputs).__name__} with {', '.join(parts) or 'no tensor'}"


def _named(outputs: object) -> dict[str, Tensor]:
    """Every tensor of the outputs by name or place, in their order."""
    if isinstance(outputs, torch.Tensor):
        return {"0": outputs}
    if isinstance(outputs, Mapping):
        pairs = [(str(key), value) for key, value in outputs.items()]
    elif isinstance(outputs, Sequence) and not hasattr(outputs, "_fields"):
        pairs = [(str(place), value) for place, value in enumerate(outputs)]
    elif hasattr(outputs, "_asdict"):
        pairs = list(outputs._asdict().items())
    else:
        pairs = list(vars(outputs).items()) if hasattr(outputs, "__dict__") else []
    return {name: value for name, value in pairs if isinstance(value, torch.Tensor)}
