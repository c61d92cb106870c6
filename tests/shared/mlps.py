"""What Avalanche's examples give every strategy, small: network, optimizer, sizes."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.models import SimpleMLP
from torch import nn
from torch.optim import Adam, Optimizer

#: Of a stream of digits.
SMALL = {"fraction": 0.2, "n_experiences": 3}


def network() -> SimpleMLP:
    """Avalanche's network of its examples for digits of 8 x 8, always with the same weights."""
    torch.manual_seed(0)
    return SimpleMLP(input_size=64, hidden_size=32, num_classes=10)


def settings(model: nn.Module, optimizer: Optimizer | None = None, **more: Any) -> dict[str, Any]:
    """Arguments of any strategy."""
    optimizer = optimizer or Adam(model.parameters(), lr=0.01)
    common = {"train_mb_size": 16, "train_epochs": 2, "evaluator": None, "device": "cpu"}
    return {"model": model, "optimizer": optimizer, **common, **more}


def accuracies(results: dict[str, Any]) -> list[float]:
    """Top-1 accuracies of an evaluation, experience by experience."""
    return [value for key, value in sorted(results.items()) if key.startswith("Top1_Acc_Exp")]
