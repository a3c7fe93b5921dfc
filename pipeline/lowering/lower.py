"""Lowering: export, compare, fall back to the other exporter, or say which layer the numbers part at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from pipeline.errors import ParityError
from pipeline.lowering.export import EXPORTERS, OnnxFromTorch
from pipeline.lowering.parity import NUMBERS, TorchReference, compare, first_difference, probe_inputs
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from pipeline.lowering.export import ExporterName
    from pipeline.lowering.parity import Answers, Parity
    from pipeline.progress import Progress
    from pipeline.session import Array

__all__ = ["PARITY_LIMIT", "Lowered", "lower"]

_CONTROL = re.compile(r"\x1b\[[0-9;]*m")
"""Colours, which torch puts into its messages."""

PARITY_LIMIT = 1e-4
"""Largest difference to PyTorch, as a fraction of the largest output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lowered:
    """How the export went.

    Attributes:
        exporter: The one whose graph was kept.
        max_relative_error: Largest difference to PyTorch over the inputs compared.
        checked_inputs: How many inputs were compared.
        notes: Why the other exporter was refused, if it was.
    """

    exporter: ExporterName
    max_relative_error: float
    checked_inputs: int
    notes: tuple[str, ...]


def lower(  # noqa: PLR0913 - what, compared how, written where; the rest by keyword
    network: nn.Module,
    images: Sequence[Array],
    path: Path,
    *,
    opset: int = 18,
    exporters: Sequence[ExporterName] = EXPORTERS,
    limit: float = PARITY_LIMIT,
    answers: Answers = NUMBERS,
    progress: Progress | None = None,
) -> Lowered:
    """Write ``network`` as a float ONNX model to ``path`` and show that it computes the same.

    Args:
        network: The deployable form; is put into eval mode.
        images: Real inputs, each float32 (1, 3, height, width); all have one shape.
        path: Where to write.
        opset: ONNX operator set; 17 to 20 are what INT8 tools and TensorRT read.
        exporters: In the order in which they are tried.
        limit: See :data:`PARITY_LIMIT`.
        answers: What the network's outputs are, and when they are the same.
        progress: Told of each exporter.

    Raises:
        ParityError: when neither exporter's graph agrees; names the layer where the numbers part.
    """
    import onnx

    network = network.to("cpu").eval()
    inputs = probe_inputs(images, tuple(images[0].shape), flat=not answers.chosen)
    example = torch.tensor(inputs[0][1])
    refused: list[str] = []
    with (progress or SilentProgress()).track("exporting to ONNX", len(exporters)) as ticker:
        for exporter in exporters:
            export = partial(_exported, example=example, exporter=exporter, opset=opset)
            try:
                model = export(network, answers.names)
                parity = compare(model, TorchReference(network), inputs, limit=limit, difference=answers.difference)
            except Exception as error:  # noqa: BLE001 - neither exporters nor runtime have one; the next is tried
                refused.append(f"{exporter}: {_first_line(error)}")
                continue
            finally:
                ticker.advance()
            if parity.relative_error <= limit:
                onnx.save(model, path)
                return Lowered(
                    exporter=exporter,
                    max_relative_error=parity.relative_error,
                    checked_inputs=parity.inputs,
                    notes=(*(f"exporter refused: {reason}" for reason in refused), *rounding_notes(parity)),
                )
            culprit = _culprit(network, export, inputs, limit)
            refused.append(f"{exporter}: {parity.difference}, first at {culprit}")
    raise ParityError(
        "the exported graph does not compute what the network computes",
        where="lowering to ONNX",
        got="; ".join(refused),
        expected=f"a difference of at most {limit:g} of the largest output",
        fix="rewrite that layer with plain tensor operations",
    )


def rounding_notes(parity: Parity, reference: str = "PyTorch") -> list[str]:
    """What was left out of the comparison as rounding that the network itself amplifies."""
    return [
        f"on {name} the graph differs by {error:.2g} of the largest output, {reference}'s own float32 by {own:.2g} "
        "through rounding alone: this network amplifies rounding there"
        for name, error, own in parity.rounding
    ]


def _exported(
    module: nn.Module, outputs: Sequence[str], *, example: torch.Tensor, exporter: ExporterName, opset: int
) -> Any:  # noqa: ANN401 - ModelProto
    return OnnxFromTorch(module, example, exporter=exporter, opset=opset, outputs=outputs)


def _culprit(network: nn.Module, export: Any, inputs: Sequence[tuple[str, Array]], limit: float) -> str:  # noqa: ANN401
    try:
        name = first_difference(network, export, inputs, limit=limit)
    except Exception as error:  # noqa: BLE001 - the search is a help; that it failed must not hide the finding
        return f"a layer that could not be found ({_first_line(error)})"
    return f"layer {name!r}" if name else "no single layer: look at the arithmetic in forward"


def _first_line(error: Exception) -> str:
    lines = _CONTROL.sub("", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
