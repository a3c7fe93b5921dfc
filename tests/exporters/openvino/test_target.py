"""OpenVINO: what the contract of targets does not say."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from exporters.openvino.session import open_session
from exporters.openvino.target import OPENVINO
from exporters.ort_cpu.session import open_session as open_ort_session
from exporters.ort_cpu.target import ORT_CPU
from pipeline.environment import this_machine
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact
    from pipeline.subject import Parts

pytestmark = pytest.mark.skipif(OPENVINO.missing() is not None, reason=str(OPENVINO.missing()))


@pytest.mark.parametrize(("precision", "limit"), [("float", 1e-4), ("int8", 0.02)])
def test_it_computes_on_real_images_what_onnx_runtime_computes(
    exported: Artifact, session_parts: Parts, tmp_path: Path, precision: str, limit: float
) -> None:
    name = "float.onnx" if precision == "float" else f"qdq-{OPENVINO.dialect(this_machine())}.onnx"
    folders = [tmp_path / "openvino", tmp_path / "ort"]
    for folder in folders:
        folder.mkdir()
    spec = OPENVINO.build(exported.path(name), folders[0], precision=precision)
    ort_spec = ORT_CPU.build(exported.path(name), folders[1], precision=precision)
    with open_session(folders[0], spec) as session, open_ort_session(folders[1], ort_spec) as ort:
        for sample in session_parts.dataset.test[::6]:
            batch = session_parts.preprocess.load(str(sample.path))[None]
            found, wanted = session.run(batch)[0], ort.run(batch)[0]
            assert np.abs(found - wanted).max() <= limit * np.abs(wanted).max()


def test_every_product_of_an_int8_model_runs_in_eight_bits(exported: Artifact, tmp_path: Path) -> None:
    spec = OPENVINO.build(exported.path(f"qdq-{OPENVINO.dialect(this_machine())}.onnx"), tmp_path, precision="int8")
    with open_session(tmp_path, spec) as session:
        products = session.facts()["products"]
    assert sum(products.values()) == 5
    assert set(products) <= {"u8", "i8"}


def test_float_stays_float32(exported: Artifact, tmp_path: Path) -> None:
    spec = OPENVINO.build(exported.path("float.onnx"), tmp_path, precision="float")
    with open_session(tmp_path, spec) as session:
        assert (session.facts()["precision_hint"], session.facts()["products"]) == ("f32", {"f32": 5})


def test_two_models_built_one_after_the_other_give_the_bytes_of_either_alone(
    exported: Artifact, tmp_path: Path
) -> None:
    # Names that its converter makes up go on counting within a process.
    contents = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        OPENVINO.build(exported.path("float.onnx"), folder, precision="float")
        contents.append([(folder / name).read_bytes() for name in ("model.xml", "model.bin")])
    assert contents[0] == contents[1] == contents[2]


def test_no_place_of_this_machine_is_written(exported: Artifact, tmp_path: Path) -> None:
    OPENVINO.build(exported.path("float.onnx"), tmp_path, precision="float")
    text = (tmp_path / "model.xml").read_text(encoding="utf-8")
    assert "float.onnx" not in text
    assert str(exported.root) not in text


def test_importing_it_here_leaves_no_trace_of_its_telemetry(tmp_path: Path) -> None:
    # With its telemetry, openvino reports the import itself and keeps an identity in the home folder.
    code = (
        "import sys; from exporters.openvino.runtime import runtime as r; r(); print(sys.modules['openvino_telemetry'])"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "None\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_it_cannot_read_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"hello")
    with pytest.raises(UsageError) as raised:
        OPENVINO.build(tmp_path / "bad.onnx", tmp_path, precision="float")
    assert (raised.value.what, raised.value.where) == ("OpenVINO cannot read this graph", "bad.onnx")
