"""Exported graphs run by ONNX Runtime, without torch."""
