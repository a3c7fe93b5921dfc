"""How much each layer's INT8 moves the network's output, one layer at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.lowering.cpu import run_onnx
from pipeline.quantization.choices import smooth_outputs, watching
from pipeline.quantization.dialects import ELEMENTWISE
from pipeline.quantization.graph import WEIGHTED, Graph
from pipeline.tasks.noise import output_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.artifact import Json
    from pipeline.progress import Progress
    from pipeline.session import Array, Outputs

__all__ = ["LayerDamage", "layer_damages", "outputs_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerDamage:
    """What one layer does to the output when it alone runs in INT8.

    Attributes:
        node: Name of the ONNX node.
        layer: Name of its weight in the network, such as ``features.1.0``, by which people know it.
        noise: Energy of the change over energy of the output; 0.01 is a hundredth.
    """

    node: str
    layer: str
    noise: float

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {"node": self.node, "layer": self.layer, "noise": self.noise}


def layer_damages(
    model: Any,  # noqa: ANN401 - ModelProto
    quantised: Callable[[frozenset[str]], Any],
    images: Sequence[Array],
    progress: Progress,
    *,
    budget_s: float,
) -> list[LayerDamage]:
    """Quantise every convolution and matrix product alone and compare the output with the float network's.

    Alone: what would follow it in INT8, such as the additions of all residual blocks behind it, stays float as well.
    It follows whichever layer is looked at, and would be most of what is seen of each.

    Of a network that chooses, such as a detector, what it chooses from is compared rather than what it chose, see
    :func:`pipeline.quantization.choices.smooth_outputs`.

    The arithmetic is exact (the Q/DQ file runs unfused, in float), so what is seen is rounding and clipping, not the
    saturation of an instruction set.

    Args:
        model: The float graph.
        quantised: Gives the Q/DQ graph in which the named nodes stay float.
        images: A few, each (1, 3, height, width).
        progress: Told of every layer.
        budget_s: When it is spent the layers that are left are not looked at.

    Returns:
        The layers that were looked at, the worst first.
    """
    graph = Graph(model)
    watched = smooth_outputs(graph)
    layers = {unit.name: graph.weight_of(unit.node) or unit.name for unit in graph.units(WEIGHTED)}
    references = {names: outputs_of(watching(model, names), images) for names in {watched(name) for name in layers}}
    others = frozenset(unit.name for unit in graph.units(WEIGHTED | ELEMENTWISE))
    found: list[LayerDamage] = []
    start = time.monotonic()
    with progress.track("sensitivity of each layer", len(layers)) as ticker:
        for name, weight in layers.items():
            if time.monotonic() - start > budget_s:
                break
            alone = quantised(others - {name})
            outputs = outputs_of(watching(alone, watched(name)), images, exact=True)
            noise = output_noise(outputs, references[watched(name)])
            found.append(LayerDamage(node=name, layer=weight.removesuffix(".weight"), noise=noise))
            ticker.advance()
    return sorted(found, key=lambda damage: -damage.noise)


def outputs_of(model: Any, images: Iterable[Array], *, exact: bool = False) -> list[Outputs]:  # noqa: ANN401 - ModelProto
    """The outputs for every image.

    Args:
        model: Float or Q/DQ.
        images: Each with its batch axis.
        exact: Run Q/DQ as written; else with the fused kernels that a device runs.
    """
    return [tuple(output[0] for output in outputs) for outputs in run_onnx(model, images, optimised=not exact)]
