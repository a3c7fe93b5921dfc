"""From a network to an engine's bytes: options reach the builder, and its refusals reach the user."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from exporters.tensorrt.engine import build_engine, chosen_capabilities
from exporters.tensorrt.flavours import FLAVOURS
from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.parsing import parse
from pipeline.errors import UsageError
from pipeline.gpu import Gpu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.artifact import Artifact

    Build = Callable[..., bytes]

RTX, FULL = FLAVOURS["tensorrt-rtx"], FLAVOURS["tensorrt"]
ADA = Gpu(name="RTX 4070", capability="sm89", driver="570.1", memory_bytes=12 << 30)


@pytest.fixture
def build(rtx: Any) -> Build:  # noqa: ANN401
    """Builds an ONNX file with options."""

    def built(model: Path, **options: Any) -> bytes:  # noqa: ANN401
        return build_engine(parse(rtx, model), RTX, TensorRtOptions(**options))

    return built


def test_the_same_network_gives_the_same_bytes(build: Build, exported: Artifact) -> None:
    assert build(exported.path("qdq-tensorrt.onnx")) == build(exported.path("qdq-tensorrt.onnx"))


def test_an_engine_for_more_capabilities_is_another_one(build: Build, exported: Artifact) -> None:
    one, two = (build(exported.path("float.onnx"), capabilities=names) for names in (("sm86",), ("sm86", "sm89")))
    assert one != two


def test_a_capability_the_builder_does_not_know_is_refused_with_those_it_does(build: Build, exported: Artifact) -> None:
    with pytest.raises(UsageError) as raised:
        build(exported.path("float.onnx"), capabilities=("sm86", "sm99"))
    assert raised.value.what == "engines cannot be built for sm99"
    assert "sm86, sm89" in str(raised.value.expected)


def test_what_the_builder_cannot_build_is_told_in_its_own_words(build: Build, exported: Artifact) -> None:
    with pytest.raises(UsageError) as raised:
        build(exported.path("float.onnx"), capabilities=("sm75",))
    assert raised.value.what == "tensorrt-rtx cannot build this network"
    assert "Turing (SM75): FP32 GEMM is not supported" in str(raised.value.got)


@pytest.mark.parametrize("options", [{"workspace_bytes": 1 << 26}, {"optimization_level": 0}], ids=str)
def test_an_option_of_every_flavour_is_taken(build: Build, exported: Artifact, options: dict[str, Any]) -> None:
    assert build(exported.path("float.onnx"), **options)


def test_an_open_batch_gets_a_profile(build: Build, open_batch: Path) -> None:
    assert build(open_batch) != build(open_batch, largest_batch=8)


def test_any_other_open_axis_is_refused(build: Build, open_size: Path) -> None:
    with pytest.raises(UsageError) as raised:
        build(open_size)
    assert str(raised.value).splitlines() == [
        "x: only the first axis of the input may be open",
        "  got: shape (1, 3, -1, 8)",
        "  expected: a size for each of the others",
    ]


@pytest.mark.parametrize(
    ("asked", "gpu", "chosen"),
    [
        (("sm120",), ADA, ("sm120",)),
        ((), ADA, ("sm89",)),
        ((), None, RTX.capabilities),
    ],
    ids=["as asked", "for the GPU at hand", "for the list"],
)
def test_an_engine_is_built_for_what_is_asked_else_the_gpu_else_the_list(
    asked: tuple[str, ...], gpu: Gpu | None, chosen: tuple[str, ...]
) -> None:
    assert chosen_capabilities(RTX, TensorRtOptions(capabilities=asked), gpu) == chosen


def test_tensorrt_builds_for_the_gpu_at_hand_alone() -> None:
    assert chosen_capabilities(FULL, TensorRtOptions(), ADA) == ("sm89",)
    assert chosen_capabilities(FULL, TensorRtOptions(), replace(ADA, capability="sm120")) == ("sm120",)
