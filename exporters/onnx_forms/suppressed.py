"""A detector's graph with the last suppression in it: one NonMaxSuppression, and outputs of a fixed size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.onnx_forms.reference import largest_difference, random_images, reference_session, require_parity
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.session import Array
    from pipeline.tasks.suppression import Suppression

__all__ = ["SuppressedFromCandidates", "check_suppressed"]

_OUTPUTS = ("boxes", "scores", "labels")
_LIMIT = 1e-6
"""Largest difference allowed, as a fraction of the largest value: nothing is computed anew, only handed on."""

_INPUTS, _CROWDS = 4, 8
_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


def SuppressedFromCandidates(model: Path, path: Path, suppression: Suppression) -> float:  # noqa: N802 - conversions are named <Target>From<Source>
    """Write the graph with detections for outputs, as :func:`pipeline.tasks.reading.detection.detections` finds them.

    ``boxes`` (1, most, 4), ``scores`` (1, most) falling, ``labels`` (1, most): what stays, filled up with candidates
    whose score is made 0. Only between the suppression and the mask that is made of it is there a shape that depends
    on values. TensorRT for RTX reads the operator and cannot build it; there the runner suppresses.

    Args:
        model: Gives candidates: ``boxes`` (1, k, 4), ``scores`` (1, k) falling, ``labels`` (1, k); float or Q/DQ.
        path: Where to write.
        suppression: What becomes of them.

    Returns:
        The largest difference seen, see :func:`check_suppressed`.

    Raises:
        ParityError: when the graph does not find what the runner would find.
    """
    import onnx

    graph_model = onnx.load(model)
    graph = graph_model.graph
    count = next(output for output in graph.output if output.name == "scores").type.tensor_type.shape.dim[1].dim_value
    most = min(suppression.most, count)
    renamed = {name: f"candidate_{name}" for name in _OUTPUTS}
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = renamed.get(name, name)
    graph.node.extend(_nodes())
    graph.initializer.extend(_constants(count, suppression, most))
    for output in graph.output:
        between = graph.value_info.add()
        between.CopyFrom(output)
        between.name = renamed[output.name]
        output.type.tensor_type.shape.dim[1].dim_value = most
    onnx.checker.check_model(graph_model, full_check=True)
    onnx.save(graph_model, path)
    return check_suppressed(model, path, suppression)


def _nodes() -> list[Any]:
    """From the candidates to the detections."""
    from onnx import TensorProto, helper

    def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:  # noqa: ANN401 - NodeProto
        name = f"nms_{operator}_{outputs.split(maxsplit=1)[0]}"
        return helper.make_node(operator, inputs.split(), outputs.split(), name=name, **attributes)

    return [
        # Ranks stand for scores: candidates come by falling score, and runtimes differ in whom they take of two equals.
        node("Greater", "candidate_scores nms_score", "nms_above"),
        node("Cast", "nms_above", "nms_likely", to=TensorProto.FLOAT),
        node("Mul", "nms_likely nms_ranks", "nms_ranked"),
        # One row of them a class, 0 for what is of another one.
        node("Unsqueeze", "candidate_labels nms_one", "nms_labels"),
        node("Equal", "nms_labels nms_classes", "nms_is"),
        node("Cast", "nms_is", "nms_share", to=TensorProto.FLOAT),
        node("Unsqueeze", "nms_ranked nms_one", "nms_row"),
        node("Mul", "nms_share nms_row", "nms_by_class"),
        node(
            "NonMaxSuppression", "candidate_boxes nms_by_class nms_most nms_iou nms_any_rank", "nms_selected"
        ),  # (n, 3): image, class, candidate
        node("Gather", "nms_selected nms_column", "nms_stays", axis=1),
        # What stays is marked among all candidates: from here on shapes are fixed again.
        node("Cast", "nms_stays", "nms_marks_any", to=TensorProto.FLOAT),
        node("Mul", "nms_marks_any nms_nothing", "nms_marks_zero"),
        node("Add", "nms_marks_zero nms_something", "nms_marks"),
        node("ScatterElements", "nms_none nms_stays nms_marks", "nms_mask", axis=0),
        node("Mul", "nms_ranks nms_mask", "nms_left"),
        node("TopK", "nms_left nms_most", "nms_highest nms_places", axis=0),
        node("Mul", "candidate_scores nms_mask", "nms_scores"),
        node("Gather", "nms_scores nms_places", "scores", axis=1),
        node("Gather", "candidate_boxes nms_places", "boxes", axis=1),
        node("Gather", "candidate_labels nms_places", "labels", axis=1),
    ]


def _constants(count: int, suppression: Suppression, most: int) -> list[Any]:
    from onnx import numpy_helper

    values = {
        "nms_one": np.array([1]),
        "nms_column": np.array(2),
        "nms_classes": np.arange(suppression.labels).reshape(1, -1, 1),
        "nms_most": np.array([most]),
        "nms_iou": np.array([suppression.iou], np.float32),
        "nms_score": np.array([suppression.score], np.float32),
        "nms_nothing": np.array(0, np.float32),
        "nms_something": np.array(1, np.float32),
        "nms_none": np.zeros(count, np.float32),
        "nms_ranks": np.arange(count, 0, -1, dtype=np.float32),
        "nms_any_rank": np.array([0.5], np.float32),
    }
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def check_suppressed(model: Path, path: Path, suppression: Suppression) -> float:
    """Compare the detections of the graph with those that the runner finds in the candidates.

    That is done on random images, and, since a network may find nothing on them, on random candidates that crowd
    together, which are fed to the part behind the network.

    Returns:
        The largest difference, as a fraction of the largest value; infinite where another number is found.

    Raises:
        ParityError: when it is more than nothing.
    """
    candidates, suppressed = reference_session(model), reference_session(path)
    name = candidates.get_inputs()[0].name
    worst = 0.0
    for image in random_images(candidates, _INPUTS):
        given = candidates.run(list(_OUTPUTS), {name: image[None]})
        worst = max(worst, _difference(given, suppressed.run(list(_OUTPUTS), {name: image[None]}), suppression))
    alone = reference_session(_behind_the_network(path))
    for given in _crowds(candidates, suppression):
        feeds = {f"candidate_{output}": value for output, value in zip(_OUTPUTS, given, strict=True)}
        worst = max(worst, _difference(given, alone.run(list(_OUTPUTS), feeds), suppression))
    require_parity(
        worst,
        _LIMIT,
        what="the graph does not suppress as the runner does",
        where=model.name,
        of=f"the largest value, on {_INPUTS} random images and {_CROWDS} crowds of boxes",
        fix="leave the suppression to the runner: --nms runner",
    )
    return worst


def _difference(candidates: Sequence[Array], found: Sequence[Array], suppression: Suppression) -> float:
    """Of detections, both with their batch axes, from what the runner finds; infinite for another number."""
    boxes, scores, labels = (output[0] for output in candidates)
    wanted = detections(boxes, scores, labels, suppression.score, suppression.iou, suppression.most)
    there = found[1][0] > 0
    pairs = zip(wanted, (output[0][there] for output in found), strict=True)
    return max(largest_difference(one, other) if len(one) or len(other) else 0.0 for one, other in pairs)


def _behind_the_network(path: Path) -> bytes:
    """The part of a graph that suppresses, its candidates for inputs."""
    import onnx
    from onnx import helper

    whole = onnx.load(path)
    given = [value for value in whole.graph.value_info if value.name.startswith("candidate_")]
    nodes = [node for node in whole.graph.node if node.name.startswith("nms_")]
    taken = {name for node in nodes for name in node.input}
    constants = [item for item in whole.graph.initializer if item.name in taken]
    graph = helper.make_graph(nodes, "nms", given, whole.graph.output, constants)
    alone = helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    content: bytes = alone.SerializeToString()
    return content


def _crowds(candidates: Any, suppression: Suppression) -> Iterator[tuple[Array, Array, Array]]:  # noqa: ANN401 - a session
    """Candidates of the network's number and types: boxes around few places, scores that fall and tie, all labels."""
    shapes = {output.name: output for output in candidates.get_outputs()}
    count, labels_type = shapes["scores"].shape[1], _TYPES[shapes["labels"].type]
    draw = np.random.default_rng(0)
    for _ in range(_CROWDS):
        corners = draw.choice(draw.uniform(0, 200, (max(1, count // 8), 2)), count) + draw.normal(0, 6, (count, 2))
        boxes = np.concatenate([corners, corners + draw.uniform(20, 60, (count, 2))], axis=1)
        scores = np.sort(draw.uniform(0, 1, count).round(2))[::-1]
        labels = draw.integers(0, suppression.labels, count)
        yield boxes[None].astype(np.float32), scores[None].astype(np.float32), labels[None].astype(labels_type)
