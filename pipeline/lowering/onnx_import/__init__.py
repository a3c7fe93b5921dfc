"""A user's ONNX file brought to the one form that the rest works on, and shown to compute what the file computes."""
