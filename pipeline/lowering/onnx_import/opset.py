"""The graph in an operator set that INT8 tools and runtimes read."""

from __future__ import annotations

from typing import Any

from pipeline.lowering.onnx_import.constants import constants_as_initializers
from pipeline.models.onnx_file import opset_of

__all__ = ["in_opset", "opsets_to_try"]

_READ = range(17, 21)
"""Operator sets that all targets read."""

_NEWEST_IR = 10
"""Version of the file format that goes with these sets, and that torch's exporter writes with them."""


def opsets_to_try(own: int, asked: int) -> tuple[int, ...]:
    """The one that is asked for, then those near the file's own that serve as well."""
    return tuple(dict.fromkeys((asked, own if own in _READ else asked, _READ[-1])))


def in_opset(model: Any, opset: int) -> Any:  # noqa: ANN401 - ModelProto
    """The model in that operator set, checked to be a valid one.

    Upwards operators are rewritten by ONNX's own converter. Downwards they are taken at their word: the newer sets
    mostly allow further types, and whether the operators mean the same is seen by comparing numbers.

    Args:
        model: In any operator set.
        opset: 17 to 20.

    Raises:
        Exception: whatever the converter or the check meets; they have no common base.
    """
    import onnx
    from onnx import helper, version_converter

    if opset_of(model) < opset:
        converted = version_converter.convert_version(model, opset)
    else:
        converted = onnx.ModelProto()
        converted.CopyFrom(model)
    del converted.opset_import[:]
    converted.opset_import.append(helper.make_opsetid("", opset))
    least = helper.find_min_ir_version_for(list(converted.opset_import))
    converted.ir_version = max(least, min(model.ir_version, _NEWEST_IR))
    constants_as_initializers(converted.graph)
    onnx.checker.check_model(converted)
    return converted
