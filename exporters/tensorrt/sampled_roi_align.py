"""RoiAlign written with GridSample: TensorRT for RTX has no RoiAlign, which TensorRT itself has as a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.session import Array

__all__ = ["has_roi_align", "sample_roi_align"]


def has_roi_align(model: Any) -> bool:  # noqa: ANN401 - ModelProto
    """Whether any node is a RoiAlign."""
    return any(node.op_type == "RoiAlign" for node in model.graph.node)


def sample_roi_align(model: Any) -> None:  # noqa: ANN401 - ModelProto
    """Rewrite in place: every RoiAlign becomes one GridSample over all of its points, averaged over each cell.

    The points, the clamping to the map's border and the zeros beyond it are RoiAlign's own; the sums are added in
    another order.

    Args:
        model: Of static shapes, opset 16 or newer; each RoiAlign looks at one image.

    Raises:
        UsageError: for a RoiAlign that takes maxima, a number of samples that depends on the box, or a map whose
            shape is not told.
    """
    from onnx import shape_inference

    typed = shape_inference.infer_shapes(model).graph
    shapes = {
        item.name: [side.dim_value for side in item.type.tensor_type.shape.dim]
        for item in (*typed.value_info, *typed.input, *typed.output)
    }
    shapes.update({item.name: list(item.dims) for item in model.graph.initializer})
    nodes = []
    for node in model.graph.node:
        if node.op_type == "RoiAlign":
            made = _Sampling(model.graph, node, shapes)
            nodes += made.nodes
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Sampling:
    """The nodes that do what one RoiAlign did."""

    def __init__(self, graph: Any, node: Any, shapes: dict[str, list[int]]) -> None:  # noqa: ANN401 - onnx types
        from onnx import helper

        told = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        samples = int(told.get("sampling_ratio", 0))
        feature, boxes = shapes.get(node.input[0], []), shapes.get(node.input[1], [])
        known = len(feature) == 4 and min(feature) > 0 and feature[0] == 1 and bool(boxes) and boxes[0] > 0
        if samples < 1 or told.get("mode", b"avg") != b"avg" or not known:
            raise UsageError(
                "this RoiAlign cannot be written for TensorRT for RTX",
                where=node.name,
                got=f"{samples} samples, map {feature}, boxes {boxes}",
                expected="means over a fixed number of samples, on one feature map and boxes of fixed shapes",
            )
        self.nodes: list[Any] = []
        self._graph, self._base = graph, node.name or node.output[0]
        self._aligned = told.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel"
        self._scale = float(told.get("spatial_scale", 1.0))
        rows, columns = (int(told.get(side, 1)) * samples for side in ("output_height", "output_width"))
        self._build(node, feature, boxes[0], (rows, columns), samples)

    def _build(self, node: Any, feature: list[int], count: int, points: tuple[int, int], samples: int) -> None:  # noqa: ANN401
        rows, columns = points
        _, channels, height, width = feature
        scaled = self._add("Mul", node.input[1], self._constant("scale", np.float32(self._scale)))
        if self._aligned:
            scaled = self._add("Sub", scaled, self._constant("half", np.float32(0.5)))
        sides = [f"{self._base}_sample_{name}" for name in ("x1", "y1", "x2", "y2")]
        self._add("Split", scaled, self._constant("sides", np.ones(4, np.int64)), outputs=sides, axis=1)
        x, inside_x = self._positions(sides[0], sides[2], width, columns)
        y, inside_y = self._positions(sides[1], sides[3], height, rows)
        # (boxes, rows, columns, 2), which is one tall image of points for GridSample.
        shape = self._constant("points", np.array([count, rows, columns, 1], np.int64))
        wide, high = (
            self._constant("as_columns", np.array([1, 3], np.int64)),
            self._constant("as_rows", np.array([2, 3])),
        )
        pair = [self._add("Expand", self._add("Unsqueeze", at, axes), shape) for at, axes in ((x, wide), (y, high))]
        grid = self._add("Concat", *pair, axis=3)
        grid = self._add("Reshape", grid, self._constant("grid", np.array([1, count * rows, columns, 2])))
        sampled = self._add("GridSample", node.input[0], grid, mode="bilinear", padding_mode="border", align_corners=1)
        one, two = self._constant("one", np.array([1], np.int64)), self._constant("two", np.array([2], np.int64))
        inside = self._add("Mul", self._add("Unsqueeze", inside_y, two), self._add("Unsqueeze", inside_x, one))
        inside = self._add("Reshape", inside, self._constant("mask", np.array([1, 1, count * rows, columns])))
        cells = self._add(
            "AveragePool", self._add("Mul", sampled, inside), kernel_shape=[samples] * 2, strides=[samples] * 2
        )
        split = np.array([channels, count, rows // samples, columns // samples], np.int64)
        cells = self._add("Reshape", cells, self._constant("cells", split))
        self._add("Transpose", cells, outputs=[node.output[0]], perm=[1, 0, 2, 3])

    def _positions(self, low: str, high: str, length: int, points: int) -> tuple[str, str]:
        """Where the points along a side lie, from -1 to 1, and which lie on the map, (boxes, points) each."""
        extent = self._add("Sub", high, low)
        if not self._aligned:
            extent = self._add("Max", extent, self._constant("pixel", np.float32(1)))
        shares = ((np.arange(points, dtype=np.float32) + 0.5) / points)[None]
        at = self._add("Add", low, self._add("Mul", extent, self._constant("shares", shares)))
        under = self._add("LessOrEqual", at, self._constant("end", np.float32(length)))
        over = self._add("GreaterOrEqual", at, self._constant("start", np.float32(-1)))
        inside = self._add("Cast", self._add("And", under, over), to=1)
        last = np.float32(length - 1)
        at = self._add("Clip", at, self._constant("first", np.float32(0)), self._constant("last", last))
        at = self._add("Mul", at, self._constant("stretch", np.float32(2 / max(length - 1, 1))))
        return self._add("Sub", at, self._constant("middle", np.float32(1))), inside

    def _add(self, operator: str, *inputs: str, outputs: list[str] | None = None, **attributes: Any) -> str:  # noqa: ANN401
        from onnx import helper

        name = f"{self._base}_sample_{len(self.nodes)}"
        outputs = outputs or [name]
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name=name, **attributes))
        return outputs[0]

    def _constant(self, name: str, value: Array | np.float32) -> str:
        from onnx import numpy_helper

        name = f"{self._base}_sample_{name}_{len(self.nodes)}"
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name
