"""Which target ``--target auto`` means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporters.auto import candidates
from pipeline.environment import Machine

if TYPE_CHECKING:
    from exporters.target import Target

MACHINE = Machine(cpu="Cortex-A78", architecture="aarch64", cores=6, ram_gib=8, isa=(), system="Linux")


_CPU = "no GPU that a runtime here can use; Cortex-A78 (aarch64)"


@pytest.mark.parametrize(
    ("able", "names", "reason"),
    [
        ({"tensorrt", "tensorrt-rtx", "ort-cuda", "ort-cpu"}, ["tensorrt"], "an NVIDIA GPU with TensorRT"),
        ({"tensorrt-rtx", "ort-cuda", "ort-cpu"}, ["tensorrt-rtx"], "an NVIDIA GPU with TensorRT for RTX"),
        ({"ort-cuda", "openvino"}, ["ort-cuda"], "an NVIDIA GPU with onnxruntime-gpu"),
        ({"ort-cpu", "openvino"}, ["ort-cpu", "openvino"], _CPU),
        ({"openvino"}, ["openvino"], _CPU),
        ({"ort-cpu"}, ["ort-cpu"], _CPU),
        (set(), ["ort-cpu"], _CPU),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else "",
)
def test_the_best_that_can_be_built_and_run_are_considered(able: set[str], names: list[str], reason: str) -> None:
    def unable(target: Target) -> str | None:
        return None if target.name in able else "not here"

    found, why = candidates(MACHINE, unable=unable)
    assert ([target.name for target in found], why) == (names, reason)


def test_what_is_considered_here_can_be_built_and_run() -> None:
    found, reason = candidates(MACHINE)
    assert reason
    assert [target.missing() or target.cannot_run() for target in found] == [None] * len(found)
