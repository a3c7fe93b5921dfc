"""The runtimes as they come: the same network in each of them gives the same answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from exporters import default_runtimes as plain
from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import FLOAT_MODEL, Artifact
from pipeline.environment import any_machine
from pipeline.import_path import object_at
from pipeline.models.build import build_network
from pipeline.models.files import save_network
from pipeline.models.model_file import hash_of_model_file
from pipeline.models.source import ModelSource

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from exporters.target import Target
    from pipeline.session import EngineSpec, Session
    from pipeline.subject import Parts


@pytest.fixture(scope="module")
def floats(exported: Artifact, tmp_path_factory: pytest.TempPathFactory) -> EngineSpec:
    """How the tiny network's float engine is opened: its input and outputs."""
    return ORT_CPU.build(exported.path(FLOAT_MODEL), tmp_path_factory.mktemp("engine"), precision="float")


def _opened(folder: Path, spec: EngineSpec) -> Session:
    session: Session = object_at(plain.OPENERS[spec.target])(folder, spec)
    return session


@pytest.fixture(scope="module")
def batch(session_parts: Parts) -> np.ndarray:
    return session_parts.preprocess.load(str(session_parts.dataset.test[0].path))[None]


def _here(target: Target) -> str | None:
    return target.cannot_run()


def test_onnx_runtime_is_always_there() -> None:
    assert plain.ONNXRUNTIME in plain.plain_runtimes(_here)


def test_a_runtime_is_held_against_where_its_target_can_run() -> None:
    lacking = {"openvino": "the device has no openvino"}
    assert plain.plain_runtimes(lambda target: lacking.get(target.name)) == (plain.ONNXRUNTIME,)
    assert plain.plain_runtimes(lambda _: None) == (plain.ONNXRUNTIME, plain.OPENVINO)


def test_openvino_takes_16_bit_floats_by_itself_where_the_machine_has_them() -> None:
    able, unable = (replace(any_machine("x86_64"), isa=isa) for isa in (("avx512_bf16",), ("avx2",)))

    assert [plain.computes_in(plain.OPENVINO, one) for one in (able, unable)] == ["bf16", "float"]
    assert plain.computes_in(plain.ONNXRUNTIME, able) == "float"


@pytest.mark.parametrize("name", plain.plain_runtimes(_here))
def test_a_runtime_that_reads_onnx_gives_the_engines_answers(
    exported: Artifact, floats: EngineSpec, batch: np.ndarray, name: str
) -> None:
    with _opened(exported.root, plain.of_onnx(plain.ONNXRUNTIME, floats, FLOAT_MODEL)) as session:
        (wanted,) = session.run(batch)
    with _opened(exported.root, plain.of_onnx(name, floats, FLOAT_MODEL)) as session:
        (found,) = session.run(batch)
        assert session.facts()["runtime"].startswith(name.partition(",")[0])
    # OpenVINO may choose 16-bit floats by itself where the CPU has them.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.02 * np.abs(wanted).max())


def test_pytorch_runs_the_network_of_the_artifact(
    session_parts: Parts, floats: EngineSpec, batch: np.ndarray, tmp_path: Path
) -> None:
    network = build_network(session_parts.model, classes=3).eval()
    save_network(network, session_parts.model, tmp_path, classes=3)
    with _opened(tmp_path, plain.of_network(floats, session_parts.model)) as session:
        (found,) = session.run(batch)
    import torch

    with torch.inference_mode():
        np.testing.assert_allclose(found, network(torch.from_numpy(batch)).numpy(), rtol=1e-4, atol=1e-6)


_NETS = """
from torch import nn

def detector(num_classes):
    return nn.Conv2d(3, 4 + num_classes, 8, 8)

def gray(num_classes):
    return nn.Conv2d(1, 4 + num_classes, 8, 8)

def decode(outputs):
    said = outputs.flatten(2).transpose(1, 2)
    return said[..., :4], said[..., 4:].sigmoid()

class Two(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(192, num_classes)

    def forward(self, images):
        said = self.layer(images.flatten(1))
        return {"logits": said, "doubled": 2 * said}
"""


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"name": "detector", "task": "detection"}, [(1, 4, 4), (1, 4), (1, 4)]),
        ({"name": "gray", "task": "detection"}, [(1, 4, 4), (1, 4), (1, 4)]),
        ({"name": "Two", "output": "doubled", "columns": (1, 0, 2)}, [(1, 3)]),
    ],
)
def test_pytorch_builds_what_the_artifact_was_made_from(
    floats: EngineSpec, tmp_path: Path, said: dict[str, Any], wanted: list[tuple[int, ...]]
) -> None:
    """A detector gives candidates as its engine does, a network of several outputs the one that was named."""
    file, side, channels = tmp_path / "nets.py", 16 if "task" in said else 8, 1 if said["name"] == "gray" else 3
    file.write_text(_NETS, encoding="utf-8")
    source = ModelSource(origin="file", file=file, file_sha256=hash_of_model_file(file), **said)
    network = build_network(source, classes=3).eval()
    save_network(network, source, tmp_path, classes=3)
    like = replace(floats, input=replace(floats.input, shape=(1, channels, side, side)))
    with _opened(tmp_path, plain.of_network(like, source)) as session:
        found = session.run(np.full(like.input.shape, 0.5, dtype=np.float32))

    assert [output.shape for output in found] == wanted


def test_an_input_of_another_shape_is_refused(exported: Artifact, floats: EngineSpec, batch: np.ndarray) -> None:
    other = replace(floats, input=replace(floats.input, shape=(2, 3, 8, 8)))
    with (
        _opened(exported.root, plain.of_onnx(plain.ONNXRUNTIME, other, FLOAT_MODEL)) as session,
        pytest.raises(ValueError, match="got float32"),
    ):
        session.run(batch)
