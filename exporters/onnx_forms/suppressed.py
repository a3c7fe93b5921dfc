"""A detector's graph with the last suppression in it: one NonMaxSuppression, and outputs of a fixed size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.onnx_forms.reference import largest_difference, random_images, reference_session, require_parity
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SuppressedFromCandidates", "check_suppressed"]

_OUTPUTS = ("boxes", "scores", "labels")
_LIMIT = 1e-6
"""Largest difference allowed, as a fraction of the largest value: nothing is computed anew, only handed on."""

_INPUTS = 4


def SuppressedFromCandidates(  # noqa: N802 - conversions are named <Target>From<Source>
    model: Path, path: Path, *, classes: int, score: float, iou: float, most: int
) -> float:
    """Write the graph with detections for outputs, as :func:`pipeline.tasks.reading.detection.detections` finds them.

    ``boxes`` (1, most, 4), ``scores`` (1, most) falling, ``labels`` (1, most): what stays, filled up with candidates
    whose score is made 0. Only between the suppression and the mask that is made of it is there a shape that depends
    on values. TensorRT for RTX reads the operator and cannot build it; there the runner suppresses.

    Args:
        model: Gives candidates: ``boxes`` (1, k, 4), ``scores`` (1, k) falling, ``labels`` (1, k); float or Q/DQ.
        path: Where to write.
        classes: Labels are below it.
        score: Candidates of a higher score are looked at; at least 0.
        iou: Of two boxes of one class that overlap by more, the less likely one goes.
        most: Detections at most.

    Returns:
        The largest difference seen, see :func:`check_suppressed`.

    Raises:
        ParityError: when the graph does not find what the runner would find.
    """
    import onnx

    graph_model = onnx.load(model)
    graph = graph_model.graph
    count = next(output for output in graph.output if output.name == "scores").type.tensor_type.shape.dim[1].dim_value
    renamed = {name: f"candidate_{name}" for name in _OUTPUTS}
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = renamed.get(name, name)
    graph.node.extend(_nodes())
    graph.initializer.extend(_constants(count, classes, score, iou, min(most, count)))
    for output in graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = min(most, count)
    onnx.checker.check_model(graph_model, full_check=True)
    onnx.save(graph_model, path)
    return check_suppressed(model, path, score=score, iou=iou, most=most)


def _nodes() -> list[Any]:
    """From the candidates to the detections."""
    from onnx import TensorProto, helper

    def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:  # noqa: ANN401 - NodeProto
        name = f"nms_{operator}_{outputs.split(maxsplit=1)[0]}"
        return helper.make_node(operator, inputs.split(), outputs.split(), name=name, **attributes)

    return [
        # One row of scores a class, 0 for what is of another one.
        node("Unsqueeze", "candidate_labels nms_one", "nms_labels"),
        node("Equal", "nms_labels nms_classes", "nms_is"),
        node("Cast", "nms_is", "nms_share", to=TensorProto.FLOAT),
        node("Unsqueeze", "candidate_scores nms_one", "nms_scores"),
        node("Mul", "nms_share nms_scores", "nms_by_class"),
        node(
            "NonMaxSuppression", "candidate_boxes nms_by_class nms_most nms_iou nms_score", "nms_selected"
        ),  # (n, 3): image, class, candidate
        node("Gather", "nms_selected nms_column", "nms_stays", axis=1),
        # What stays is marked among all candidates: from here on shapes are fixed again.
        node("Cast", "nms_stays", "nms_marks_any", to=TensorProto.FLOAT),
        node("Mul", "nms_marks_any nms_nothing", "nms_marks_zero"),
        node("Add", "nms_marks_zero nms_something", "nms_marks"),
        node("ScatterElements", "nms_none nms_stays nms_marks", "nms_mask", axis=0),
        node("Squeeze", "candidate_scores nms_zero", "nms_flat"),
        node("Mul", "nms_flat nms_mask", "nms_left"),
        node("TopK", "nms_left nms_most", "nms_highest nms_places", axis=0),
        node("Unsqueeze", "nms_highest nms_zero", "scores"),
        node("Gather", "candidate_boxes nms_places", "boxes", axis=1),
        node("Gather", "candidate_labels nms_places", "labels", axis=1),
    ]


def _constants(count: int, classes: int, score: float, iou: float, most: int) -> list[Any]:
    from onnx import numpy_helper

    values = {
        "nms_zero": np.array([0]),
        "nms_one": np.array([1]),
        "nms_column": np.array(2),
        "nms_classes": np.arange(classes).reshape(1, classes, 1),
        "nms_most": np.array([most]),
        "nms_iou": np.array([iou], np.float32),
        "nms_score": np.array([score], np.float32),
        "nms_nothing": np.array(0, np.float32),
        "nms_something": np.array(1, np.float32),
        "nms_none": np.zeros(count, np.float32),
    }
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def check_suppressed(model: Path, path: Path, *, score: float, iou: float, most: int) -> float:
    """Compare, on random images, the detections of the graph with those that the runner finds in the candidates.

    Returns:
        The largest difference, as a fraction of the largest value; infinite where another number is found.

    Raises:
        ParityError: when it is more than nothing.
    """
    candidates, suppressed = reference_session(model), reference_session(path)
    name = candidates.get_inputs()[0].name
    worst = 0.0
    for image in random_images(candidates, _INPUTS):
        boxes, scores, labels = (output[0] for output in candidates.run(list(_OUTPUTS), {name: image[None]}))
        found = [output[0] for output in suppressed.run(list(_OUTPUTS), {name: image[None]})]
        there = found[1] > 0
        wanted = detections(boxes, scores, labels, score, iou, most)
        pairs = zip(wanted, (output[there] for output in found), strict=True)
        worst = max(worst, *(largest_difference(one, other) if len(one) or len(other) else 0.0 for one, other in pairs))
    require_parity(
        worst,
        _LIMIT,
        what="the graph does not suppress as the runner does",
        where=model.name,
        of=f"the largest value, on {_INPUTS} random images",
        fix="leave the suppression to the runner",
    )
    return worst
