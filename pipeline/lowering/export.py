"""The two exporters of torch, each to a simplified, checked ONNX model with static shapes."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from pipeline.lowering.quiet import quiet
from pipeline.lowering.tidy import tidied
from pipeline.lowering.translations import translations_read_once
from pipeline.lowering.unprinted_graphs import graphs_unprinted
from pipeline.models.onnx_file import opset_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

__all__ = ["EXPORTERS", "ExporterName", "OnnxFromTorch"]

ExporterName = Literal["dynamo", "torchscript"]
EXPORTERS: tuple[ExporterName, ...] = ("dynamo", "torchscript")
"""In the order in which they are tried."""


def OnnxFromTorch(  # noqa: N802 - conversions are named <Target>From<Source>
    network: nn.Module, example: torch.Tensor, *, exporter: ExporterName, opset: int, outputs: Sequence[str]
) -> Any:  # noqa: ANN401 - onnx.ModelProto, whose package has no types
    """Export ``network`` in eval mode for inputs of exactly the example's shape.

    The bytes depend on the network alone: what the exporters write about source files and versions is removed.

    Args:
        network: In eval mode, on the CPU.
        example: (1, 3, height, width).
        exporter: Which of torch's two exporters.
        opset: ONNX operator set.
        outputs: Names of the outputs, in order.

    Raises:
        Exception: whatever the exporter meets; torch has no common base for it.
    """
    import onnx

    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder, _silently():
        path = Path(folder, "model.onnx")
        torch.onnx.export(
            network,
            (example,),
            path,
            dynamo=exporter == "dynamo",
            opset_version=opset,
            input_names=["input"],
            output_names=list(outputs),
            external_data=False,
        )
        model = onnx.load(path)
    model = tidied(model)
    _check_opset(model, opset)
    return model


@contextmanager
def _silently() -> Iterator[None]:
    with quiet(), graphs_unprinted(), translations_read_once():
        yield


def _check_opset(model: Any, asked: int) -> None:  # noqa: ANN401 - onnx.ModelProto
    found = opset_of(model)
    if found != asked:
        message = f"opset {found} came out instead of {asked}: an operator has no form in it"
        raise ValueError(message)
