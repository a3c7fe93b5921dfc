"""ONNX Runtime on the CPU of another machine than the one that builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest

from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import qdq_model
from pipeline.environment import any_machine, this_machine

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact


def test_for_a_machine_of_this_architecture_nothing_changes() -> None:
    assert ORT_CPU.for_machine(any_machine(this_machine().architecture)) is ORT_CPU


@pytest.mark.skipif(this_machine().architecture != "x86_64", reason="this machine's own kernels are the ones asked for")
def test_for_arm_activations_stay_signed(exported: Artifact, tmp_path: Path) -> None:
    """On x86 the optimiser would make them unsigned, and with them every product slow on ARM."""
    arm = ORT_CPU.for_machine(any_machine("aarch64"))
    source = exported.path(qdq_model(arm.dialect(any_machine("aarch64"))))
    built = {}
    for name, target in (("here", ORT_CPU), ("arm", arm)):
        (tmp_path / name).mkdir()
        spec = target.build(source, tmp_path / name, precision="int8")
        built[name] = onnx.load(tmp_path / name / spec.model)

    assert arm.settings() == {**ORT_CPU.settings(), "architecture": "aarch64"}
    assert _activation_type(built["arm"]) == onnx.TensorProto.INT8
    assert _activation_type(built["here"]) == onnx.TensorProto.UINT8


def _activation_type(model: onnx.ModelProto) -> int:
    """Of the zero point of the first quantised activation."""
    zero = next(node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear")
    return next(one.data_type for one in model.graph.initializer if one.name == zero)
