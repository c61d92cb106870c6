"""Layers whose tasks have a mask of the shared weights and a sparse residual."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cl_strategies.plugins.task_layers.functional.decomposition import (
    decomposed_weight,
    hard_threshold,
)
from cl_strategies.plugins.task_layers.layers import (
    Switch,
    TaskConv2d,
    TaskEntry,
    TaskLayer,
    TaskLinear,
    own_bias,
)
from cl_strategies.plugins.task_layers.sparse_tensor import SparseTensor


class Decomposed(TaskEntry):
    """What a task has for one layer.

    :param mask_logits: ``(J,)``.
    :param residual: of the shape of the weights, or ``None`` for a task with a mask alone.
    :param bias: ``(J,)``, or ``None`` for a layer without.
    :ivar residual: a parameter while it can learn, a :class:`SparseTensor` between experiences.
    :ivar group: the tasks that this one shares a component with, if any.
    """

    residual: Any

    def __init__(self, mask_logits: Tensor, residual: Tensor | None, bias: Tensor | None) -> None:
        super().__init__()
        self.mask_logits = nn.Parameter(mask_logits.detach().clone())
        self.residual = None if residual is None else nn.Parameter(residual.detach().clone())
        self.bias = own_bias(bias)
        self.group: str | None = None

    @property
    def stored(self) -> bool:
        """Whether only the entries of the residual that are not zero are kept."""
        return isinstance(self.residual, SparseTensor)

    def full_residual(self) -> Tensor:
        """Return the residual in full; a zero for a task without."""
        if self.residual is None:
            return self.mask_logits.new_zeros(())
        return self.residual.dense() if self.stored else self.residual  # type: ignore[no-any-return]

    def store(self, threshold: float) -> None:
        """Keep the entries of the residual that evaluation uses, and nothing of the others."""
        if self.residual is not None and not self.stored:
            self.put(SparseTensor(hard_threshold(self.residual.detach(), threshold)))

    def restore(self) -> None:
        """Let the residual learn again."""
        if self.stored:
            self.put(nn.Parameter(self.residual.dense()))

    def put(self, residual: nn.Parameter | SparseTensor) -> None:
        """Replace the residual, in whichever form."""
        del self.residual  # what was a parameter takes no module, and the other way round
        self.residual = residual

    def sources(self) -> tuple[Tensor, ...]:
        """Return the mask, and what the residual consists of."""
        if self.stored:
            return self.mask_logits, self.residual.packed, self.residual.values
        return (self.mask_logits,) if self.residual is None else (self.mask_logits, self.residual)


class _Decomposed(TaskLayer):
    """A layer of masked shared weights and residuals.

    :ivar threshold: residuals up to this count as zero in evaluation.
    :ivar components: what residuals of groups of tasks have in common, by the name of the group.
    """

    threshold: float
    components: nn.ModuleDict

    def add(self, task: str, residual: Tensor | None, first: str | None) -> None:
        """Give ``task`` a mask of one half, a residual and a bias.

        :param residual: to begin with.
        :param first: as in :meth:`initial_bias`.
        """
        mask_logits = self.weight.detach().new_zeros(len(self.weight))
        self.tasks[task] = Decomposed(mask_logits, residual, self.initial_bias(first))

    def component(self, entry: Decomposed) -> Tensor | float:
        """Return what the residual of a task has in common with those of its group."""
        if entry.group is None:
            return 0.0
        shared: Any = self.components[entry.group]
        return shared.dense()  # type: ignore[no-any-return]

    def weight_of(self, entry: Any) -> Tensor:
        """Compute the weights of the task; in evaluation without small residuals."""
        residual = entry.full_residual()
        if not entry.training and not entry.stored:
            residual = hard_threshold(residual, self.threshold)
        weight = decomposed_weight(self.weight, entry.mask_logits, residual)
        return weight if entry.group is None else weight + self.component(entry)

    def _adopt(self, layer: nn.Linear | nn.Conv2d, switch: Switch) -> None:
        super()._adopt(layer, switch)
        self.threshold = 0.0
        self.components = nn.ModuleDict()


class DecomposedLinear(_Decomposed, TaskLinear):
    """A linear layer with a mask and a residual per task."""


class DecomposedConv2d(_Decomposed, TaskConv2d):
    """A convolution with a mask and a residual per task."""
