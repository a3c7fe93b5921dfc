"""Opening an engine: what is not what was built is never loaded, and what does not fit here is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from exporters.tensorrt.engine import build_engine
from exporters.tensorrt.flavours import FLAVOURS
from exporters.tensorrt.memory import CUDA_NAMES, cuda_runtime, memory_missing
from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.parsing import parse
from exporters.tensorrt.session import misfit, open_session, verified_bytes
from exporters.tensorrt.target import TENSORRT_RTX
from pipeline.errors import IntegrityError, UsageError
from pipeline.gpu import Gpu, this_gpu

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact
    from pipeline.session import EngineSpec

GPU = Gpu(name="RTX 4070", capability="sm89", driver="570.1", memory_bytes=12 << 30)
OPTIONS = {
    "version": "10.16.1",
    "capabilities": ["sm86", "sm89"],
    "gpu": GPU.to_json(),
    "builder": TensorRtOptions().to_json(),
}


@pytest.fixture
def spec(rtx: Any, exported: Artifact, tmp_path: Path) -> EngineSpec:  # noqa: ANN401
    """A float engine in the temporary folder."""
    return TENSORRT_RTX.build(exported.path("float.onnx"), tmp_path, precision="float")


def test_a_modified_engine_is_refused_before_anything_else(spec: EngineSpec, tmp_path: Path) -> None:
    path = tmp_path / spec.model
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as raised, open_session(tmp_path, spec):
        pytest.fail("a modified engine was opened")
    assert "engines are executable code: it is not loaded" in raised.value.what
    assert raised.value.expected == f"sha256 {spec.options['sha256']}"


def test_an_intact_engine_without_a_gpu_is_a_clear_error(spec: EngineSpec, tmp_path: Path) -> None:
    if this_gpu() is not None:
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError) as raised, open_session(tmp_path, spec):
        pytest.fail("an engine was opened without a GPU")
    assert str(raised.value).startswith("tensorrt-rtx: this engine cannot be run here\n  got: no NVIDIA GPU")


def test_bytes_of_a_known_hash_are_read(spec: EngineSpec, tmp_path: Path) -> None:
    assert verified_bytes(tmp_path / spec.model, spec.options["sha256"]) == (tmp_path / spec.model).read_bytes()


def test_an_engine_fits_the_machine_it_was_built_on() -> None:
    assert misfit(OPTIONS, "10.16.1", GPU) is None


@pytest.mark.parametrize(
    ("version", "gpu", "reason"),
    [
        ("11.4.0", GPU, "it was built with version 10.16.1, here is 11.4.0"),
        (
            "10.16.1",
            replace(GPU, name="RTX 5090", capability="sm120"),
            "it was built for sm86, sm89, this GPU is RTX 5090 (sm120)",
        ),
        (
            "10.16.1",
            replace(GPU, driver="580.1"),
            "it was built on RTX 4070 with driver 570.1, this is RTX 4070 with driver 580.1",
        ),
        (
            "10.16.1",
            replace(GPU, name="RTX 4090"),
            "it was built on RTX 4070 with driver 570.1, this is RTX 4090 with driver 570.1",
        ),
    ],
    ids=["version", "capability", "driver", "GPU"],
)
def test_an_engine_for_another_machine_is_told_apart_with_the_reason(version: str, gpu: Gpu, reason: str) -> None:
    assert misfit(OPTIONS, version, gpu) == reason


def test_an_engine_that_was_built_for_capabilities_fits_every_gpu_of_them() -> None:
    anywhere = {**OPTIONS, "gpu": None}
    assert misfit(anywhere, "10.16.1", replace(GPU, name="RTX 4090", driver="580.1")) is None


@pytest.mark.parametrize(("version", "fits"), [("10.16.1", True), ("11.4.0", True), ("10.15.2", False)])
def test_a_version_compatible_engine_runs_in_later_versions(version: str, fits: bool) -> None:  # noqa: FBT001 - a parameter
    options = {**OPTIONS, "builder": TensorRtOptions(version_compatible=True).to_json()}
    assert (misfit(options, version, GPU) is None) == fits


@pytest.mark.parametrize(("capability", "fits"), [("sm80", True), ("sm120", True), ("sm75", False)])
def test_a_hardware_compatible_engine_runs_from_ampere_on(capability: str, fits: bool) -> None:  # noqa: FBT001 - as above
    options = {**OPTIONS, "builder": TensorRtOptions(hardware_compatible=True).to_json()}
    assert (misfit(options, "10.16.1", replace(GPU, capability=capability)) is None) == fits


def test_every_name_of_the_cuda_runtime_that_is_used_is_there() -> None:
    if reason := memory_missing():
        pytest.skip(reason)
    cuda = cuda_runtime()
    for name in CUDA_NAMES:
        holder, _, member = name.partition(".")
        assert hasattr(cuda, holder), name
        assert not member or hasattr(getattr(cuda, holder), member), name


def test_an_engine_for_another_gpu_is_built_again_from_the_graph_beside_it(
    rtx: Any,  # noqa: ANN401
    spec: EngineSpec,
    tmp_path: Path,
) -> None:
    other = replace(GPU, capability="sm120")
    rebuilt = open_session(tmp_path, spec)._rebuilt(other)
    wanted = build_engine(
        parse(rtx, tmp_path / "model.onnx"), FLAVOURS["tensorrt-rtx"], TensorRtOptions(capabilities=("sm120",))
    )
    assert rebuilt == wanted


def test_a_modified_graph_is_not_built_from(spec: EngineSpec, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(IntegrityError, match="not the one that was built"):
        open_session(tmp_path, spec)._rebuilt(GPU)
