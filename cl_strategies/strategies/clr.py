"""CLR (Ge, Li, Li, Ni, Zhao, Yang, Itti, "CLR: Channel-wise Lightweight Reprogramming for Continual
Learning", ICCV 2023)."""

from __future__ import annotations

from cl_strategies.plugins.task_layers.reprogramming import ReprogrammingModel
from cl_strategies.strategies.templates.task_model import TaskModelStrategy


class CLR(TaskModelStrategy):
    """A frozen convolutional base; every task filters each of its channels by a small kernel.

    The base is the network of the first task or, with ``pretrained_base``, the one given. A later
    task trains the kernels behind the convolutions, its normalizations and its head. What belongs
    to an old task never changes, and neither do its outputs.
    """

    model: ReprogrammingModel
    model_class = ReprogrammingModel
