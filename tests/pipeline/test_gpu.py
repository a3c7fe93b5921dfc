"""The GPU as its driver tells it, and the reason where there is none."""

from __future__ import annotations

import re

import pytest

from pipeline.gpu import Gpu, gpu_or_reason, this_gpu


def test_without_a_gpu_the_reason_is_one_sentence() -> None:
    found = gpu_or_reason()
    if isinstance(found, Gpu):
        pytest.skip("there is a GPU here")
    assert re.match(r"no (usable )?NVIDIA GPU: ", found)
    assert "\n" not in found
    assert this_gpu() is None


@pytest.mark.gpu
def test_a_gpu_is_told_with_name_capability_and_driver() -> None:
    found = this_gpu()
    if found is None:
        pytest.skip(str(gpu_or_reason()))
    assert re.fullmatch(r"sm\d{2,3}", found.capability)
    assert found.name
    assert found.driver
    assert found.memory_bytes > 1 << 30
