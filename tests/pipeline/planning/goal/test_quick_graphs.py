"""By which exporter the networks on the way to a goal become graphs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from onnx import TensorProto, helper, save

from pipeline.errors import ParityError
from pipeline.planning.goal.quick_graphs import QuickGraphs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_UNPRUNED, _CUT = SimpleNamespace(name="unpruned"), SimpleNamespace(name="cut")


class _Chain:
    """Of whose exporters each makes a network of those operators; None: it refuses."""

    def __init__(
        self, folder: Path, size: int = 8, float_nodes: tuple[str, ...] = (), **made: Sequence[str] | None
    ) -> None:
        self.folder, self.made = folder, made
        self.asked: list[tuple[str, tuple[str, ...] | None]] = []
        export, goal = SimpleNamespace(float_nodes=float_nodes), SimpleNamespace(size=None)
        recipe = SimpleNamespace(export=export, goal=goal)
        self.plan = SimpleNamespace(recipe=recipe, parts=SimpleNamespace(preprocess=size))

    def lowered(self, network: Any, exporters: tuple[str, ...] | None = None) -> Any:  # noqa: ANN401 - artifacts
        self.asked.append((network.name, exporters))
        operators = self.made[exporters[0] if exporters else "dynamo"]
        if operators is None:
            raise ParityError("a test", got="more", expected="less", fix="none")
        path = self.folder / f"{len(self.asked)}.onnx"
        nodes = [helper.make_node(name, [f"t{at}"], [f"t{at + 1}"]) for at, name in enumerate(operators)]
        end = helper.make_tensor_value_info(f"t{len(nodes)}", TensorProto.FLOAT, [1])
        start = helper.make_tensor_value_info("t0", TensorProto.FLOAT, [1])
        save(helper.make_model(helper.make_graph(nodes, "a test", [start], [end])), path)
        return SimpleNamespace(path=lambda _: path)


def _asked_for_a_cut_one(chain: _Chain) -> Any:  # noqa: ANN401 - exporters
    graphs = QuickGraphs(chain, _UNPRUNED)  # type: ignore[arg-type]
    graphs.of(chain, _CUT)  # type: ignore[arg-type]
    before = len(chain.asked)
    graphs.of(chain, _CUT)  # type: ignore[arg-type]
    assert len(chain.asked) == before + 1, "both were compared once"
    return chain.asked[-1][1]


@pytest.mark.parametrize(
    ("torchscript", "first"),
    [
        (["Relu", "Relu", "Flatten"], "torchscript"),
        (["Flatten", "Relu", "Relu"], "torchscript"),
        (["Relu", "Reshape"], "dynamo"),
        (["Relu", "Relu", "Reshape", "Transpose"], "dynamo"),
        (None, "dynamo"),
    ],
)
def test_the_quick_exporter_comes_first_where_both_make_the_same_of_the_unpruned_network(
    tmp_path: Path, torchscript: list[str] | None, first: str
) -> None:
    chain = _Chain(tmp_path, dynamo=["Relu", "Relu", "Reshape"], torchscript=torchscript)
    exporters = _asked_for_a_cut_one(chain)
    assert exporters[0] == first
    assert sorted(exporters) == ["dynamo", "torchscript"]


def test_nodes_that_are_named_are_named_by_the_usual_exporter(tmp_path: Path) -> None:
    chain = _Chain(tmp_path, float_nodes=("node_conv",), dynamo=["Relu"], torchscript=["Relu"])
    assert _asked_for_a_cut_one(chain) == ("dynamo", "torchscript")


def test_where_bytes_are_asked_for_names_are_those_that_ship(tmp_path: Path) -> None:
    chain = _Chain(tmp_path, dynamo=["Relu"], torchscript=["Relu"])
    chain.plan.recipe.goal.size = "2MB"
    assert _asked_for_a_cut_one(chain) == ("dynamo", "torchscript")


def test_the_unpruned_network_has_the_graph_of_its_row_in_the_report(tmp_path: Path) -> None:
    chain = _Chain(tmp_path, dynamo=["Relu"], torchscript=["Relu"])
    graphs = QuickGraphs(chain, _UNPRUNED)  # type: ignore[arg-type]
    graphs.of(chain, _UNPRUNED)  # type: ignore[arg-type]
    assert chain.asked == [("unpruned", None)]
    graphs.of(_Chain(tmp_path, 4, torchscript=["Relu"]), _UNPRUNED)  # type: ignore[arg-type]
    assert ("unpruned", ("torchscript",)) in chain.asked, "with smaller images it is another one"
