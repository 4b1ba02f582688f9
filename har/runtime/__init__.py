"""What a device does: read a bundle, check input, predict, verify. Needs numpy and onnxruntime alone."""
