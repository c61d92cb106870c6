"""Layers that compute with the weights of one task at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.errors import UserError

_OUTSIDE = (
    "this network has weights for several tasks: call the model of the strategy "
    "(strategy.model), which knows whose to use, instead of a part of it"
)


class Switch:
    """Which task all layers of a network compute; shared by them.

    :ivar base: name of the first task, once there is one.
    :ivar task: name of the task being computed, ``None`` outside a forward pass.
    :ivar cached: compute with materialized weights, and keep them for the next pass.
    """

    def __init__(self) -> None:
        self.base: str | None = None
        self.task: str | None = None
        self.cached = False


class TaskDict(nn.ModuleDict):
    """Modules by task, of which those of finished tasks stay in evaluation mode.

    Modes change many times in each task; modules of finished tasks are not even visited.

    :ivar finished: names of tasks.
    """

    transient_attributes = ("finished",)  # of a checkpoint: restored tasks are finished anew

    def __init__(self, modules: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(modules)
        self.finished: set[str] = set()

    def train(self, mode: bool = True) -> TaskDict:
        """Set the mode as for any module, without the modules of finished tasks."""
        self.training = mode
        for name, module in self.items():
            if name not in self.finished:
                module.train(mode)
        return self


class TaskEntry(nn.Module):
    """What one task has of its own in one layer.

    :ivar bias: ``(J,)``, or ``None`` for a layer without.
    """

    bias: Any

    def weight(self, shared: Tensor) -> Tensor:
        """Return the weights of the task.

        :param shared: what all tasks have, ``(J, I)`` or ``(J, I, kh, kw)``.
        """
        raise NotImplementedError

    def sources(self) -> tuple[Tensor, ...]:
        """Return the tensors that :meth:`weight` depends on besides the shared weights."""
        raise NotImplementedError


class TaskLayer(nn.Module):
    """What linear and convolutional layers have in common: shared weights, an entry per task.

    A task without an entry computes with the shared weights as they are.
    """

    weight: Any  # nn.Parameter, as in the layer that this becomes
    bias: Any
    switch: Switch
    tasks: TaskDict
    trains_bias: bool  # unless the user froze it

    def _adopt(self, layer: nn.Linear | nn.Conv2d, switch: Switch) -> None:
        self.weight = layer.weight
        self.bias = layer.bias
        self.trains_bias = layer.bias is not None and layer.bias.requires_grad
        self.tasks = TaskDict()
        self.switch = switch
        self._cache: tuple[Any, Tensor] | None = None

    def initial_bias(self, first: str | None) -> Tensor | None:
        """Return the initial bias of a new task, where every task has a bias of its own.

        :param first: name of the first task, whose bias is copied; ``None`` for the first task
            itself, which gets the bias of the layer: the layer then has none.
        """
        if first is not None:
            return self.tasks[first].bias  # type: ignore[return-value]
        bias = self.bias
        self.register_parameter("bias", None)
        return bias

    def entry(self) -> Any:
        """Return the entry of the current task; ``None`` if it uses the shared weights as they are.

        :raises UserError: outside a forward pass of the whole model.
        """
        task = self.switch.task
        if task is None:
            raise UserError(_OUTSIDE)
        if task == self.switch.base and task not in self.tasks:
            return None
        return self.tasks[task]

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights and the bias of the current task."""
        entry = self.entry()
        if entry is None:
            return self.weight, self.bias
        return self.materialized(entry), entry.bias

    def materialized(self, entry: TaskEntry) -> Tensor:
        """Return the weights of the task; in evaluation those of the last task are kept.

        The kept weights are used as long as no tensor that they come from was replaced or
        changed in place.
        """
        if not self.switch.cached:
            return self.weight_of(entry)
        parts = (self.weight, *entry.sources())
        key = (self.switch.task, *((id(t), t.data_ptr(), t._version) for t in parts))
        if self._cache is None or self._cache[0] != key:
            self._cache = (key, self.weight_of(entry))
        return self._cache[1]

    def weight_of(self, entry: TaskEntry) -> Tensor:
        """Compute the weights of the task."""
        return entry.weight(self.weight)

    def train(self, mode: bool = True) -> TaskLayer:
        """Set the mode as for any module, and drop the weights that were kept."""
        self._cache = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": None}


class TaskLinear(TaskLayer, nn.Linear):
    """A linear layer with weights per task.

    :param layer: the layer whose parameters are shared.
    :param switch: says which task to compute.
    """

    def __init__(self, layer: nn.Linear, switch: Switch) -> None:
        super().__init__(
            layer.in_features, layer.out_features, layer.bias is not None, device="meta"
        )
        self._adopt(layer, switch)

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(..., I)``. :returns: ``(..., J)``."""
        return F.linear(x, *self.tensors())

    def _factored_is_cheaper(self, x: Tensor) -> bool:
        """Return whether factors of rank k cost less applied to ``x``, N (J + I) k, than to the
        weights, J I k."""
        samples = x.numel() // max(x.shape[-1], 1)
        outputs, inputs = self.weight.shape
        return samples * (outputs + inputs) < outputs * inputs


class TaskConv2d(TaskLayer, nn.Conv2d):
    """A convolution with weights per task; any stride, padding, dilation and groups.

    With groups, ``I`` is the number of input channels of one group.

    :param layer: the layer whose parameters are shared.
    :param switch: says which task to compute.
    """

    def __init__(self, layer: nn.Conv2d, switch: Switch) -> None:
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            layer.bias is not None,
            layer.padding_mode,
            device="meta",
        )
        self._adopt(layer, switch)

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, C, H, W)``. :returns: ``(N, J, H', W')``."""
        return self._conv_forward(x, *self.tensors())


class PerTask(nn.Module):
    """A normalization of which every task has its own, with its own running statistics.

    What is frozen in it when it is handed in stays so, and is the same for all tasks.

    :param base: the module of the first task.
    :param switch: says which task to compute.
    """

    def __init__(self, base: nn.Module, switch: Switch) -> None:
        super().__init__()
        self.base = base
        self.tasks = TaskDict()
        self.switch = switch
        self._frozen = [name for name, p in base.named_parameters() if not p.requires_grad]

    def add(self, task: str, *, training: bool) -> None:
        """Give ``task`` a copy of the module of the first task.

        :param training: its mode.
        """
        shared = [self.base.get_parameter(name) for name in self._frozen]
        copied = copy.deepcopy(self.base, {id(p): p for p in shared}).train(training)
        for name, parameter in copied.named_parameters():
            parameter.requires_grad_(name not in self._frozen)
        self.tasks[task] = copied

    def forward(self, *inputs: Any) -> Any:
        task = self.switch.task
        if task is None:
            raise UserError(_OUTSIDE)
        return (self.base if task == self.switch.base else self.tasks[task])(*inputs)


class OutputBias(nn.Module):
    """The bias of a layer, apart from it.

    :param layer: which loses its bias ``(J,)``.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.bias: nn.Parameter = layer.bias  # type: ignore[assignment]
        self.shape = (-1, 1, 1) if isinstance(layer, nn.Conv2d) else (-1,)
        layer.register_parameter("bias", None)

    def forward(self, y: Tensor) -> Tensor:
        """:param y: outputs of the layer, ``(..., J)``, or ``(N, J, H, W)`` of a convolution."""
        return y + self.bias.view(self.shape)


def own_bias(tensor: Tensor | None) -> nn.Parameter | None:
    """Copy the bias of a layer for one task."""
    if tensor is None:
        return None
    return nn.Parameter(tensor.detach().clone(), requires_grad=tensor.requires_grad)
