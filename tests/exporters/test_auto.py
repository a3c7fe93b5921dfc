"""Which target ``--target auto`` means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporters.auto import choose_target
from pipeline.catalog import TARGETS
from pipeline.environment import Machine

if TYPE_CHECKING:
    from exporters.target import Target

MACHINE = Machine(cpu="Cortex-A78", architecture="aarch64", cores=6, ram_gib=8, isa=(), system="Linux")


@pytest.mark.parametrize(
    ("able", "chosen"),
    [
        ({"tensorrt", "tensorrt-rtx", "ort-cuda"}, ("tensorrt", "an NVIDIA GPU with TensorRT")),
        ({"tensorrt-rtx", "ort-cuda"}, ("tensorrt-rtx", "an NVIDIA GPU with TensorRT for RTX")),
        ({"ort-cuda"}, ("ort-cuda", "an NVIDIA GPU with onnxruntime-gpu")),
        (set(), ("ort-cpu", "no GPU that a runtime here can use; Cortex-A78 (aarch64)")),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else "",
)
def test_the_best_that_can_be_built_and_run_is_chosen_with_the_reason(able: set[str], chosen: tuple[str, str]) -> None:
    def unable(target: Target) -> str | None:
        return None if target.name in able else "not here"

    assert choose_target(MACHINE, unable=unable) == chosen


def test_what_is_chosen_here_is_a_target_that_can_be_built_and_run() -> None:
    from pipeline.catalog import target_named

    name, reason = choose_target(MACHINE)
    assert name in TARGETS
    assert reason
    assert target_named(name).missing() is None
    assert target_named(name).cannot_run() is None
