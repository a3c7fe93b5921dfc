"""Networks that answer more than one tensor: which is the answer, and which only help in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.models.source import OneNumber

__all__ = ["answer_in_order", "answer_with_one_tensor", "described", "kind_of_one_number", "split_outputs"]

_VIEWS = ("Squeeze", "Unsqueeze", "View", "UnsafeView", "Reshape", "Select", "Clone")
"""Steps of autograd that move values and leave them as they are."""

_NAMING = "--set network.output=NAME"

_CUSTOMARY = ("logits", "out", "output")
"""What networks call their answer, in the order they are looked for."""


def answer_with_one_tensor(
    network: nn.Module, name: str | None, one_number: OneNumber | None = None, *, classes: int
) -> nn.Module:
    """Let the network answer its main output alone, and in training mode ``(main, *auxiliary)`` where there are more.

    Done by a hook, so that the network's modules and the names of its weights stay what its builder made them.

    Args:
        network: Changed in place, and returned.
        name: Of the main output, or its place in a tuple; None for the customary or the first one that fits.
        one_number: Where it answers with one number for two classes, what that is; it then answers with two.
        classes: That it answers for.
    """

    def pick(module: nn.Module, _inputs: object, outputs: Any) -> Any:  # noqa: ANN401 - whatever a network answers
        if isinstance(outputs, torch.Tensor) and name is None:
            return outputs if one_number is None else _two_scores(outputs, one_number)
        main, auxiliary = split_outputs(outputs, name, classes=classes)
        if one_number is not None:
            main, auxiliary = _two_scores(main, one_number), tuple(_two_scores(one, one_number) for one in auxiliary)
        return (main, *auxiliary) if module.training and auxiliary else main

    network.register_forward_hook(pick)
    return network


def answer_in_order(network: nn.Module, columns: Sequence[int]) -> nn.Module:
    """Let the network, which answers (batch, classes), answer with its columns in another order.

    An answer of another width is left for those to refuse who see that it fits the classes.

    Args:
        network: Changed in place, and returned; its modules and the names of its weights stay.
        columns: For each place of the new order the old one.
    """

    def order(one: Tensor) -> Tensor:
        return one[:, columns] if one.ndim == 2 and one.shape[1] == len(columns) else one

    def ordered(_module: nn.Module, _inputs: object, outputs: Any) -> Any:  # noqa: ANN401 - a tensor or several
        return tuple(map(order, outputs)) if isinstance(outputs, tuple) else order(outputs)

    network.register_forward_hook(ordered)
    return network


def _two_scores(outputs: Tensor, one_number: OneNumber) -> Tensor:
    """(batch, 2) for (batch, 1) or (batch,): logits whose softmax is the sigmoid of the one, or both probabilities."""
    column = outputs.reshape(-1, 1)
    if one_number == "probability":
        return torch.cat((1 - column, column), dim=1)
    return torch.cat((-0.5 * column, 0.5 * column), dim=1)


def kind_of_one_number(network: nn.Module, images: Tensor) -> OneNumber | None:
    """What the one number is that a network answers each image with; None when it answers with something else.

    A probability where the last step is a sigmoid, whether a module or a call in ``forward``.

    Args:
        network: In evaluation mode.
        images: A few inputs, (batch, ...).
    """
    outputs = network(images.clone().requires_grad_().clone())  # may be changed in place
    if not isinstance(outputs, torch.Tensor) or tuple(outputs.shape) not in {(len(images), 1), (len(images),)}:
        return None
    step = outputs.grad_fn
    while step is not None and step.name().startswith(_VIEWS):
        step = step.next_functions[0][0] if step.next_functions else None
    return "probability" if step is not None and step.name().startswith("SigmoidBackward") else "logit"


def split_outputs(outputs: object, name: str | None, *, classes: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The main output, and those of the others that have its shape: auxiliary classifiers.

    Args:
        outputs: A tensor, a sequence, a mapping, or an object with tensors as attributes.
        name: As of :func:`answer_with_one_tensor`.
        classes: Of which the answer holds a score each, or one for two.

    Raises:
        UsageError: when there is no such output, no tensor at all, or none with a score for each class.
    """
    found = _named(outputs)
    wanted = name if name is not None else _fitting(found, classes)
    if wanted not in found:
        raise UsageError(
            f"the network has no output {name!r}" if name else "the network answers no tensor",
            got=described(outputs),
            expected="one tensor, or several of which one is the answer",
            fix=f"name it with {_NAMING}" if found else "let forward return the logits",
        )
    if not _scores(found[wanted], classes):
        raise UsageError(
            f"output {name!r} of the network does not answer with {classes} classes"
            if name
            else f"no output of the network answers with {classes} classes",
            got=described(outputs),
            expected=f"one of shape (images, {classes})",
            fix="let the factory take num_classes, or name the classes the network knows in the data's classes.txt, "
            f"or the output with {_NAMING}",
        )
    main = found.pop(wanted)
    return main, tuple(other for other in found.values() if other.shape == main.shape)


def _fitting(found: Mapping[str, Tensor], classes: int) -> str:
    """The customary name, or else the first, among those with a score for each class; of all where none has."""
    scores = [name for name, output in found.items() if _scores(output, classes)] or list(found)
    return next((known for known in _CUSTOMARY if known in scores), next(iter(scores), ""))


def _scores(output: Tensor, classes: int) -> bool:
    """One score for each class, or one for two: that of the second."""
    return tuple(output.shape[1:]) in ({(2,), (1,), ()} if classes == 2 else {(classes,)})


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
