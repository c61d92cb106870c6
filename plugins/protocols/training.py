"""What the callbacks of a plugin read and replace of a strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer

from cl_strategies.plugins.protocols.evaluable import Evaluable


class TrainingStrategy(Evaluable, Protocol):
    """A strategy on Avalanche's ``SupervisedTemplate``, while it trains or evaluates.

    :ivar optimizer: The optimizer.
    :ivar plugins: Its plugins, in the order in which they are called.
    :ivar experience: The experience that is trained or evaluated.
    :ivar adapted_dataset: The data of that experience, as plugins have changed them.
    :ivar dataloader: What mini-batches are taken from.
    :ivar mbatch: The mini-batch: inputs, labels, and task labels last.
    :ivar mb_x: Its inputs.
    :ivar mb_y: Its labels.
    :ivar mb_task_id: Its task labels.
    :ivar mb_output: The output of the model for it.
    :ivar loss: The loss of it, with its graph.
    :ivar is_training: Whether it trains.
    :ivar train_mb_size: Samples in a mini-batch of the training.
    :ivar train_epochs: Epochs of an experience.
    :ivar clock: Avalanche's counters of epochs and iterations.
    """

    optimizer: Optimizer
    plugins: list[Any]
    experience: Any
    adapted_dataset: Any
    dataloader: Any
    mbatch: Any
    mb_output: Any
    loss: Tensor
    is_training: bool
    train_mb_size: int
    train_epochs: int
    clock: Any
    _criterion: Callable[..., Tensor]

    @property
    def mb_x(self) -> Tensor: ...

    @property
    def mb_y(self) -> Tensor: ...

    @property
    def mb_task_id(self) -> Tensor: ...


class OptimizingStrategy(TrainingStrategy, Protocol):
    """A strategy whose optimizer a plugin extends.

    :ivar optimized_param_id: The parameters that the optimizer follows, by name.
    :ivar make_optimizer: Lets the optimizer hold what is trained next.
    """

    optimized_param_id: dict[str, Any] | None
    make_optimizer: Callable[..., None]


class EvaluatingStrategy(TrainingStrategy, Protocol):
    """A strategy that a plugin evaluates.

    :ivar evaluator: Avalanche's evaluation plugin, which has the loggers.
    :ivar eval: Evaluates experiences.
    """

    evaluator: Any
    eval: Callable[..., Any]
