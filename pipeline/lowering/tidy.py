"""A graph simplified, spelled in one way, without what does not compute, and checked: the same for every origin."""

from __future__ import annotations

from typing import Any

from pipeline.lowering.canonical import canonicalise
from pipeline.lowering.quiet import quiet
from pipeline.onnx_runtime import onnx_runtime

__all__ = ["tidied"]


def tidied(model: Any, *, simplify: bool = True) -> Any:  # noqa: ANN401 - ModelProto
    """The model with static shapes told, means as pools, and nothing in it but the computation.

    Args:
        model: A valid one, with one input of a fixed shape; may be changed.
        simplify: Whether onnxslim folds constants and fuses normalisations first.

    Raises:
        Exception: whatever the simplifier or the check meets; they have no common base.
    """
    import onnx
    import onnxslim

    if simplify:
        onnx_runtime()  # before the simplifier loads it
        with quiet():
            model = onnxslim.slim(model) or model
    model = onnx.shape_inference.infer_shapes(model)
    canonicalise(model)
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _strip(model: Any) -> None:  # noqa: ANN401 - ModelProto
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
