"""Reading an ONNX file: what cannot be read is one clear error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exporters.tensorrt.parsing import parse
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact


def test_the_network_has_the_graphs_input_and_outputs(rtx: Any, exported: Artifact) -> None:  # noqa: ANN401
    network = parse(rtx, exported.path("float.onnx")).network
    assert (network.get_input(0).name, tuple(network.get_input(0).shape)) == ("input", (1, 3, 16, 16))
    assert tuple(network.get_output(0).shape) == (1, 3)


def test_a_graph_in_a_dialect_it_cannot_read_is_an_error_with_node_operator_and_its_words(
    rtx: Any,  # noqa: ANN401
    exported: Artifact,
) -> None:
    with pytest.raises(UsageError) as raised:
        parse(rtx, exported.path("qdq-ort-x86.onnx"))
    assert raised.value.where == "qdq-ort-x86.onnx, node input_QuantizeLinear (QuantizeLinear)"
    assert "Non-zero zero point is not supported" in str(raised.value.got)
    assert "dialect 'tensorrt'" in str(raised.value.fix)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100], ids=["nothing", "a word", "zeros"])
def test_bytes_that_are_no_graph_are_refused(rtx: Any, tmp_path: Path, content: bytes) -> None:  # noqa: ANN401
    # The parser itself takes some of them for an empty graph.
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        parse(rtx, path)
    assert str(raised.value.where).startswith("bad.onnx")
