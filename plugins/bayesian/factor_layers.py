"""Layers whose weights are made of factors that all tasks share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.plugins.bayesian.factor_prior import FactorPrior
from cl_strategies.plugins.bayesian.functional.weight_factors import (
    expected_selection,
    factored_weight,
    free_factors,
)
from cl_strategies.plugins.task_layers.layers import (
    Switch,
    TaskConv2d,
    TaskEntry,
    TaskLayer,
    TaskLinear,
)


def halves(shared: Tensor, inputs: int) -> tuple[Tensor, Tensor]:
    """Return left ``(A, F)`` and right ``(F, J)`` of factors ``(F, A + J)``."""
    left, right = shared.split([inputs, shared.shape[1] - inputs], dim=1)
    return left.t(), right


class FactorUse(TaskEntry):
    """What a task stores for one layer: which factors it uses, and how strongly.

    :param logits: ``(F,)``, of the probabilities of use.
    :param strength: ``(F,)``, r in the paper.
    :param inputs: number of inputs of the layer, with that of the bias.
    :param threshold: Probability from which on a factor is used.
    """

    bias = None  # made of factors, too

    def __init__(self, logits: Tensor, strength: Tensor, inputs: int, threshold: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.detach().clone())
        self.strength = nn.Parameter(strength.detach().clone())
        self.inputs, self.threshold = inputs, threshold

    def probability(self) -> Tensor:
        """Return the probabilities of use, ``(F,)``."""
        return self.logits.sigmoid()

    def used(self, shared: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the factors in use alone, so that nothing of the others enters.

        :param shared: ``(F, A + J)``, a factor in each row.
        :returns: left ``(A, k)``, right ``(k, J)``, selection and strength ``(k,)``.
        """
        selection = expected_selection(self.probability(), threshold=self.threshold)
        index = selection.detach().nonzero().flatten()
        left, right = halves(shared.index_select(0, index), self.inputs)
        return left, right, selection[index], self.strength[index]

    def weight(self, shared: Tensor) -> Tensor:
        """Return the weights of the task, ``(A, J)``, with the bias as last row."""
        return factored_weight(*self.used(shared))

    def sources(self) -> tuple[Tensor, Tensor]:
        """Return logits and strength."""
        return self.logits, self.strength


class _Factored(TaskLayer):
    """A layer of factors. While a task learns, factors that no task before it uses learn, too.

    :ivar weight: ``(F, A + J)``: a factor in each row, its left part before its right one. A is
        the number of inputs of the unfolded layer, and one more if it trains a bias.
    :ivar sticks: ``(2, F)``, logarithms of c and d of the task in training, ``None`` between tasks.
    :ivar selection: ``(F,)``, sampled for a pass in training; ``None`` to use the expectation.
    """

    sticks: Any
    selection: Tensor | None
    inputs: int
    outputs: int
    _used: Any
    _kept: Any

    def divide(self, factors: float, limit: int, prior: FactorPrior) -> None:
        """Replace the weights by random factors, and the bias unless it is frozen.

        Their scale gives the weights of the first task the mean square of those that they replace.

        :param factors: their number, relative to the smaller side of the unfolded weights.
        :param limit: Largest number; where the smaller side is larger, that.
        :param prior: of selections and strengths.
        """
        given = self.weight.detach()
        self.outputs, self.inputs = len(given), given[0].numel() + int(self.trains_bias)
        side = min(self.outputs, given[0].numel())
        count = max(1, round(factors * side))
        count = min(count, max(limit, side))
        square = float(given.double().square().mean()) or 2 / (self.outputs + self.inputs)
        chosen = expected_selection(prior.logits(count).sigmoid(), threshold=prior.threshold)
        gain = prior.deviation * float(chosen.norm())
        deviation = (square**0.5 / gain) ** 0.5 if gain else 1.0
        bound = 3**0.5 * deviation
        shared = given.new_empty(count, self.inputs + self.outputs).uniform_(-bound, bound)
        self.weight = nn.Parameter(shared)
        if self.trains_bias:
            self.register_parameter("bias", None)

    @property
    def factors(self) -> int:
        """Number of factors."""
        return len(self.weight)

    def add(self, task: str, logits: Tensor, strength: Tensor, threshold: float) -> None:
        """Give ``task`` its use of the factors."""
        self.tasks[task] = FactorUse(logits, strength, self.inputs, threshold)

    @torch.no_grad()
    def begin(self, task: str, sticks: Tensor, earlier: list[FactorUse], threshold: float) -> None:
        """Let the factors learn that none of ``earlier`` uses.

        :param sticks: ``(2, F)`` to begin with.
        """
        self.sticks = nn.Parameter(sticks.detach().clone().to(self.weight))
        self.weight.requires_grad_(True)
        posteriors = [entry.probability() for entry in earlier]
        rows = torch.stack(posteriors) if posteriors else self.weight.new_empty(0, self.factors)
        self._used = (~free_factors(rows, threshold=threshold)).nonzero().flatten()
        self._kept = self.weight.detach()[self._used]

    @torch.no_grad()
    def mask_gradient(self) -> None:
        """Clear the gradients of factors that earlier tasks use, as
        :func:`~cl_strategies.plugins.bayesian.functional.weight_factors.protect_factors` does."""
        if self.weight.grad is not None:
            self.weight.grad.index_fill_(0, self._used, 0.0)

    @torch.no_grad()
    def undo(self) -> None:
        """Undo any step of factors that earlier tasks use, such as that of weight decay."""
        if len(self._used):
            self.weight.index_copy_(0, self._used, self._kept)

    def settle(self) -> Tensor:
        """End the learning of a task.

        :returns: its sticks.
        """
        sticks: Tensor = self.sticks.detach().clone()
        self._release()
        return sticks

    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return left, right, selection and strength of the current task."""
        entry = self.entry()
        if self.selection is None:
            found: tuple[Tensor, Tensor, Tensor, Tensor] = entry.used(self.weight)
            return found
        return *halves(self.weight, self.inputs), self.selection, entry.strength

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights and the bias of the current task."""
        if self.selection is None:
            matrix = self.materialized(self.entry())
        else:
            matrix = factored_weight(*self.parts())
        if not self.trains_bias:
            return self._shaped(matrix), self.bias
        return self._shaped(matrix[:-1]), matrix[-1]

    def _shaped(self, matrix: Tensor) -> Tensor:
        return matrix.t()

    def _adopt(self, layer: nn.Linear | nn.Conv2d, switch: Switch) -> None:
        super()._adopt(layer, switch)
        self.selection = None
        self._release()

    def _release(self) -> None:
        self.register_parameter("sticks", None)
        self._used = self._kept = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "selection": None}


class FactoredLinear(_Factored, TaskLinear):
    """A linear layer of factors."""

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(..., I)``. :returns: ``(..., J)``."""
        if self.switch.cached:
            return super().forward(x)
        left, right, selection, strength = self.parts()
        samples, count = x.numel() // max(x.shape[-1], 1), len(selection)
        each = self.inputs * self.outputs
        if samples * (self.inputs + self.outputs) * count >= (samples + count) * each:
            return super().forward(x)
        inner, *bias = left.t().split([self.in_features, 1][: 1 + self.trains_bias], dim=1)
        hidden = F.linear(x, inner, bias[0].flatten() if bias else None)
        y = (hidden * (selection * strength)) @ right
        return y if self.bias is None else y + self.bias


class FactoredConv2d(_Factored, TaskConv2d):
    """A convolution whose kernels, unfolded, are made of factors; with groups, those of a group."""

    def _shaped(self, matrix: Tensor) -> Tensor:
        inputs = self.in_channels // self.groups
        return matrix.t().reshape(self.out_channels, inputs, *self.kernel_size)
