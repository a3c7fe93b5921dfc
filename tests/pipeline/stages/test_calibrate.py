"""Calibration: a float graph that was checked, and every range that INT8 may ask for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from pydantic import ValidationError

from pipeline.artifact import Artifact
from pipeline.data.dataset import Dataset
from pipeline.errors import DataError
from pipeline.models.files import load_network
from pipeline.progress import SilentProgress
from pipeline.quantization.graph import Graph
from pipeline.quantization.plan import tensors_to_observe
from pipeline.quantization.ranges import Method
from pipeline.stage import Workspace
from pipeline.stages.calibrate import Calibrate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.subject import Parts


@pytest.fixture(scope="module")
def calibration(chain: Mapping[str, Any]) -> Artifact:
    artifact: Artifact = chain["calibrate"].result.artifact
    return artifact


@pytest.fixture(scope="module")
def ranges(calibration: Artifact) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = json.loads(calibration.path("ranges.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def values(calibration: Artifact, session_parts: Parts, ranges: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Every value that every tensor has over the calibration images, by running the graph here."""
    model = onnx.load(calibration.path("float.onnx"))
    names = [name for name in ranges if name != "input"]
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = []
    for sample in session_parts.dataset.calibration:
        image = session_parts.preprocess.load(str(sample.path))[None]
        rows.append({"input": image, **dict(zip(names, session.run(names, {"input": image}), strict=True))})
    return {name: np.concatenate([row[name].reshape(-1) for row in rows]) for name in ranges}


def test_the_graph_computes_what_the_network_computes(
    chain: Mapping[str, Any], calibration: Artifact, session_parts: Parts
) -> None:
    network = load_network(chain["prune"].result.artifact.root, session_parts.model)
    session = onnxruntime.InferenceSession(calibration.path("float.onnx"), providers=["CPUExecutionProvider"])
    for sample in session_parts.dataset.test[::12]:
        image = session_parts.preprocess.load(str(sample.path))[None]
        with torch.no_grad():
            wanted = network(torch.from_numpy(image)).numpy()
        np.testing.assert_allclose(session.run(None, {"input": image})[0], wanted, rtol=1e-3, atol=1e-4)


def test_every_tensor_that_a_dialect_may_ask_for_has_its_range(
    calibration: Artifact, ranges: Mapping[str, Any]
) -> None:
    assert set(ranges) == set(tensors_to_observe(Graph(onnx.load(calibration.path("float.onnx")))))


def test_every_range_is_given_by_every_method(ranges: Mapping[str, Any]) -> None:
    assert {frozenset(methods) for methods in ranges.values()} == {frozenset(get_args(Method))}


def test_the_widest_range_is_what_was_seen_over_all_images_with_zero(
    ranges: Mapping[str, dict[str, list[float]]], values: Mapping[str, np.ndarray]
) -> None:
    for name, methods in ranges.items():
        low, high = methods["minmax"]
        assert low == pytest.approx(min(0.0, float(values[name].min())), rel=1e-5, abs=1e-6), name
        assert high == pytest.approx(max(0.0, float(values[name].max())), rel=1e-5, abs=1e-6), name


def test_no_method_reaches_beyond_what_was_seen(ranges: Mapping[str, dict[str, list[float]]]) -> None:
    for methods in ranges.values():
        widest = methods["minmax"]
        for low, high in methods.values():
            assert widest[0] - 1e-6 <= low <= 0 <= high <= widest[1] + 1e-6


def test_the_facts_tell_how_it_was_checked(calibration: Artifact, ranges: Mapping[str, Any]) -> None:
    facts = calibration.facts
    assert facts["exporter"] in {"dynamo", "torchscript"}
    assert 0 <= facts["max_relative_error"] <= 1e-4
    assert facts["images"] == 24
    assert facts["compared_inputs"] == 24 + 3  # zeros, ones and noise beside the images
    assert facts["tensors"] == len(ranges)


def test_few_images_and_the_agreement_are_noted(chain: Mapping[str, Any]) -> None:
    notes = chain["calibrate"].result.notes
    assert "only 24 calibration images: ranges are uncertain, 64 or more are better" in notes
    assert any("graph agrees with PyTorch to " in note for note in notes)


def _run(inputs: Any, network: Artifact, dataset: Dataset, folder: Path) -> Any:  # noqa: ANN401
    folder.mkdir()
    work = Workspace(folder=folder, seed=3, progress=SilentProgress())
    return Calibrate().run(inputs(network, dataset=dataset), work)


def _calibrated_on(parts: Parts, samples: tuple[Any, ...]) -> Dataset:
    full = parts.dataset
    return Dataset(name=full.name, classes=full.classes, train=full.train, calibration=samples, test=full.test)


def test_a_tensor_that_never_changes_is_noted(
    inputs: Any,  # noqa: ANN401
    chain: Mapping[str, Any],
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    from pipeline.models.files import save_network

    network = load_network(chain["prune"].result.artifact.root, session_parts.model)
    with torch.no_grad():
        network.widen.weight.zero_()
        network.widen.bias.zero_()
    (tmp_path / "network").mkdir()
    save_network(network, session_parts.model, tmp_path / "network", classes=3)
    flat = Artifact.of_folder(chain["prune"].result.artifact.kind, tmp_path / "network", {})
    made = _run(inputs, flat, _calibrated_on(session_parts, session_parts.dataset.calibration[:2]), tmp_path / "out")
    (doubt,) = [note for note in made.notes if "never changed" in note]
    assert "tensors never changed over the calibration images, first " in doubt


def test_without_calibration_images_it_is_said(
    inputs: Any,  # noqa: ANN401
    chain: Mapping[str, Any],
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match="there are no calibration images"):
        _run(inputs, chain["prune"].result.artifact, _calibrated_on(session_parts, ()), tmp_path / "out")


@pytest.mark.parametrize("opset", [16, 21])
def test_an_operator_set_that_int8_tools_do_not_read_is_refused(opset: int) -> None:
    with pytest.raises(ValidationError, match="opset"):
        Calibrate(opset=opset)
