"""Suppression in the graph finds what the runner's suppression finds, in outputs of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.onnx_forms.reference import reference_session
from exporters.onnx_forms.suppressed import SuppressedFromCandidates, check_suppressed
from pipeline.errors import ParityError
from pipeline.tasks.reading.detection import detections
from pipeline.tasks.suppression import Suppression

if TYPE_CHECKING:
    from pathlib import Path

COUNT, CLASSES = 60, 4


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    """A graph that makes 60 candidates of an image of 6x60 pixels: their boxes, scores and labels."""
    nodes = [
        helper.make_node("Squeeze", ["input", "zero"], ["planes"]),
        helper.make_node("Slice", ["planes", "from_0", "to_2", "axis_1"], ["first"]),
        helper.make_node("Slice", ["planes", "from_2", "to_4", "axis_1"], ["second"]),
        helper.make_node("Abs", ["second"], ["sizes"]),
        helper.make_node("Mul", ["first", "twenty"], ["corners"]),
        helper.make_node("Mul", ["sizes", "twenty"], ["sides"]),
        helper.make_node("Add", ["corners", "sides"], ["ends"]),
        helper.make_node("Concat", ["corners", "ends"], ["planes_of_boxes"], axis=1),
        helper.make_node("Slice", ["planes_of_boxes", "from_0", "to_1", "axis_0"], ["one_plane"]),
        helper.make_node("Transpose", ["one_plane"], ["boxes"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["planes", "from_4", "to_5", "axis_1"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["shares"]),
        helper.make_node("Slice", ["shares", "from_0", "to_1", "axis_0"], ["one_share"]),
        helper.make_node("Squeeze", ["one_share", "axis_1"], ["unsorted"]),
        helper.make_node("TopK", ["unsorted", "sixty"], ["scores", "places"], axis=1),
        helper.make_node("Mod", ["places", "four"], ["labels"]),
    ]
    numbers = {f"from_{at}": [at] for at in (0, 2, 4)} | {f"to_{at}": [at] for at in (1, 2, 4, 5)}
    numbers |= {"axis_0": [0], "axis_1": [1], "zero": [0], "sixty": [COUNT], "four": [CLASSES]}
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items()]
    constants.append(numpy_helper.from_array(np.array(20, np.float32), "twenty"))
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, 6, COUNT))],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, (1, COUNT, 4)),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, COUNT)),
            helper.make_tensor_value_info("labels", TensorProto.INT64, (1, COUNT)),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "candidates.onnx")
    return tmp_path / "candidates.onnx"


@pytest.mark.parametrize(("score", "iou", "most"), [(0.3, 0.3, 100), (0.6, 0.5, 8), (0.0, 0.1, 20)])
def test_the_graph_finds_what_the_runner_finds(
    candidates: Path, tmp_path: Path, score: float, iou: float, most: int
) -> None:
    path = tmp_path / "suppressed.onnx"
    suppression = Suppression(labels=CLASSES, score=score, iou=iou, most=most)
    assert SuppressedFromCandidates(candidates, path, suppression) <= 1e-6
    before, after = reference_session(candidates), reference_session(path)
    kept = min(most, COUNT)
    generator = np.random.default_rng(1)
    dropped = 0
    for _ in range(30):
        image = generator.standard_normal((1, 3, 6, COUNT)).astype(np.float32)
        raw = [output[0] for output in before.run(None, {"input": image})]
        wanted = detections(*raw, score, iou, most)
        boxes, scores, labels = after.run(None, {"input": image})
        assert (boxes.shape, scores.shape, labels.shape) == ((1, kept, 4), (1, kept), (1, kept))
        count = len(wanted[1])
        for one, other in zip(wanted, (boxes, scores, labels), strict=True):
            np.testing.assert_array_equal(one, other[0, :count])
        assert not scores[0, count:].any()
        dropped += int((raw[1] > score).sum()) - count
    assert dropped > 50


def test_shapes_are_told_and_one_suppression_is_there(candidates: Path, tmp_path: Path) -> None:
    path = tmp_path / "suppressed.onnx"
    SuppressedFromCandidates(candidates, path, Suppression(labels=CLASSES, score=0.3, iou=0.5, most=12))
    model = onnx.load(path)
    assert [node.op_type for node in model.graph.node].count("NonMaxSuppression") == 1
    assert [output.name for output in model.graph.output] == ["boxes", "scores", "labels"]


def test_a_graph_that_suppresses_otherwise_is_refused(candidates: Path, tmp_path: Path) -> None:
    path = tmp_path / "suppressed.onnx"
    SuppressedFromCandidates(candidates, path, Suppression(labels=CLASSES, score=0.3, iou=0.5, most=60))
    with pytest.raises(ParityError, match="does not suppress as the runner does"):
        check_suppressed(candidates, path, Suppression(labels=CLASSES, score=0.3, iou=0.1, most=60))


def test_a_network_that_finds_nothing_on_noise_is_checked_too(candidates: Path, tmp_path: Path) -> None:
    """Only the crowds of boxes tell: no score of this network reaches the threshold on any image."""
    model = onnx.load(candidates)
    topk = next(node for node in model.graph.node if node.op_type == "TopK")
    model.graph.initializer.append(numpy_helper.from_array(np.array(1e-3, np.float32), "hardly"))
    position = list(model.graph.node).index(topk)
    model.graph.node.insert(position, helper.make_node("Mul", [topk.input[0], "hardly"], ["unlikely"]))
    topk.input[0] = "unlikely"
    onnx.save(model, candidates)
    path = tmp_path / "suppressed.onnx"
    SuppressedFromCandidates(candidates, path, Suppression(labels=CLASSES, score=0.3, iou=0.5, most=60))

    with pytest.raises(ParityError, match="does not suppress as the runner does"):
        check_suppressed(candidates, path, Suppression(labels=CLASSES, score=0.3, iou=0.1, most=60))
