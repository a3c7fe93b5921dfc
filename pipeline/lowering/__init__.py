"""From a PyTorch network to a float ONNX graph that is shown to compute the same."""

from pipeline.lowering.lower import Lowered, lower

__all__ = ["Lowered", "lower"]
