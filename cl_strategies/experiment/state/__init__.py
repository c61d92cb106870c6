"""The state of a training as tensors and plain data, and checkpoints of it."""
