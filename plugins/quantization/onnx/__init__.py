"""Export of quantized networks to ONNX."""
