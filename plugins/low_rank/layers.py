"""Layers that compute with the weights of one task at a time."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.plugins.low_rank.decomposition import materialise

_OUTSIDE = (
    "this network has weights for several tasks: call the model of the strategy "
    "(strategy.model), which knows whose to use, instead of a part of it"
)


class Switch:
    """Which task all layers of a network compute; shared by them.

    :ivar base: name of the task whose weights are the base, once there is one.
    :ivar task: name of the task being computed, ``None`` outside a forward pass.
    :ivar cached: compute with materialised weights, and keep them for the next pass.
    """

    def __init__(self) -> None:
        self.base: str | None = None
        self.task: str | None = None
        self.cached = False


class FreeWeights(nn.Module):
    """Weights of a task that is warming up: a copy of the base, trained without constraints."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = _copied(bias)


class Factors(nn.Module):
    """What a task stores for one layer: scales, low-rank factors and its own bias.

    :param row: ``(J,)``.
    :param column: ``(I,)``.
    :param left: ``(J, k)``.
    :param right: ``(k, I)``.
    :param bias: ``(J,)``, or ``None`` for a layer without.
    """

    def __init__(
        self, row: Tensor, column: Tensor, left: Tensor, right: Tensor, bias: Tensor | None
    ) -> None:
        super().__init__()
        self.row = nn.Parameter(row.detach().clone())
        self.column = nn.Parameter(column.detach().clone())
        self.left = nn.Parameter(left.detach().clone())
        self.right = nn.Parameter(right.detach().clone())
        self.bias = _copied(bias)

    @property
    def rank(self) -> int:
        """How many components the low-rank part has."""
        return self.left.shape[1]

    def weight(self, base: Tensor) -> Tensor:
        """The weights of the task (Eq. 6 and 7)."""
        return materialise(base, self.row, self.column, self.left, self.right)


class _Perturbed(nn.Module):
    """What linear and convolutional layers share: base weights and an entry per later task."""

    weight: Any  # nn.Parameter, as in the layer that this becomes
    bias: Any
    switch: Switch
    tasks: nn.ModuleDict

    def _adopt(self, layer: nn.Linear | nn.Conv2d, switch: Switch) -> None:
        self.weight = layer.weight
        self.bias = layer.bias
        self.tasks = nn.ModuleDict()
        self.switch = switch
        self._cache: tuple[Any, Tensor] | None = None

    def add_free(self, task: str) -> None:
        """Begin to warm up ``task`` from the base weights."""
        self.tasks[task] = FreeWeights(self.weight, self.bias)

    def add_empty(self, task: str, rank: int) -> None:
        """Make room for the factors of ``task``, to be filled from a state."""
        rows, columns = self.weight.shape[:2]
        new = self.weight.detach().new_zeros
        self.tasks[task] = Factors(
            new(rows), new(columns), new(rows, rank), new(rank, columns), self.bias
        )

    def entry(self) -> FreeWeights | Factors | None:
        """What the current task has here; ``None`` for the task of the base weights.

        :raises UserError: outside a forward pass of the whole model.
        """
        task = self.switch.task
        if task is None:
            raise UserError(_OUTSIDE)
        if task == self.switch.base:
            return None
        return self.tasks[task]  # type: ignore[return-value]

    def materialised(self, entry: Factors) -> Tensor:
        """The weights of the task; in evaluation those of the last task are kept.

        The kept weights are used as long as no tensor that they come from was replaced or
        changed in place.
        """
        if not self.switch.cached:
            return entry.weight(self.weight)
        parts = (self.weight, entry.row, entry.column, entry.left, entry.right)
        key = (self.switch.task, *((id(t), t.data_ptr(), t._version) for t in parts))
        if self._cache is None or self._cache[0] != key:
            self._cache = (key, entry.weight(self.weight))
        return self._cache[1]

    def train(self, mode: bool = True) -> _Perturbed:
        """As for any module; kept weights are given up."""
        self._cache = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": None}


class PerturbedLinear(_Perturbed, nn.Linear):
    """A linear layer with weights per task.

    :param layer: the layer whose parameters become the base.
    :param switch: says which task to compute.
    """

    def __init__(self, layer: nn.Linear, switch: Switch) -> None:
        super().__init__(
            layer.in_features, layer.out_features, layer.bias is not None, device="meta"
        )
        self._adopt(layer, switch)

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(..., I)``. :returns: ``(..., J)``."""
        entry = self.entry()
        if entry is None:
            return F.linear(x, self.weight, self.bias)
        if isinstance(entry, FreeWeights):
            return F.linear(x, entry.weight, entry.bias)
        if self.switch.cached or not self._factored_is_cheaper(x):
            return F.linear(x, self.materialised(entry), entry.bias)
        y = F.linear(x * entry.column, self.weight) * entry.row
        if entry.rank:
            y = y + F.linear(F.linear(x, entry.right), entry.left)
        return y if entry.bias is None else y + entry.bias

    def _factored_is_cheaper(self, x: Tensor) -> bool:
        """The low-rank part costs N (J + I) k on its own, J I k as part of the weights."""
        samples = x.numel() // max(x.shape[-1], 1)
        outputs, inputs = self.weight.shape
        return samples * (outputs + inputs) < outputs * inputs


class PerturbedConv2d(_Perturbed, nn.Conv2d):
    """A convolution with weights per task; any stride, padding, dilation and groups.

    With groups, ``I`` is the number of input channels of one group.

    :param layer: the layer whose parameters become the base.
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
        entry = self.entry()
        if entry is None:
            return self._conv_forward(x, self.weight, self.bias)
        if isinstance(entry, FreeWeights):
            return self._conv_forward(x, entry.weight, entry.bias)
        return self._conv_forward(x, self.materialised(entry), entry.bias)


class PerTask(nn.Module):
    """A normalisation of which every task has its own, with its own running statistics.

    :param base: the module of the base task.
    :param switch: says which task to compute.
    """

    def __init__(self, base: nn.Module, switch: Switch) -> None:
        super().__init__()
        self.base = base
        self.tasks = nn.ModuleDict()
        self.switch = switch

    def forward(self, *inputs: Any) -> Any:
        task = self.switch.task
        if task is None:
            raise UserError(_OUTSIDE)
        return (self.base if task == self.switch.base else self.tasks[task])(*inputs)


def _copied(tensor: Tensor | None) -> nn.Parameter | None:
    return None if tensor is None else nn.Parameter(tensor.detach().clone())


Perturbed = PerturbedLinear | PerturbedConv2d
