"""What the driver tells of the GPU, and what is made of it."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest

from benchmarks.machine.gpu_state import NVML_NAMES, gpu_state, slowdowns
from pipeline.gpu import this_gpu


@pytest.fixture
def nvml() -> Any:  # noqa: ANN401 - bindings have no types
    if not (importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings.nvml")):
        pytest.skip("cuda-bindings is not installed: pip install cuda-bindings")
    return importlib.import_module("cuda.bindings.nvml")


def test_every_name_of_nvml_that_is_used_is_there(nvml: Any) -> None:  # noqa: ANN401
    for name in NVML_NAMES:
        holder, _, member = name.partition(".")
        assert hasattr(nvml, holder), name
        assert not member or hasattr(getattr(nvml, holder), member), name


def test_what_holds_the_clocks_back_is_named_and_idling_is_not(nvml: Any) -> None:  # noqa: ANN401
    assert slowdowns(nvml, 0) == []
    assert slowdowns(nvml, 1) == []
    assert slowdowns(nvml, 1 | 4 | 64) == ["sw_power_cap", "hw_thermal_slowdown"]


@pytest.mark.skipif(this_gpu() is not None, reason="there is a GPU here")
def test_without_a_gpu_nothing_is_told() -> None:
    assert gpu_state() is None


@pytest.mark.gpu
@pytest.mark.skipif(this_gpu() is None, reason="no NVIDIA GPU")
def test_a_gpu_tells_its_clock_and_memory() -> None:
    state = gpu_state()
    assert state is not None
    assert state["sm_mhz"] is None or state["sm_mhz"] > 0
    assert state["used_bytes"] is None or state["used_bytes"] > 0
