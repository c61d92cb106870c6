"""What reading the features of images needs of a strategy."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn


class Evaluable(Protocol):
    """A strategy, as far as evaluating its model needs it.

    :ivar model: The network.
    :ivar device: Where inputs go.
    :ivar eval_mb_size: Batch size of the evaluation.
    """

    model: nn.Module
    device: torch.device
    eval_mb_size: int
