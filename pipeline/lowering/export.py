"""The two exporters of torch, each to a simplified, checked ONNX model with static shapes."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from pipeline.lowering.canonical import canonicalise

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
    import onnxslim

    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder, _quiet():
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
        model = onnxslim.slim(model)
        if model is None:
            model = onnx.load(path)
    model = onnx.shape_inference.infer_shapes(model)
    canonicalise(model)
    _strip(model)
    _check_opset(model, opset)
    onnx.checker.check_model(model, full_check=True)
    return model


def _check_opset(model: Any, asked: int) -> None:  # noqa: ANN401 - onnx.ModelProto
    found = next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    if found != asked:
        message = f"opset {found} came out instead of {asked}: an operator has no form in it"
        raise ValueError(message)


def _strip(model: Any) -> None:  # noqa: ANN401 - onnx.ModelProto
    """Take out what does not compute: source places, versions, comments."""
    model.producer_name, model.producer_version, model.doc_string, model.domain = "edgewright", "", "", ""
    del model.metadata_props[:]
    model.graph.name, model.graph.doc_string = "edgewright", ""
    del model.graph.metadata_props[:]
    for item in (
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
    ):
        item.doc_string = ""
        del item.metadata_props[:]
    del model.functions[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters print and warn about their own progress; what matters is checked on numbers afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnxslim")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
