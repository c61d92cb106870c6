"""Calibration: ranges, weights and biases of a quantized network from samples, without training."""
