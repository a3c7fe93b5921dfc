"""An ONNX graph's parts by what they do, and changing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from pipeline.session import Array

__all__ = ["changed_tensor", "graph_defect", "nodes", "rolled"]


def graph_defect(file: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    """A defect of the graph in a file of that name."""

    def make(folder: Path) -> None:
        import onnx

        model = onnx.load(folder / file)
        change(model)
        onnx.save(model, folder / file)

    return make


def nodes(model: Any, *operators: str) -> list[Any]:  # noqa: ANN401 - ModelProto
    """Those of these operators, in their order.

    Raises:
        ValueError: when there is none.
    """
    found = [node for node in model.graph.node if node.op_type in operators]
    if not found:
        raise ValueError(f"the graph has no {' or '.join(operators)}")
    return found


def changed_tensor(model: Any, name: str, change: Callable[[Array], Array]) -> None:  # noqa: ANN401 - ModelProto
    """Put another value in place of an initializer's; its type stays.

    Raises:
        ValueError: when that changes nothing, or there is no such initializer.
    """
    import numpy as np
    from onnx import numpy_helper

    for tensor in model.graph.initializer:
        if tensor.name == name:
            before = numpy_helper.to_array(tensor)
            after = np.asarray(change(before.copy())).astype(before.dtype)
            if np.array_equal(before, after):
                raise ValueError(f"{name} stays what it was")
            tensor.CopyFrom(numpy_helper.from_array(after, name))
            return
    raise ValueError(f"the graph has no {name}")


def rolled(axis: int) -> Callable[[Array], Array]:
    """Everything by one place along an axis."""

    def roll(value: np.ndarray[Any, Any]) -> Array:
        import numpy as np

        return np.roll(value, 1, axis=axis)

    return roll
