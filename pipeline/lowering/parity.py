"""Whether two forms of a network give the same numbers, and where they part if not."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

from pipeline.lowering.cpu import run_onnx
from pipeline.tasks.noise import largest_difference, relative_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.session import Array
    from pipeline.tasks import Task

__all__ = [
    "NUMBERS",
    "Answers",
    "Difference",
    "Parity",
    "Reference",
    "TorchReference",
    "answers_of",
    "compare",
    "first_difference",
    "named_images",
    "probe_inputs",
]


class Difference(Protocol):
    """How far two forms' outputs for one input are from each other."""

    def __call__(self, wanted: Sequence[Array], found: Sequence[Array], /) -> float:
        """A fraction of the largest value; infinite for another shape or a value that is no number."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a network's outputs are.

    Attributes:
        names: Of the outputs, in their order.
        difference: How outputs are compared: of several that belong together, such as boxes and their scores, the
            task says when they are the same.
        chosen: Whether they are chosen among many, as a detector's candidates: then zeros and ones, images of which
            all places are alike, are answered by chance and say nothing.
    """

    names: tuple[str, ...] = ("output",)
    difference: Difference
    chosen: bool = False


class Reference(Protocol):
    """What a graph is held against."""

    def outputs(self, image: Array) -> list[Array]:
        """Its outputs for one input, float32 (1, 3, height, width)."""
        ...

    def own_rounding(self, image: Array, outputs: list[Array], difference: Difference) -> float:
        """How far rounding alone moves these outputs, by that measure; 0 where that cannot be told."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """The largest difference over all inputs.

    Attributes:
        relative_error: Largest absolute difference over the largest absolute output of the same input.
        input_name: Which input it was met with.
        inputs: How many inputs were compared.
        rounding: Inputs that are left out of ``relative_error``, with the difference and PyTorch's own: there the
            network amplifies rounding so much that float32 itself is far from float64.
    """

    relative_error: float
    input_name: str
    inputs: int
    rounding: tuple[tuple[str, float, float], ...] = ()

    @property
    def finite(self) -> bool:
        """Whether both gave numbers, of the same shapes, everywhere."""
        return math.isfinite(self.relative_error)

    @property
    def difference(self) -> str:
        """The same in words: by how much, on which input."""
        by = f"{self.relative_error:.2g} of the largest output" if self.finite else "values that are no numbers"
        return f"differs by {by} on {self.input_name}"


def probe_inputs(images: Sequence[Array], shape: tuple[int, ...], *, flat: bool = True) -> list[tuple[str, Array]]:
    """The inputs to compare with, each (1, 3, height, width) float32: real images, zeros and ones if flat, noise."""
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    plain = [("zeros", np.zeros(shape, np.float32)), ("ones", np.ones(shape, np.float32))]
    return [*named_images(images), *(plain if flat else ()), ("noise", noise)]


def named_images(images: Sequence[Array]) -> list[tuple[str, Array]]:
    """Real images, each with the name by which a difference on it is told."""
    return [(f"{_IMAGE}{number}", np.asarray(image, dtype=np.float32)) for number, image in enumerate(images)]


_OWN_ROUNDING = 16.0
"""A difference is rounding when it is at most so many times what float32 differs from float64 in PyTorch itself. A
runtime adds in another order: more than 4 times as much was seen of a MobileNetV2 whose channels had just been cut, 15
times on inputs that are no images. Where a network does not amplify rounding, a wrong graph is off by thousands."""

_MADE_UP = 100.0
"""A network that amplifies rounding may differ by so many times the limit on inputs that are no images: a runtime that
adds in another order was seen to differ by 67 times PyTorch's own rounding on ones (an EfficientNet just cut, its
answers a thousand times those to images), a wrong graph differs by tenths of the output."""

_IMAGE = "image "


NUMBERS = Answers(difference=largest_difference)
"""One output of plain numbers."""


def answers_of(task: Task) -> Answers:
    """What the outputs of a task's networks are."""
    return Answers(names=task.output_names, difference=task.difference, chosen=task.chosen)


def compare(
    model: Any,  # noqa: ANN401 - ModelProto
    reference: Reference,
    inputs: Sequence[tuple[str, Array]],
    *,
    limit: float,
    difference: Difference = largest_difference,
) -> Parity:
    """Run the ONNX model and what it is held against on every input.

    Args:
        model: The graph.
        reference: What it should compute.
        inputs: Named inputs.
        limit: Differences beyond it are held against the reference's own rounding before they count.
        difference: How outputs are compared.
    """
    worst, culprit = 0.0, inputs[0][0]
    rounding = []
    answers = [reference.outputs(batch) for _, batch in inputs]  # first: what does not end is ended there
    for (name, batch), wanted, got in zip(inputs, answers, run_onnx(model, (b for _, b in inputs)), strict=True):
        error = difference(wanted, got)
        own = reference.own_rounding(batch, wanted, difference) if limit < error < 1 else 0.0
        amplifies = _OWN_ROUNDING * own > limit and not name.startswith(_IMAGE)
        if limit < error <= max(_OWN_ROUNDING * own, _MADE_UP * limit if amplifies else 0.0):
            rounding.append((name, error, own))
        elif error > worst:
            worst, culprit = error, name
    return Parity(relative_error=worst, input_name=culprit, inputs=len(inputs), rounding=tuple(rounding))


class TorchReference:
    """A network of PyTorch.

    Args:
        network: In eval mode, on the CPU.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def outputs(self, image: Array) -> list[Array]:
        """Its outputs."""
        return _torch_outputs(self._network, image)

    def own_rounding(self, image: Array, outputs: list[Array], difference: Difference) -> float:
        """How far rounding alone moves the network's outputs; 0 for a network that cannot run in float64.

        The larger of two: float32 against float64, and float64 against itself with every weight moved by half a unit
        of float32's last place, which is what an exporter does when it folds a batch normalisation into a convolution.
        """
        try:
            double = copy.deepcopy(self._network).double()
            precise = _torch_outputs(double, image.astype(np.float64))
            _nudge(double)
            nudged = _torch_outputs(double, image.astype(np.float64))
        except (RuntimeError, TypeError):
            return 0.0
        return max(difference(precise, moved) for moved in (outputs, nudged))


def _nudge(network: nn.Module) -> None:
    """Move every weight by half a unit of float32's last place, up or down by chance."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            signs = 2 * torch.randint(0, 2, weight.shape, generator=generator) - 1
            weight.mul_(1 + signs * 2.0**-24)


def first_difference(
    network: nn.Module,
    export: Callable[[nn.Module, list[str]], Any],
    inputs: Sequence[tuple[str, Array]],
    *,
    limit: float,
) -> str | None:
    """The first layer, in the order of execution, whose output differs by more than ``limit``.

    The network is exported once more with the outputs of its layers as additional outputs; None when no single
    layer can be named (the difference then lies between layers, in ``forward`` itself).

    Args:
        network: In eval mode.
        export: ``(module, output names) -> ModelProto`` by the exporter under suspicion.
        inputs: Named inputs.
        limit: Largest relative error.
    """
    taps = _Taps(network)
    names = taps.names(torch.tensor(inputs[0][1]))
    own = len(_torch_outputs(network, inputs[0][1]))
    outputs = (f"output_{number}" for number in range(own))
    model = export(taps, [*outputs, *(f"tap_{number}" for number in range(len(names)))])
    for (_, batch), got in zip(inputs, run_onnx(model, [batch for _, batch in inputs]), strict=True):
        wanted = _torch_outputs(taps, batch)
        for name, a, b in zip(names, wanted[own:], got[own:], strict=True):
            if relative_difference(a, b) > limit:
                return name
    return None


class _Taps(nn.Module):
    """A network whose leaf modules' outputs are outputs too."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._leaves = {name: leaf for name, leaf in network.named_modules() if not any(True for _ in leaf.children())}
        self._order: list[str] = []
        self._seen: list[torch.Tensor] = []

    def names(self, example: torch.Tensor) -> list[str]:
        """Names of the leaves in the order in which they run."""
        with torch.no_grad():
            self(example)
        return list(self._order)

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self._order.clear()
        self._seen.clear()
        handles = [leaf.register_forward_hook(self._hook(name)) for name, leaf in self._leaves.items()]
        try:
            output = self.network(batch)
        finally:
            for handle in handles:
                handle.remove()
        return (*(output if isinstance(output, list | tuple) else (output,)), *self._seen)

    def _hook(self, name: str) -> Any:  # noqa: ANN401 - torch's hook type
        def remember(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor):
                self._order.append(name)
                # A copy, since a following in-place activation would overwrite what is looked at.
                self._seen.append(output.clone())

        return remember


def _torch_outputs(network: nn.Module, batch: Array) -> list[Array]:
    with torch.no_grad():
        outputs = network(torch.tensor(batch))  # a copy: it may normalise what it is given in place
    return [output.numpy() for output in (outputs if isinstance(outputs, list | tuple) else (outputs,))]
