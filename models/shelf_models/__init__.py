"""From pictures to a checked .onnx, and the models that are shipped."""
