"""HALRP (Li et al., "Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning"):
what is done to a model between and during its epochs, without Avalanche."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.low_rank.functional.decomposition import least_squares_scales, residual
from cl_strategies.plugins.low_rank.functional.penalty import (
    add_regularizer_gradient_,
    regularizer,
    regularizer_gradient,
)
from cl_strategies.plugins.low_rank.functional.pruning import (
    mixed_threshold,
    percentile_threshold,
    prune_below_,
    prune_to_budget_,
)
from cl_strategies.plugins.low_rank.functional.ranks import (
    limit_ranks,
    random_components,
    select_ranks,
)
from cl_strategies.plugins.low_rank.functional.spectrum import Spectrum
from cl_strategies.plugins.low_rank.layers import Factors
from cl_strategies.plugins.low_rank.model import HALRPModel
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class LowRankPerturbation:
    """HALRP's steps on a :class:`~cl_strategies.plugins.low_rank.model.HALRPModel`.

    It has hyper-parameters and no state: all state is in the model.

    :raises UserError: for a hyper-parameter out of its range.
    """

    alpha: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc(
            "Loss approximation rate: the fraction of the estimated effect on the loss that the "
            "chosen ranks keep."
        ),
        Equation("Eq. 11"),
    ] = 0.9
    l1: Annotated[
        float,
        Ge(0),
        Doc(
            "Weight of the L1 norm of the low-rank factors, lambda_0. The paper uses 1e-6 on "
            "permuted MNIST and Five-dataset, and 1e-4 on CIFAR-100."
        ),
        Equation("Eq. 12"),
    ] = 1e-6
    l2: Annotated[
        float,
        Ge(0),
        Doc(
            "Weight of the squared norm of scales and factors, lambda_1. The authors' code halves "
            "it."
        ),
        Equation("Eq. 12"),
    ] = 1e-4
    importance: Annotated[
        Literal["fisher_mean", "grad_norm"],
        Doc(
            'Importance of a layer: ``"fisher_mean"``, the mean squared entry of its gradients as '
            'in the authors\' code, or ``"grad_norm"``, the squared norm of its gradient, which '
            "keeps as much accuracy in more ranks where layers differ in size."
        ),
        Equation("Eq. 11"),
    ] = "fisher_mean"
    selection: Annotated[
        Literal["hessian", "unweighted", "random"],
        Doc(
            'Rule that chooses the ranks: ``"hessian"``, or an ablation: ``"unweighted"``, all '
            'layers equally important, or ``"random"``, components drawn at random at the same '
            "size."
        ),
        Equation("Eq. 11, Table 6"),
    ] = "hessian"
    max_rank: Annotated[
        int | None,
        Ge(0),
        Doc("Largest rank of a layer. The authors' code uses 100; ``None`` sets no limit."),
    ] = None
    max_growth: Annotated[
        float | None,
        Ge(0),
        Doc(
            "Largest size of one task relative to the base network, everything that it stores "
            "included. The components that matter least for their size are given up before "
            "fine-tuning, and a warning names the layers that keep none. What is fixed (scales, "
            "biases, normalizations, head) may exceed it. ``None`` sets no cap, as in the paper."
        ),
    ] = None
    pruning: Annotated[
        Literal["none", "absolute", "percentile", "mixed", "limited", "budget"],
        Doc(
            'Pruning after a task: ``"absolute"`` zeros entries up to ``threshold``, '
            '``"percentile"`` all but the largest ``gamma`` of the entries, ``"mixed"`` both, '
            '``"limited"`` both from the task on at which the model has grown by more than '
            "``gamma``, with the share of the entries that would undo it, as in the authors' code, "
            'and ``"budget"`` exactly so many that the whole model grows by at most ``gamma``.'
        ),
        Equation("section 4.4"),
    ] = "absolute"
    threshold: Annotated[float, Ge(0), Doc("Absolute threshold of the pruning.")] = 1e-5
    gamma: Annotated[
        float,
        Ge(0),
        Doc(
            "Fraction of the low-rank entries to keep, or the growth of the whole model from which "
            'on ``"limited"`` prunes, or that ``"budget"`` allows. The authors\' code uses 0.2 on '
            "CIFAR-100 and 0.6 elsewhere."
        ),
    ] = 0.2
    prune_old_tasks: Annotated[
        bool,
        Doc(
            "Prune the factors of all tasks together, as in the paper, which makes old tasks "
            "forget; otherwise those of the newest task alone."
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.gamma > 1 and self.pruning not in ("limited", "budget"):
            raise UserError(
                f"gamma is {self.gamma}, and with pruning={self.pruning!r} it is the fraction of "
                'the entries to keep: give a number from 0 to 1, or pruning="budget"'
            )

    # ------------------------------------------------------------------ after the warm-up

    def decompose(
        self,
        model: HALRPModel,
        batches: Iterable[tuple[Tensor, Tensor]],
        criterion: Callable[[Any, Any], Tensor],
    ) -> list[int]:
        """Replace the free weights of the current task by scales and a low-rank part.

        :param model: whose current task is warming up.
        :param batches: inputs and targets of the task, on the device of the model; read only if
            the selection needs the importance of layers.
        :param criterion: mean loss of logits and targets.
        :returns: the rank of each layer, in the order of ``model.layers``.
        :raises UserError: if no task is warming up, there is no batch, or the training diverged.
        """
        task = model.current
        if task is None or not model.warming_up:
            raise UserError("no task is warming up: there are no free weights to decompose")
        layers, free = model.layers, model.entries(task)
        importance = torch.ones(len(layers), dtype=torch.float64)
        if self.selection != "unweighted":
            importance = self.layer_importance(model, batches, criterion)
        area = torch.tensor([layer.weight[0, 0].numel() for layer in layers.values()])
        scales, spectra = [], []
        with torch.no_grad():
            for name, layer in layers.items():
                f, b = free[name].weight.double(), layer.weight.double()
                row, column = least_squares_scales(f, b)
                scales.append((row, column))
                spectra.append(Spectrum(residual(f, b, row, column)))
            values = [spectrum.values.cpu() for spectrum in spectra]
            importance = importance * area
            selected = select_ranks(values, importance, alpha=self.alpha, max_rank=self.max_rank)
            components = self._affordable(model, selected, values, importance)
            kept = [s.factors(index) for s, index in zip(spectra, components, strict=True)]
            model.set_factors(
                {
                    name: [t.to(layer.weight.dtype) for t in (*scales[n], *kept[n])]
                    for n, (name, layer) in enumerate(layers.items())
                },
                selected=selected,
            )
        _tell_of_empty_layers(model, self.max_growth)
        return [factors.rank for factors in model.factors(task).values()]

    def _affordable(
        self,
        model: HALRPModel,
        ranks: list[int],
        values: Sequence[Tensor],
        importance: Tensor,
    ) -> list[Any]:
        """Return how many, or which, components to keep in each layer."""
        layers = model.layers.values()
        costs = [sum(layer.weight.shape[:2]) for layer in layers]
        if self.max_growth is not None:
            size = model.sizes()[model.tasks[-1].label]
            fixed = size.total - size.free + sum(costs)  # one row and one column in each layer
            budget = self.max_growth * model.base_size() - fixed
            ranks = limit_ranks(ranks, values, importance, costs=costs, budget=budget)
        if self.selection != "random":
            return ranks
        drawn = random_components(ranks, [len(v) for v in values], costs=costs)
        pairs = zip(drawn, layers, strict=True)
        return [index.to(layer.weight.device) for index, layer in pairs]

    def layer_importance(
        self,
        model: HALRPModel,
        batches: Iterable[tuple[Tensor, Tensor]],
        criterion: Callable[[Any, Any], Tensor],
    ) -> Tensor:
        """Measure how much the loss depends on the free weights of each layer after the warm-up.

        Gradients are those of the loss without regularizer, with the model in evaluation mode.
        For a convolution the selection multiplies by the area of the kernel, since a component
        changes the weights at each of its positions.

        :returns: ``(layers,)``, float64, on the CPU.
        :raises UserError: if there is no batch.
        """
        task = model.current
        if task is None or not model.warming_up:
            raise UserError("no task is warming up: there are no free weights to measure")
        weights = [entry.weight for entry in model.entries(task).values()]
        sums = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights]
        fisher = torch.zeros(len(weights), dtype=torch.float64, device=weights[0].device)
        samples = count = 0
        with torch.enable_grad(), evaluating(model):
            for x, y in batches:
                loss = criterion(model.forward_single_task(x, task.label), y)
                gradients = torch.autograd.grad(loss, weights)
                samples, count = samples + len(x), count + 1
                for total, gradient in zip(sums, gradients, strict=True):
                    total.add_(gradient, alpha=len(x))
                fisher += len(x) * torch.stack([g.double().square().mean() for g in gradients])
        if not count:
            raise UserError("there is no data to measure the importance of layers on")
        if self.importance == "fisher_mean":
            return (fisher / count).cpu()
        return torch.stack([(total / samples).square().sum() for total in sums]).cpu()

    # ------------------------------------------------------------------ fine-tuning

    def regularizer(self, model: HALRPModel) -> Tensor:
        """Return Eq. 12 for the current task; zero while there is nothing to regularize."""
        scales, factors = _regularized(model)
        if not scales:
            return torch.zeros(())
        return regularizer(scales, factors, l1=self.l1, l2=self.l2)

    def add_regularizer_gradient(self, model: HALRPModel) -> None:
        """Add the gradient of :meth:`regularizer` to the gradients of the current task."""
        scales, factors = _regularized(model)
        add_regularizer_gradient_(scales, factors, l1=self.l1, l2=self.l2)

    def regularizer_gradient(self, model: HALRPModel) -> tuple[list[Tensor], list[Tensor]]:
        """Return the tensors of the current task that have a gradient, and what :meth:`regularizer`
        adds to each."""
        scales, factors = _regularized(model)
        scales, factors = ([t for t in part if t.grad is not None] for part in (scales, factors))
        return [*scales, *factors], regularizer_gradient(scales, factors, l1=self.l1, l2=self.l2)

    # ------------------------------------------------------------------ after a task

    def prune(self, model: HALRPModel) -> None:
        """Zero small entries of the low-rank factors (section 4.4)."""
        tasks = model.tasks if self.prune_old_tasks else model.tasks[-1:]
        factors = [
            tensor
            for task in tasks
            for entry in model.factors(task).values()
            for tensor in (entry.left, entry.right)
        ]
        if not factors or self.pruning == "none":
            return
        if self.pruning == "budget":
            own = sum(int(torch.count_nonzero(factor)) for factor in factors)
            others = sum(size.total for size in model.sizes().values()) - own
            allowed = int(self.gamma * model.base_size()) - others
            if allowed < 0:
                raise UserError(
                    f"gamma={self.gamma} allows no low-rank entry: scales, biases, normalizations "
                    f"and heads have grown to {others / model.base_size():.3f} of the base "
                    "network. Give a larger gamma, or prune_old_tasks=True"
                )
            prune_to_budget_(factors, allowed)
            return
        if self.pruning == "absolute":
            threshold = self.threshold
        elif self.pruning == "percentile":
            threshold = percentile_threshold(factors, self.gamma)
        elif self.pruning == "mixed":
            threshold = mixed_threshold(factors, self.gamma, self.threshold)
        else:
            growth = model.growth(zeros=True)
            if growth <= self.gamma:
                return
            threshold = mixed_threshold(factors, self.gamma / growth, self.threshold)
        prune_below_(factors, threshold)


def _regularized(model: HALRPModel) -> tuple[list[Tensor], list[Tensor]]:
    """Return the scales and the low-rank factors of the current task."""
    task = model.current
    entries: list[Factors] = list(model.factors(task).values()) if task is not None else []
    return (
        [t for entry in entries for t in (entry.row, entry.column)],
        [t for entry in entries for t in (entry.left, entry.right)],
    )


def _tell_of_empty_layers(model: HALRPModel, max_growth: float | None) -> None:
    """Warn of layers to which the cap of the size leaves no low-rank part."""
    label = model.tasks[-1].label
    cut = {n: r.selected for n, r in model.ranks()[label].items() if r.selected and not r.kept}
    if max_growth is not None and cut:
        named = ", ".join(f"{name} (rank {rank} by Eq. 11)" for name, rank in cut.items())
        warnings.warn(
            f"max_growth={max_growth:g} leaves task {label} without a low-rank part in {named}: "
            "raise max_growth, or leave it out for the rule of the paper",
            stacklevel=3,
        )
