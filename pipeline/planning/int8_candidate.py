"""One way to write a network in INT8."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.artifact import FLOAT_MODEL, qdq_model
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.graph import WEIGHTED, Graph
from pipeline.quantization.ranges import Method  # noqa: TC001 - read again from the store by its fields' types
from pipeline.stages.export import ExportFor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Precision
    from pipeline.chain.plan import Plan
    from pipeline.quantization.calibrated import Calibrated
    from pipeline.quantization.sensitivity import LayerDamage

__all__ = ["Candidate", "export_of", "written"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One way to write the network in INT8.

    Attributes:
        method: How ranges are chosen.
        dialect: How Q/DQ is written, the bits of the weights included.
        float_nodes: ONNX nodes that stay float.
        kept: Why, in a word or two; empty when there are none.
    """

    method: Method
    dialect: str
    float_nodes: tuple[str, ...] = ()
    kept: str = ""

    @property
    def label(self) -> str:
        """For a table: ``mse ranges, ort-x86, depthwise float``."""
        return f"{self.method} ranges, {self.dialect}" + (f", {self.kept} float" if self.kept else "")

    @property
    def file(self) -> str:
        """Its file within an export artifact."""
        return qdq_model(self.dialect)

    def source(self, precision: Precision) -> str:
        """The file within an export artifact that an engine of that precision is built from."""
        return self.file if precision == "int8" else FLOAT_MODEL

    def with_float(self, nodes: frozenset[str], why: str) -> Candidate:
        """The same with further nodes in float."""
        kept = f"{self.kept} and {why}" if self.kept else why
        return replace(self, float_nodes=tuple(sorted({*self.float_nodes, *nodes})), kept=kept)

    def with_worst(self, damages: Sequence[LayerDamage], count: int) -> Candidate:
        """The same with so many of the worst layers in float, of which the worst comes first."""
        nodes = frozenset(damage.node for damage in damages[:count])
        return self.with_float(nodes, "the worst layer" if count == 1 else f"the {count} worst layers")

    def transferred(self, own: Calibrated, other: Calibrated) -> Candidate:
        """The same form of a network that has lost fewer channels, pixels or blocks.

        Where blocks went nodes have other names, and layers are known by their weights; nodes without one are left out
        then.

        Args:
            own: That it is a form of.
            other: That it is to be one of.
        """
        before, after = Graph(own.model), Graph(other.model)
        if _nodes(before) == _nodes(after):
            return self
        floats = {before.weight_of(unit.node) for unit in before.units(WEIGHTED) if unit.name in self.float_nodes}
        there = [unit.name for unit in after.units(WEIGHTED) if after.weight_of(unit.node) in floats]
        return replace(self, float_nodes=tuple(sorted(there)))


def _nodes(graph: Graph) -> list[tuple[str, str]]:
    return [(node.name, node.op_type) for node in graph.model.graph.node]


def export_of(plan: Plan, candidate: Candidate) -> ExportFor:
    """The stage that writes a candidate."""
    return ExportFor(
        method=candidate.method,
        float_nodes=candidate.float_nodes,
        bias_correction=plan.recipe.export.bias_correction,
        dialects=(candidate.dialect,),
    )


def written(plan: Plan, calibrated: Calibrated, candidate: Candidate, float_nodes: frozenset[str] = frozenset()) -> Any:  # noqa: ANN401 - ModelProto
    """The candidate's Q/DQ graph, with further nodes left in float."""
    return calibrated.quantised(
        candidate.method,
        dialect_named(candidate.dialect),
        float_nodes=frozenset(candidate.float_nodes) | float_nodes,
        bias_correction=plan.recipe.export.bias_correction,
    )
