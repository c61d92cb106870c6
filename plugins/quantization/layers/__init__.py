"""Layers and norms with quantized weights or outputs."""
