"""From a PyTorch network to a float ONNX graph that is shown to compute the same."""
