"""The graphs of networks that a plan is made with: some ten of them, that are measured and never shipped."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.artifact import FLOAT_MODEL
from pipeline.errors import ParityError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.lowering.export import ExporterName

__all__ = ["QuickGraphs"]

_USUAL: ExporterName = "dynamo"
_QUICK: ExporterName = "torchscript"
_SAME = dict.fromkeys(("Flatten", "Reshape"), ("Reshape", 1))
"""Operators that are one and the same for shapes that are known; one of them takes the shape as a tensor."""


class QuickGraphs:
    """From networks to float graphs, by the quicker one of torch's exporters where that makes no difference.

    Following a network's code symbolically takes the usual exporter three to eight times as long as the other one
    takes to record what runs. Where both make the unpruned network of the same operators, the quick one comes first
    for all others, whose numbers are compared with the network's as ever. Not where bytes are asked for: its names are
    longer, which in INT8 are up to a seventh of a small file.

    Args:
        chain: What is run, that feeds the unpruned network.
        network: The unpruned one's artifact.
    """

    def __init__(self, chain: Chain, network: Artifact) -> None:
        self._chain, self._network = chain, network
        self._exporters: tuple[ExporterName, ...] | None = None

    def of(self, chain: Chain, network: Artifact) -> Artifact:
        """A network's graph.

        Args:
            chain: That feeds it.
            network: Its artifact.

        Raises:
            ParityError: when no exporter's graph computes what the network computes.
        """
        if network is self._network and chain.plan.parts.preprocess == self._chain.plan.parts.preprocess:
            return chain.lowered(network)  # as it was for its row in the report
        if self._exporters is None:
            self._exporters = (_QUICK, _USUAL) if self._both_are_alike() else (_USUAL, _QUICK)
        return chain.lowered(network, self._exporters)

    def _both_are_alike(self) -> bool:
        recipe = self._chain.plan.recipe
        if recipe.goal.size is not None or recipe.export.float_nodes:  # these are named as the usual one names them
            return False
        try:
            quick = self._chain.lowered(self._network, (_QUICK,))
        except ParityError:
            return False
        usual = self._chain.lowered(self._network)
        return _operators(quick.path(FLOAT_MODEL)) == _operators(usual.path(FLOAT_MODEL))


def _operators(path: Path) -> Counter[tuple[str, int]]:
    """How often each stands in a graph with so many tensors that it takes."""
    import onnx

    nodes = onnx.load(path, load_external_data=False).graph.node
    return Counter(_SAME.get(node.op_type) or (node.op_type, len(node.input)) for node in nodes)
