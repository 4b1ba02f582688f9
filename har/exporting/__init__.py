"""From a trained classifier to one ONNX file, checked against torch, and the bundle around it."""
