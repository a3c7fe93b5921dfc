"""Other forms of one ONNX graph, each checked against the graph it was made from."""
