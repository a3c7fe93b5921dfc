"""An ONNX file as a strongly typed TensorRT network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Parsed", "parse"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A network and what it needs to stay alive.

    Attributes:
        bindings: The flavour's module.
        builder: Made the network.
        network: Strongly typed: every tensor has the type that the ONNX graph gives it.
        logger: Keeps what the builder says.
        parser: Owns the weights, which the network only points at.
    """

    bindings: Any
    builder: Any
    network: Any
    logger: Any
    parser: Any


def parse(bindings: Any, model: Path) -> Parsed:  # noqa: ANN401 - bindings have no types
    """Read an ONNX file.

    Raises:
        UsageError: naming the node, its operator and the parser's own words; or for a file that holds no network.
    """
    trt = bindings
    logger = quiet_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        raise _refused(parser, model.name)
    if network.num_inputs != 1 or network.num_outputs == 0:  # the parser takes any bytes for an empty graph
        raise UsageError(
            "this is no network of one input",
            where=model.name,
            got=f"{network.num_inputs} inputs, {network.num_outputs} outputs",
            expected="one input, and at least one output",
        )
    return Parsed(bindings=trt, builder=builder, network=network, logger=logger, parser=parser)


def quiet_logger(trt: Any) -> Any:  # noqa: ANN401 - bindings have no types
    """A logger that keeps errors, as ``.errors``, instead of printing them: they are told where they matter."""

    class Quiet(trt.ILogger):  # type: ignore[misc] # the class to derive from comes with the bindings
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:  # noqa: ANN401
            if severity in {trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR}:
                self.errors.append(message)

    return Quiet()


def _refused(parser: Any, file: str) -> UsageError:  # noqa: ANN401
    errors = [parser.get_error(number) for number in range(parser.num_errors)]
    first = errors[0]
    name = first.node_name() or f"number {first.node()}"
    operator = f" ({first.node_operator()})" if first.node_operator() else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return UsageError(
        "TensorRT cannot read this graph",
        where=f"{file}, node {name}{operator}",
        got=" ".join(first.desc().split()) + more,
        fix="INT8 is built from the Q/DQ file of dialect 'tensorrt'; an operator TensorRT lacks has to leave the graph",
    )
