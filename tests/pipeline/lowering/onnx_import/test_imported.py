"""Whatever an exporter's habits, the imported graph takes one float image and computes what the file computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import ParityError, UsageError
from pipeline.lowering.cpu import run_onnx
from pipeline.lowering.onnx_import import child, file_reference
from pipeline.lowering.onnx_import import imported as module
from pipeline.lowering.onnx_import.child import OnnxChild
from pipeline.lowering.onnx_import.imported import FloatFromOnnx, Imported
from pipeline.models.onnx_file import read_onnx_file
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.session import Array

OnnxNetwork = Callable[..., Any]
Import = Callable[..., tuple[Imported, Any]]


@pytest.fixture(scope="module")
def shared_child() -> Iterator[OnnxChild]:
    """One for all of them: each start takes a second."""
    with OnnxChild() as shared:
        yield shared


@pytest.fixture
def imported(tmp_path: Path, shared_child: OnnxChild, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Saves a graph, imports it, and gives what was told and written."""
    monkeypatch.setattr(module, "OnnxChild", lambda: nullcontext(shared_child))

    def make(model: Any, *, images: list[Array] | None = None, **how: Any) -> tuple[Imported, Any]:  # noqa: ANN401
        onnx.save(model, tmp_path / "model.onnx", **how.pop("saved", {}))
        given = {"classes": 3, "output": None, "opset": 18, "progress": SilentProgress(), **how}
        file = read_onnx_file(tmp_path / "model.onnx")
        found = FloatFromOnnx(file, images or _images(), tmp_path / "float.onnx", **given)
        return found, onnx.load(tmp_path / "float.onnx")

    return make


def _images(count: int = 3, *, pixels: bool = False, size: tuple[int, int] = (16, 16)) -> list[Array]:
    generator = np.random.default_rng(5)
    if pixels:
        return [generator.integers(0, 256, (1, 3, *size)).astype(np.float32) for _ in range(count)]
    return [generator.standard_normal((1, 3, *size)).astype(np.float32) for _ in range(count)]


def _answers(model: Any, batch: Array) -> Array:  # noqa: ANN401 - ModelProto
    ((answer,),) = run_onnx(model, [batch], optimised=False)
    return answer


@pytest.mark.parametrize(
    "habits",
    [
        {"opset": 7, "initializers_as_inputs": True},
        {"opset": 9, "initializers_as_inputs": True},
        {"opset": 11, "constants_as_nodes": True},
        {"opset": 13, "shape": ("batch", 3, "height", "width")},
        {"opset": 16, "shape": (4, 3, 16, 16)},
        {"opset": 18},
        {"opset": 22},
        {"opset": 24},
    ],
    ids=str,
)
def test_the_same_network_from_every_exporter(
    onnx_network: OnnxNetwork, imported: Import, habits: dict[str, Any]
) -> None:
    model = onnx_network(**habits)
    found, graph = imported(model)

    assert found.opset == 18
    assert [entry.version for entry in graph.opset_import] == [18]
    (port,) = graph.graph.input
    assert [side.dim_value for side in port.type.tensor_type.shape.dim] == [1, 3, 16, 16]
    # The normalisation is in the convolution, which is what INT8 needs.
    assert Counter(node.op_type for node in graph.graph.node) == Counter(
        ["Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]
    )
    (image,) = _images(1)
    batch = np.repeat(image, habits.get("shape", (1,))[0] if habits.get("opset") == 16 else 1, axis=0)
    np.testing.assert_allclose(_answers(graph, image), _answers(model, batch)[:1], rtol=1e-4, atol=1e-5)


def test_channels_last_go_with_the_transposition_that_the_graph_begins_with(
    onnx_network: OnnxNetwork, imported: Import
) -> None:
    model = onnx_network(shape=(1, 16, 24, 3), layout="NHWC")
    (image,) = images = _images(1, size=(16, 24))
    _, graph = imported(model, images=images)

    assert "Transpose" not in {node.op_type for node in graph.graph.node}
    wanted = _answers(model, np.ascontiguousarray(image.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(_answers(graph, image), wanted, rtol=1e-4, atol=1e-5)


def test_channels_last_stay_where_the_graph_computes_in_them(imported: Import) -> None:
    """A mean over height and width of an image whose channels stand last."""
    mean = helper.make_node("ReduceMean", ["image"], ["scores"], axes=[1, 2], keepdims=0)
    model = _model([mean], (1, 8, 8, 3), opset=13)
    (image,) = images = _images(1, size=(8, 8))
    _, graph = imported(model, images=images)

    np.testing.assert_allclose(_answers(graph, image), image.mean(axis=(2, 3)), rtol=1e-4, atol=1e-5)


def _model(nodes: list[Any], shape: tuple[int | str, ...], *, opset: int = 18, elem: int = TensorProto.FLOAT) -> Any:  # noqa: ANN401
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", elem, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_bytes_become_floats_of_the_same_values(onnx_network: OnnxNetwork, imported: Import) -> None:
    model = onnx_network(shape=(1, 16, 16, 3), layout="NHWC", dtype="uint8")
    (image,) = images = _images(1, pixels=True)
    _, graph = imported(model, images=images)

    assert {"Cast", "Round"}.isdisjoint(node.op_type for node in graph.graph.node)
    wanted = _answers(model, np.ascontiguousarray(image.transpose(0, 2, 3, 1)).astype(np.uint8))
    np.testing.assert_allclose(_answers(graph, image), wanted, rtol=1e-4)


def test_bytes_that_are_computed_with_are_rounded_to(imported: Import) -> None:
    """The largest of the bytes, found before they are cast."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=2),
        helper.make_node("ReduceMax", ["image"], ["top"], axes=[2, 3], keepdims=0),
        helper.make_node("Cast", ["top"], ["scores"], to=TensorProto.FLOAT),
    ]
    model = _model(nodes, (1, 3, 8, 8), opset=13, elem=TensorProto.UINT8)
    (image,) = images = _images(1, pixels=True, size=(8, 8))
    _, graph = imported(model, images=[image + np.float32(1e-3) for image in images])

    assert np.array_equal(_answers(graph, image + np.float32(1e-3)), image.max(axis=(2, 3)))


def test_a_file_of_half_precision(onnx_network: OnnxNetwork, imported: Import) -> None:
    found, graph = imported(onnx_network(dtype="float16"))

    assert {item.data_type for item in graph.graph.initializer} == {TensorProto.FLOAT}
    assert 0 < found.max_relative_error < 2e-2
    assert any("16-bit floats are float32 here" in note for note in found.notes)


def test_a_file_of_double_precision_is_held_to_the_exact_limit(
    imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only files of 16 bits have rounding of their own: a thousandth of the largest answer is too much here."""
    mean = helper.make_node("ReduceMean", ["image"], ["pooled"], axes=[2, 3], keepdims=0)
    model = _model([mean, helper.make_node("Add", ["pooled", "bias"], ["scores"])], (1, 3, 8, 8), opset=13)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3)), "bias"))
    for port in (model.graph.input[0], model.graph.output[0]):
        port.type.tensor_type.elem_type = TensorProto.DOUBLE
    images = _images(size=(8, 8))

    found, _ = imported(model, images=images)
    assert found.max_relative_error < 1e-5
    assert not any("16-bit" in note for note in found.notes)

    rewritten = OnnxChild.rewritten

    def moved(*given: Any, **how: Any) -> Any:  # noqa: ANN401 - ModelProto
        graph = rewritten(*given, **how)
        bias = next(item for item in graph.graph.initializer if item.name == "bias")
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(2e-3), "bias"))
        return graph

    monkeypatch.setattr(OnnxChild, "rewritten", moved)
    with pytest.raises(ParityError, match="no form of this ONNX file"):
        imported(model, images=images)


def test_weights_beside_the_file(onnx_network: OnnxNetwork, imported: Import) -> None:
    apart = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    model = onnx_network()
    _, graph = imported(model, saved=apart)

    (image,) = _images(1)
    np.testing.assert_allclose(_answers(graph, image), _answers(onnx_network(), image), rtol=1e-4, atol=1e-5)


def test_our_own_export_comes_back_byte_for_byte(trained: Bundle, tmp_path: Path) -> None:
    """And so everything that is made of it, INT8 included, is what PyTorch's network would have given."""
    source = trained.root.with_name("float.onnx")
    FloatFromOnnx(
        read_onnx_file(source),
        _images(),
        tmp_path / "float.onnx",
        classes=3,
        output=None,
        opset=18,
        progress=SilentProgress(),
    )
    assert (tmp_path / "float.onnx").read_bytes() == source.read_bytes()


# Which output, and in which shape


def _with_outputs(model: Any, extra: list[Any], *names: str) -> Any:  # noqa: ANN401 - ModelProto
    model.graph.node.extend(extra)
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    del model.graph.output[:]
    model.graph.output.extend(ports)
    return model


def test_scores_in_more_axes_are_flattened(onnx_network: OnnxNetwork, imported: Import) -> None:
    shape = numpy_helper.from_array(np.array([1, 3, 1, 1], np.int64), "square")
    model = onnx_network()
    model.graph.initializer.append(shape)
    reshaped = helper.make_node("Reshape", ["scores", "square"], ["maps"])
    _, graph = imported(_with_outputs(model, [reshaped], "maps"))

    (image,) = _images(1)
    assert _answers(graph, image).shape == (1, 3)


def test_of_several_outputs_the_one_that_fits_is_taken_and_what_others_need_goes(
    onnx_network: OnnxNetwork, imported: Import
) -> None:
    extra = helper.make_node("Sigmoid", ["positive"], ["features"])
    found, graph = imported(_with_outputs(onnx_network(), [extra], "features", "scores"))

    assert [output.name for output in graph.graph.output] == ["scores"]
    assert "Sigmoid" not in {node.op_type for node in graph.graph.node}
    assert any("of 2 outputs 'scores' is the answer" in note for note in found.notes)


@pytest.mark.parametrize("asked", ["other", "1"])
def test_the_output_that_is_asked_for(onnx_network: OnnxNetwork, imported: Import, asked: str) -> None:
    other = helper.make_node("Neg", ["scores"], ["other"])
    _, graph = imported(_with_outputs(onnx_network(), [other], "scores", "other"), output=asked)

    assert [output.name for output in graph.graph.output] == ["other"]


def test_an_output_that_is_not_there(onnx_network: OnnxNetwork, imported: Import) -> None:
    with pytest.raises(UsageError, match="no such output"):
        imported(onnx_network(), output="logits")


def test_another_number_of_classes(onnx_network: OnnxNetwork, imported: Import) -> None:
    with pytest.raises(UsageError, match="does not answer with 10 classes") as told:
        imported(onnx_network(), classes=10)

    assert told.value.got == "scores float32[1, 3]"


def test_classes_instead_of_scores(onnx_network: OnnxNetwork, imported: Import) -> None:
    decided = helper.make_node("ArgMax", ["scores"], ["decided"], axis=1)
    model = onnx_network()
    model.graph.node.append(decided)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("decided", TensorProto.INT64, None))

    with pytest.raises(UsageError, match="does not answer with 3 classes"):
        imported(model)


@pytest.mark.parametrize("ending", [[], ["Sigmoid"], ["Sigmoid", "Flatten"]], ids=str)
def test_one_number_for_two_classes_becomes_one_for_each(imported: Import, ending: list[str]) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["t0"], axes=[1, 2, 3], keepdims=1),
        *(helper.make_node(kind, [f"t{at}"], [f"t{at + 1}"]) for at, kind in enumerate(ending)),
    ]
    model = _model(nodes, (1, 1, 8, 8), opset=13)
    model.graph.output[0].name = f"t{len(ending)}"
    images = [image[:, :1] + np.float32(at) for at, image in enumerate(_images(size=(8, 8)))]
    found, graph = imported(model, images=images, classes=2)

    one, both = _answers(model, images[2]).item(), _answers(graph, images[2])
    assert both.shape == (1, 2)
    wanted = [1 - one, one] if ending else [-one / 2, one / 2]
    np.testing.assert_allclose(both[0], wanted, rtol=1e-5)
    assert any("one " + ("probability" if ending else "logit") in note for note in found.notes)


# What does not run, or not as one function


def test_a_file_that_the_runtime_does_not_take(imported: Import) -> None:
    with pytest.raises(UsageError, match="ONNX Runtime does not take this file"):
        imported(_model([helper.make_node("NoSuchOperator", ["image"], ["scores"])], (1, 3, 8, 8)))


def test_a_size_that_the_file_does_not_take(imported: Import) -> None:
    nodes = [
        helper.make_node("Reshape", ["image", "rows"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["scores"], axes=[2], keepdims=0),
    ]
    model = _model(nodes, (1, 3, "h", "w"), opset=13)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3, 256], np.int64), "rows"))

    with pytest.raises(UsageError, match="does not take an input of 1x3x20x20"):
        imported(model, images=_images(size=(20, 20)))


def test_values_that_are_no_numbers(imported: Import) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Sub", ["pooled", "pooled"], ["none"]),
        helper.make_node("Div", ["none", "none"], ["scores"]),
    ]
    with pytest.raises(UsageError, match="no numbers"):
        imported(_model(nodes, (1, 3, 8, 8)), images=_images(size=(8, 8)))


def test_another_answer_each_time(imported: Import) -> None:
    ratio, training = (
        numpy_helper.from_array(value, name) for value, name in ((np.float32(0.5), "ratio"), (np.array(True), "on"))
    )
    nodes = [
        helper.make_node("Dropout", ["image", "ratio", "on"], ["dropped"]),
        helper.make_node("GlobalAveragePool", ["dropped"], ["scores"]),
    ]
    model = _model(nodes, (1, 3, 8, 8))
    model.graph.initializer.extend([ratio, training])

    with pytest.raises(UsageError, match="differently each time"):
        imported(model, images=_images(size=(8, 8)))


def test_a_form_that_computes_something_else_is_never_written(
    onnx_network: OnnxNetwork, imported: Import, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One bias moved by a thousandth of the largest answer: every form is refused, and the figures say by how much."""
    rewritten = OnnxChild.rewritten

    def moved(*given: Any, **how: Any) -> Any:  # noqa: ANN401 - ModelProto
        model = rewritten(*given, **how)
        bias = next(item for item in model.graph.initializer if item.name == "bias")
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.01), "bias"))
        return model

    monkeypatch.setattr(OnnxChild, "rewritten", moved)

    with pytest.raises(ParityError, match="no form of this ONNX file") as told:
        imported(onnx_network())

    assert "opset 18: differs by" in (told.value.got or "")
    assert not (tmp_path / "float.onnx").exists()


def test_where_the_simplifier_fails_the_graph_is_taken_as_it_is(
    onnx_network: OnnxNetwork, imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten = OnnxChild.rewritten

    def fails(*given: Any, simplify: bool, **how: Any) -> Any:  # noqa: ANN401 - ModelProto
        if simplify:
            raise child.ChildError("a fold that fails")
        return rewritten(*given, simplify=simplify, **how)

    monkeypatch.setattr(OnnxChild, "rewritten", fails)
    found, graph = imported(onnx_network())

    assert "form refused: opset 18: a fold that fails" in found.notes
    assert "BatchNormalization" in {node.op_type for node in graph.graph.node}


def _with_loop(model: Any, *, taken: bool) -> Any:  # noqa: ANN401 - ModelProto
    """The network with a loop of 2^62 turns before its head, or in a branch that no image takes."""
    nodes = list(model.graph.node)
    head = nodes.pop()
    unknown = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_still"]),
            helper.make_node("Mul", ["seen", "one"], ["kept"]),
        ],
        "body",
        [unknown("turn", TensorProto.INT64, []), unknown("goes_on", TensorProto.BOOL, []), unknown("seen", 1, None)],
        [unknown("goes_on_still", TensorProto.BOOL, []), unknown("kept", 1, None)],
    )
    values = {
        "turns": np.array(2**62),
        "true": np.array(True),
        "one": np.float32(1),
        "nothing": np.zeros(8, np.float32),
    }
    values["high"] = np.float32(1e9)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())
    loop = helper.make_node("Loop", ["turns", "true", head.input[0] if taken else "nothing"], ["looped"], body=body)
    if taken:
        nodes.append(loop)
        head.input[0] = "looped"
    else:
        stays = helper.make_node("Identity", ["nothing"], ["stayed"])
        never = helper.make_graph([loop], "never", [], [unknown("looped", 1, None)])
        ever = helper.make_graph([stays], "ever", [], [unknown("stayed", 1, None)])
        nodes += [
            helper.make_node("ReduceMax", [head.input[0]], ["largest"], keepdims=0),
            helper.make_node("Greater", ["largest", "high"], ["is_high"]),
            helper.make_node("If", ["is_high"], ["shift_of_both"], then_branch=never, else_branch=ever),
            helper.make_node("Add", [head.input[0], "shift_of_both"], ["shifted"]),
        ]
        head.input[0] = "shifted"
    del model.graph.node[:]
    model.graph.node.extend([*nodes, head])
    return model


def test_a_file_that_does_not_end_is_ended(
    onnx_network: OnnxNetwork, imported: Import, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(file_reference, "_LIMIT_S", 0.5)
    with pytest.raises(UsageError) as told:
        imported(_with_loop(onnx_network(), taken=True))

    assert str(told.value) == (
        f"{tmp_path / 'model.onnx'}: running this ONNX file does not end\n"
        "  got: no answer to 1 image within 0.5 s\n"
        "  expected: a network that answers in seconds\n"
        "  fix: look at its loops (Loop, Scan): how many turns they make; or export it without control flow"
    )


@pytest.mark.slow
def test_a_loop_that_no_image_meets_does_not_hang_the_simplifier(
    onnx_network: OnnxNetwork, imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It computes constants of branches too; the graph is taken as it is."""
    monkeypatch.setattr(module, "OnnxChild", OnnxChild)  # two of them, as ever: the one that rewrites is ended
    monkeypatch.setattr(child, "_REWRITING_S", 30.0)
    found, graph = imported(_with_loop(onnx_network(), taken=False))

    assert "form refused: opset 18: rewriting it did not end" in found.notes
    assert "If" in {node.op_type for node in graph.graph.node}


def test_a_process_that_is_gone_is_told_and_started_again(onnx_network: OnnxNetwork) -> None:
    with OnnxChild() as one:
        one.load(onnx_network())
        assert one._process is not None
        one._process.terminate()
        one._process.wait()
        with pytest.raises(child.ChildError, match="crashed with SIGTERM"):
            one.load(onnx_network())
        session = one.load(onnx_network())
        (scores,) = one.run(session, "image", _images(1)[0], limit_s=60)

    assert scores is not None
    assert scores.shape == (1, 3)
