"""Lowering: only a graph that is shown to compute the same is kept; else it is said what is wrong and where."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from pipeline.errors import ParityError
from pipeline.lowering.lower import PARITY_LIMIT, lower
from pipeline.models.build import build_network

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.models.source import ModelSource

_IMAGES = [np.random.default_rng(number).standard_normal((1, 3, 8, 8)).astype(np.float32) for number in range(2)]


def _around(layer: nn.Module) -> nn.Sequential:
    """A classifier with the layer in its middle."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), layer, nn.Flatten(), nn.Linear(144, 3))


def _answers(path: Path) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [session.run(None, {"input": image})[0] for image in _IMAGES]


class _WrongIn(nn.Module):
    """A layer whose graph doubles what the layer itself leaves alone, in the exporters named."""

    def __init__(self, *exporters: str) -> None:
        super().__init__()
        self.exporters = exporters

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        # A Python branch is decided while the graph is made and is a constant in it.
        traced = "torchscript" in self.exporters and torch.jit.is_tracing()
        exported = "dynamo" in self.exporters and torch.compiler.is_exporting()
        return batch * 2 if traced or exported else batch


class _Undecided(nn.Module):
    """Its branch depends on the values: one exporter cannot follow it, the other one keeps the branch it saw."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch if batch.amax() > 0.5 else batch - 1


class _Frozen(nn.Module):
    """Turns a value of the first input into a Python number, which the graph keeps for all others."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch * float(batch.numpy().max()) if not torch.compiler.is_exporting() else batch.expm1().frac()


def test_the_tiny_network_is_lowered_and_computes_the_same(tiny_model: ModelSource, tmp_path: Path) -> None:
    network = build_network(tiny_model, classes=3)
    lowered = lower(network, _IMAGES, tmp_path / "float.onnx")
    assert lowered.exporter == "dynamo"
    assert lowered.notes == ()
    assert lowered.checked_inputs == 5  # two images, zeros, ones and noise
    assert 0 <= lowered.max_relative_error <= PARITY_LIMIT
    onnx.checker.check_model(tmp_path / "float.onnx", full_check=True)
    with torch.no_grad():
        wanted = [network(torch.from_numpy(image)).numpy() for image in _IMAGES]
    np.testing.assert_allclose(_answers(tmp_path / "float.onnx"), wanted, rtol=1e-3, atol=1e-5)


def test_the_network_is_lowered_as_it_is_in_eval_mode(tmp_path: Path) -> None:
    network = _around(nn.Dropout(0.9)).train()
    lower(network, _IMAGES, tmp_path / "float.onnx")
    assert not any(module.training for module in network.modules())
    assert "Dropout" not in {node.op_type for node in onnx.load(tmp_path / "float.onnx").graph.node}


def test_the_operator_set_is_the_one_asked_for_whichever_exporter_can_reach_it(
    tiny_model: ModelSource, tmp_path: Path
) -> None:
    lower(build_network(tiny_model, classes=3), _IMAGES, tmp_path / "float.onnx", opset=17)
    assert [entry.version for entry in onnx.load(tmp_path / "float.onnx").opset_import] == [17]


def test_a_graph_that_differs_is_refused_and_the_other_exporter_is_used(tmp_path: Path) -> None:
    network = _around(_WrongIn("dynamo"))
    lowered = lower(network, _IMAGES, tmp_path / "float.onnx")
    assert lowered.exporter == "torchscript"
    (note,) = lowered.notes
    assert note.startswith("exporter refused: dynamo: differs by ")
    assert "of the largest output on " in note
    assert note.endswith("first at layer '2'")
    with torch.no_grad():
        wanted = [network(torch.from_numpy(image)).numpy() for image in _IMAGES]
    np.testing.assert_allclose(_answers(tmp_path / "float.onnx"), wanted, rtol=1e-3, atol=1e-5)


def test_where_both_differ_the_layer_is_named_for_both_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="does not compute what the network computes") as raised:
        lower(_around(_WrongIn("dynamo", "torchscript")), _IMAGES, tmp_path / "float.onnx")
    assert raised.value.where == "lowering to ONNX"
    assert raised.value.expected == "a difference of at most 0.0001 of the largest output"
    reasons = str(raised.value.got).split("; ")
    assert [reason.split(":")[0] for reason in reasons] == ["dynamo", "torchscript"]
    assert all(reason.endswith("first at layer '2'") for reason in reasons)
    assert list(tmp_path.iterdir()) == []


def test_a_branch_on_values_is_not_taken_for_an_agreement(tmp_path: Path) -> None:
    # The images all go one way; zeros and ones go the other.
    with pytest.raises(ParityError) as raised:
        lower(_around(_Undecided()), _IMAGES, tmp_path / "float.onnx")
    first, second = str(raised.value.got).split("; ")
    assert first.startswith("dynamo: ")
    assert second.startswith("torchscript: differs by ")
    assert re.search(r"on (zeros|ones), first at layer '2'$", second)


def test_a_value_frozen_into_the_graph_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="first at layer '2'"):
        lower(_around(_Frozen()), _IMAGES, tmp_path / "float.onnx")


def test_a_difference_between_layers_is_said_to_be_in_forward(tmp_path: Path) -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = _around(nn.Identity())
            self.wrong = _WrongIn("dynamo", "torchscript")

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.wrong.forward(self.layers(batch))  # called past the hooks: a function, not a layer

    with pytest.raises(ParityError, match="first at no single layer: look at the arithmetic in forward"):
        lower(Whole(), _IMAGES, tmp_path / "float.onnx")


def test_a_graph_that_the_runtime_cannot_run_is_refused_like_one_that_differs(tmp_path: Path) -> None:
    class Double(nn.Module):
        """A convolution in float64, for which ONNX Runtime has no kernel."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(4, 4, 1).double()

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.layer(batch.double()).float()

    with pytest.raises(ParityError) as raised:
        lower(_around(Double()), _IMAGES, tmp_path / "float.onnx")
    reasons = str(raised.value.got).split("; ")
    assert [reason.split(":")[0] for reason in reasons] == ["dynamo", "torchscript"]
    assert all("Could not find an implementation for Conv" in reason for reason in reasons)


def test_a_network_that_gives_nan_is_refused(tmp_path: Path) -> None:
    class Root(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return (batch - 0.1).sqrt()

    with pytest.raises(ParityError, match="differs by values that are no numbers"):
        lower(_around(Root()), _IMAGES, tmp_path / "float.onnx")


def test_a_difference_within_the_limit_is_accepted_and_told(tmp_path: Path) -> None:
    class Close(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch * 1.01 if torch.jit.is_tracing() or torch.compiler.is_exporting() else batch

    network = nn.Sequential(Close(), nn.Flatten())
    lowered = lower(network, _IMAGES, tmp_path / "float.onnx", limit=0.02)
    assert lowered.max_relative_error == pytest.approx(0.01, rel=1e-3)


def test_why_an_exporter_was_refused_is_one_line_of_plain_text(tmp_path: Path) -> None:
    # The note stands in the report; torch colours its messages for terminals.
    class Guarded(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch if batch.isfinite().all() else batch.nan_to_num()

    (note,) = lower(_around(Guarded()), _IMAGES, tmp_path / "float.onnx").notes
    assert note.startswith("exporter refused: dynamo: ")
    assert [character for character in note if unicodedata.category(character) == "Cc"] == []
