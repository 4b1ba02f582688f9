"""Fit one model. Knows neither metrics, figures nor ONNX: it returns a fitted module."""
