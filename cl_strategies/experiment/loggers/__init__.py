"""Telling TensorBoard, W&B, MLflow and files of a run while it is computed."""
