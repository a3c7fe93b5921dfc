"""ONNX Runtime's own format: the same answers, and the list of operators that a reduced build needs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from exporters.bundle import write_bundle
from exporters.ort_cpu.operator_list import write_operator_list
from exporters.ort_cpu.session import open_session
from exporters.ort_cpu.target import ORT_CPU
from pipeline.environment import this_machine
from pipeline.errors import EdgewrightError
from pipeline.session import EngineSpec
from pipeline.stages.build import BuildFor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporters.bundle import Contents
    from pipeline.artifact import Artifact
    from pipeline.subject import Parts

_TARGET = replace(ORT_CPU, ort_format=True)


@pytest.fixture(scope="module", params=["float", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def built(exported: Artifact, run: Callable[..., Artifact], precision: str) -> Artifact:
    source = "float.onnx" if precision == "float" else "qdq-ort-x86.onnx"
    return run(BuildFor(target="ort-cpu", source=source, precision=precision, builder=_TARGET), exported)


@pytest.fixture(scope="module")
def batch(session_parts: Parts) -> np.ndarray:
    return session_parts.preprocess.load(str(session_parts.dataset.test[0].path))[None]


def _answer(artifact: Artifact, batch: np.ndarray) -> np.ndarray:
    with open_session(artifact.root, EngineSpec.from_json(artifact.facts["engine"])) as session:
        (logits,) = session.run(batch)
    return logits


def test_it_gives_what_the_onnx_file_gives(
    built: Artifact, exported: Artifact, run: Callable[..., Artifact], precision: str, batch: np.ndarray
) -> None:
    source = "float.onnx" if precision == "float" else "qdq-ort-x86.onnx"
    plain = run(BuildFor(target="ort-cpu", source=source, precision=precision, builder=ORT_CPU), exported)
    assert sorted(entry.path for entry in built.files) == ["model.ort", "operators.config"]
    assert sorted(entry.path for entry in plain.files) == ["model.onnx"]
    np.testing.assert_allclose(_answer(built, batch), _answer(plain, batch), rtol=0, atol=1e-5)


def test_the_operators_are_those_of_the_model_and_no_place_is_named(built: Artifact, precision: str) -> None:
    listed = built.path("operators.config").read_text(encoding="utf-8")
    assert ("QLinearConv" in listed) == (precision == "int8")
    assert "Conv" in listed
    assert all(line.count(";") >= 2 for line in listed.splitlines())
    assert str(built.root) not in listed


def test_the_bundle_runs(
    built: Artifact, contents: Contents, batch: np.ndarray, session_parts: Parts, tmp_path: Path
) -> None:
    bundle = write_bundle(built, _TARGET, this_machine(), contents, tmp_path / "bundle")
    photo = session_parts.dataset.test[0].path
    command = [sys.executable, "-I", str(bundle.root / "run.py"), "--json", str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    np.testing.assert_array_equal(np.float32(json.loads(done.stdout)["logits"]), _answer(built, batch)[0])
    assert (bundle.root / "operators.config").exists()


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.ort").write_bytes(b"nothing")
    with pytest.raises(EdgewrightError, match="the operators of this model cannot be listed"):
        write_operator_list(tmp_path / "model.ort", tmp_path / "operators.config")
    assert not (tmp_path / "operators.config").exists()
