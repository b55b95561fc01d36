"""Models as ONNX graphs, and ONNX graphs as models."""
