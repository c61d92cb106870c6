"""Gradients orthogonal to the inputs of past tasks (GPM)."""
