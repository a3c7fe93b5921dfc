"""Graphs that take the bytes of an image: the same numbers, on every target, from the pipeline and from run.py."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from exporters.bundle import write_bundle
from exporters.onnx_forms.bytes_input import BytesFromFloat, check_bytes
from pipeline.artifact import FLOAT_MODEL, qdq_model
from pipeline.catalog import OPENERS, TARGETS, target_named
from pipeline.environment import this_machine
from pipeline.errors import ParityError
from pipeline.evaluation import collect_outputs
from pipeline.import_path import object_at
from pipeline.progress import SilentProgress
from pipeline.session import EngineSpec, TensorSpec
from pipeline.stages.build import BuildFor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporters.bundle import Contents
    from pipeline.artifact import Artifact
    from pipeline.subject import Parts

    Run = Callable[..., Artifact]

_ALL = [
    (name, precision)
    for name in TARGETS
    if target_named(name).missing() is None
    for precision in target_named(name).precisions
]


def _built(run: Run, exported: Artifact, parts: Parts, name: str, precision: str, *, folded: bool = True) -> Artifact:
    target = target_named(name)
    source = qdq_model(target.dialect(this_machine())) if precision == "int8" else FLOAT_MODEL
    preprocess = parts.preprocess if folded else None
    return run(BuildFor(target=name, source=source, precision=precision, folded=preprocess, builder=target), exported)


def _outputs(engine: Artifact, parts: Parts) -> np.ndarray:
    """What the engine says of every test image; in this process, as a process for each engine takes a second."""
    spec = EngineSpec.from_json(engine.facts["engine"])
    with object_at(OPENERS[spec.target])(engine.root, spec) as session:
        images = (parts.preprocess.load(str(one.path), spec.input.dtype)[None] for one in parts.dataset.test)
        return np.concatenate([session.run(image)[0].copy() for image in images])


def _outputs_of_the_pipeline(engine: Artifact, parts: Parts) -> np.ndarray:
    spec = EngineSpec.from_json(engine.facts["engine"])
    samples, opener = parts.dataset.test, OPENERS[spec.target]
    collected = collect_outputs(engine.root, spec, opener, samples, parts.preprocess, SilentProgress())
    return np.stack([logits for (logits,) in collected])


@pytest.mark.parametrize("source", [FLOAT_MODEL, qdq_model("ort-x86"), qdq_model("tensorrt")])
def test_the_graph_computes_the_same_to_the_bit(
    exported: Artifact, session_parts: Parts, source: str, tmp_path: Path
) -> None:
    assert BytesFromFloat(exported.path(source), tmp_path / "bytes.onnx", session_parts.preprocess) == 0.0


@pytest.mark.parametrize(("name", "precision"), _ALL)
def test_every_target_builds_it(run: Run, exported: Artifact, session_parts: Parts, name: str, precision: str) -> None:
    engine = _built(run, exported, session_parts, name, precision)
    height, width = session_parts.preprocess.size
    given = EngineSpec.from_json(engine.facts["engine"]).input
    assert given == TensorSpec(name="pixels", shape=(1, height, width, 3), dtype="uint8")
    if reason := target_named(name).cannot_run():
        pytest.skip(reason)
    wanted = _outputs(_built(run, exported, session_parts, name, precision, folded=False), session_parts)
    # A runtime may multiply by 1/255 where numpy divides, which turns a rounding of INT8 here and there.
    limit = {"int8": 0.05, "bf16": 0.02}.get(precision, 1e-5)
    assert np.abs(_outputs(engine, session_parts) - wanted).max() <= limit * np.abs(wanted).max()


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_onnx_runtime_gives_the_same_bits(run: Run, exported: Artifact, session_parts: Parts, precision: str) -> None:
    by_bytes = _outputs_of_the_pipeline(_built(run, exported, session_parts, "ort-cpu", precision), session_parts)
    floats = _outputs(_built(run, exported, session_parts, "ort-cpu", precision, folded=False), session_parts)
    np.testing.assert_array_equal(by_bytes, floats)


@pytest.mark.parametrize("name", [name for name in ("ort-cpu", "openvino") if target_named(name).missing() is None])
def test_the_bundle_feeds_bytes_and_says_so(
    run: Run, exported: Artifact, session_parts: Parts, contents: Contents, name: str, tmp_path: Path
) -> None:
    engine = _built(run, exported, session_parts, name, "int8")
    bundle = write_bundle(engine, target_named(name), this_machine(), contents, tmp_path / "bundle")
    photo = session_parts.dataset.test[0].path
    command = [sys.executable, "-I", str(bundle.root / "run.py"), "--json", str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    with object_at(OPENERS[name])(bundle.root, bundle.spec) as session:
        (wanted,) = session.run(session_parts.preprocess.load(str(photo), "uint8")[None])
    np.testing.assert_array_equal(np.float32(json.loads(done.stdout)["logits"]), wanted[0])
    readme = (bundle.root / "README.md").read_text(encoding="utf-8")
    assert "the bytes of an image in the order RGB; mean and standard deviation are in the model" in readme


def test_a_graph_that_subtracts_another_mean_does_not_pass(
    exported: Artifact, session_parts: Parts, tmp_path: Path
) -> None:
    path = tmp_path / "bytes.onnx"
    BytesFromFloat(exported.path(FLOAT_MODEL), path, session_parts.preprocess)
    model = onnx.load(path)
    mean = next(tensor for tensor in model.graph.initializer if tensor.name == "pixels_mean")
    mean.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(mean) + np.float32(0.1), mean.name))
    onnx.save(model, path)
    with pytest.raises(ParityError, match="uint8 input does not compute") as raised:
        check_bytes(exported.path(FLOAT_MODEL), path, session_parts.preprocess)
    assert raised.value.exit_code == 8
    assert raised.value.fix == "build with --input float32"


def test_the_input_is_bytes_with_the_channels_last(exported: Artifact, session_parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "bytes.onnx"
    BytesFromFloat(exported.path(FLOAT_MODEL), path, session_parts.preprocess)
    (given,) = onnx.load(path).graph.input
    assert given.type.tensor_type.elem_type == TensorProto.UINT8
    height, width = session_parts.preprocess.size
    assert [side.dim_value for side in given.type.tensor_type.shape.dim] == [1, height, width, 3]
