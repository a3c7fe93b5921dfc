"""Both exporters: static, simplified, quiet, and the same bytes everywhere."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from pipeline.lowering.cpu import run_onnx
from pipeline.lowering.export import EXPORTERS, ExporterName, OnnxFromTorch

_SHAPE = (1, 3, 16, 16)

_MAKE = """
import torch
from pipeline.models.build import build_network
from pipeline.models.resolve import resolve_model

def make(file):
    torch.manual_seed(0)
    network = build_network(resolve_model(f"{file}:tiny"), classes=3)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return network.eval()
"""
"""The tiny network with batch-norm statistics as training leaves them; as text, for another process to run."""


@pytest.fixture(scope="module")
def network(tiny_file: Path) -> nn.Module:
    names: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        exec(_MAKE, names)  # noqa: S102 - our own text above
        made: nn.Module = names["make"](tiny_file)
    return made


@pytest.fixture(scope="module")
def before(network: nn.Module) -> dict[str, torch.Tensor]:
    """The network's weights before it is exported."""
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def exported(network: nn.Module, before: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The model of each exporter."""
    return {name: _export(network, name) for name in EXPORTERS}


def _export(
    network: nn.Module, exporter: ExporterName, *, opset: int = 18, outputs: tuple[str, ...] = ("output",)
) -> Any:  # noqa: ANN401
    return OnnxFromTorch(network, torch.zeros(_SHAPE), exporter=exporter, opset=opset, outputs=outputs)


def _kinds(model: Any) -> set[str]:  # noqa: ANN401 - ModelProto
    return {node.op_type for node in model.graph.node}


def _noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(_SHAPE).astype(np.float32)


def _answer(network: nn.Module, batch: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(batch)).numpy()


def test_both_exporters_of_torch_are_tried() -> None:
    assert set(EXPORTERS) == set(get_args(ExporterName))


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_model_computes_what_the_network_computes(
    network: nn.Module, exported: dict[str, Any], exporter: str
) -> None:
    batch = _noise()
    ((found,),) = run_onnx(exported[exporter], [batch])
    np.testing.assert_allclose(found, _answer(network, batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_every_shape_is_static_and_input_and_output_are_named(exported: dict[str, Any], exporter: str) -> None:
    graph = exported[exporter].graph
    shapes = {
        item.name: [side.dim_value for side in item.type.tensor_type.shape.dim]
        for item in (*graph.input, *graph.output)
    }
    assert shapes == {"input": [1, 3, 16, 16], "output": [1, 3]}
    inner = [side for item in graph.value_info for side in item.type.tensor_type.shape.dim]
    assert inner
    assert all(side.HasField("dim_value") for side in inner)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_batch_norm_is_folded_and_arithmetic_on_shapes_is_done(exported: dict[str, Any], exporter: str) -> None:
    assert not _kinds(exported[exporter]) & {"BatchNormalization", "Shape", "Gather", "Constant", "Identity"}


@pytest.mark.parametrize(("exporter", "opset"), [("dynamo", 20), ("torchscript", 17), ("torchscript", 20)])
def test_the_operator_set_is_the_one_asked_for(network: nn.Module, exporter: ExporterName, opset: int) -> None:
    model = _export(network, exporter, opset=opset)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    batch = _noise()
    ((found,),) = run_onnx(model, [batch])
    np.testing.assert_allclose(found, _answer(network, batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_mean_over_height_and_width_is_a_global_pool(exporter: ExporterName) -> None:
    class Mean(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.mean((2, 3))

    model = _export(Mean().eval(), exporter)
    assert "GlobalAveragePool" in _kinds(model)
    batch = _noise()
    ((found,),) = run_onnx(model, [batch])
    np.testing.assert_allclose(found, batch.mean(axis=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_several_outputs_keep_their_order_and_get_their_names(exporter: ExporterName) -> None:
    class Two(nn.Module):
        def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return batch.amax((1, 2, 3)), -batch

    model = _export(Two().eval(), exporter, outputs=("largest", "negated"))
    assert [output.name for output in model.graph.output] == ["largest", "negated"]
    batch = _noise()
    ((largest, negated),) = run_onnx(model, [batch])
    np.testing.assert_array_equal(largest, [batch.max()])
    np.testing.assert_array_equal(negated, -batch)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_bytes_tell_nothing_of_this_machine(exported: dict[str, Any], tiny_file: Path, exporter: str) -> None:
    content = exported[exporter].SerializeToString()
    places = [str(Path.cwd()), str(Path.home()), tempfile.gettempdir(), str(tiny_file.parent), "site-packages", ".py"]
    versions = [torch.__version__, onnx.__version__]
    assert [text for text in (*places, *versions, "pytorch", "Tiny", "class_fqn") if text.encode() in content] == []


_ELSEWHERE = f"""
import hashlib, sys
from torch import nn
from pipeline.lowering.export import OnnxFromTorch

class Undecided(nn.Module):
    def forward(self, batch):
        return batch.flatten(1) if batch.mean() > 0 else -batch.flatten(1)

network = make(sys.argv[1])
for exporter in reversed({EXPORTERS}):  # what was exported before does not count
    model = OnnxFromTorch(network, torch.zeros({_SHAPE}), exporter=exporter, opset=18, outputs=["output"])
    print(exporter, hashlib.sha256(model.SerializeToString()).hexdigest())
try:
    OnnxFromTorch(Undecided().eval(), torch.zeros({_SHAPE}), exporter="dynamo", opset=18, outputs=["output"])
except Exception:
    print("failed as", "expected")
"""


@pytest.fixture(scope="module")
def elsewhere(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Both exporters, and one that fails, in another process, another folder and with other hashes."""
    return subprocess.run(
        [sys.executable, "-c", _MAKE + _ELSEWHERE, str(tiny_file)],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )


def test_another_process_writes_the_same_bytes(
    exported: dict[str, Any], elsewhere: subprocess.CompletedProcess[str]
) -> None:
    there = dict(line.split() for line in elsewhere.stdout.splitlines()[:2])
    assert there == {name: hashlib.sha256(model.SerializeToString()).hexdigest() for name, model in exported.items()}


def test_exports_print_nothing_even_when_they_fail(elsewhere: subprocess.CompletedProcess[str]) -> None:
    # Seen from outside, since the libraries' loggers write to the stderr that was there when they were set up.
    assert [line.split()[0] for line in elsewhere.stdout.splitlines()] == ["torchscript", "dynamo", "failed"]
    assert elsewhere.stderr == ""


def test_the_network_is_as_it_was(
    network: nn.Module, before: dict[str, torch.Tensor], exported: dict[str, Any]
) -> None:
    assert set(exported) == set(EXPORTERS)
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


class _Undecided(nn.Module):
    """Which way it goes depends on a value: torch.export cannot follow."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.flatten(1) if batch.mean() > 0 else -batch.flatten(1)


def test_loggers_speak_again_after_an_export(network: nn.Module) -> None:
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnxslim")]
    before = [logger.level for logger in loggers]
    _export(network, "torchscript")
    with pytest.raises(Exception, match=r"data-dependent|torch\.export"):
        _export(_Undecided().eval(), "dynamo")
    assert [logger.level for logger in loggers] == before


def test_a_graph_that_cannot_be_exported_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(7)).eval()  # larger than what it is given
    with pytest.raises(Exception, match="adaptive_avg_pool2d"):  # torch has no common base for them
        OnnxFromTorch(network, torch.zeros(1, 3, 4, 4), exporter="torchscript", opset=18, outputs=["output"])
    assert capfd.readouterr() == ("", "")
