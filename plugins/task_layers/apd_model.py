"""APD: shared weights and residuals go on learning, and old tasks keep their weights."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.task_layers.decomposed_model import DecomposedModel, Held
from cl_strategies.plugins.task_layers.functional.decomposition import (
    consolidate,
    decomposed_weight,
    decomposition_penalty,
)
from cl_strategies.plugins.task_layers.sparse_tensor import SparseTensor
from cl_strategies.plugins.task_layers.task_tensors import Task
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters
class APDModel(DecomposedModel):
    """All tasks train the shared weights, and the residuals of old tasks make up for it.

    Masks, biases, normalizations and heads of finished tasks are frozen; their residuals are not.

    :param network: as for :class:`DecomposedModel`.
    """

    method: ClassVar[str] = "apd"

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        drift: Annotated[
            float,
            Ge(0),
            Doc(
                "Weight of half the squared change of the weights of old tasks, lambda_2. Plain "
                "SGD diverges unless its rate is below 2 / (drift * (1 + tasks / 4))."
            ),
            Equation("section 3.1"),
        ] = 100.0,
        consolidate_every: Annotated[
            int,
            Ge(0),
            Doc("Tasks after which residuals are grouped, each time anew, s; 0 for never."),
            Equation("section 3.2"),
        ] = 5,
        groups: Annotated[
            int,
            Ge(1),
            Doc("Groups at the first grouping, and how many more there are at each later one."),
            Equation("section 3.2"),
        ] = 2,
        spread: Annotated[
            float,
            Ge(0),
            Doc(
                "Largest difference between residuals of a group that become one, beta, in units "
                "of the weights."
            ),
            Equation("section 3.2"),
        ] = 1e-2,
        **options: Any,
    ) -> None:
        super().__init__(network, **options)
        self.drift = drift
        self.consolidate_every, self.groups, self.spread = consolidate_every, groups, spread

    # ------------------------------------------------------------------ learning

    def begin_layers(self, task: Task) -> None:
        """Give every layer what the task begins with, and let the old tasks' residuals learn."""
        super().begin_layers(task)
        self.let_learn()

    def let_learn(self) -> None:
        """Let the shared weights learn, and the residuals of old tasks."""
        for layer in self.layers.values():
            layer.weight.requires_grad_(True)
        for entry in self._all_entries():
            entry.restore()

    def parameters_of(self, task: Task) -> list[nn.Parameter]:
        """Return what ``task`` has alone, and the residuals and shared weights while it learns."""
        if task is not self.current:
            return super().parameters_of(task)
        own = [p for module in self.modules_of(task) for p in module.parameters()]
        old = [entry.residual for t in self.tasks[:-1] for entry in self.entries(t).values()]
        return [*self.shared_parameters(), *old, *own]

    @torch.no_grad()
    def hold(self) -> Held:
        """Return the weights of the old tasks as they are, for :meth:`penalty`."""
        held = {}
        for name, layer in self.layers.items():
            entries = [layer.tasks[task.name] for task in self.tasks[:-1]]
            if entries:
                masks = torch.stack([entry.mask_logits for entry in entries])
                residuals = torch.stack([entry.residual for entry in entries])
                held[name] = (masks, decomposed_weight(layer.weight, masks, residuals))
        return held

    def penalty(self, held: Held) -> Tensor:
        """Return sparsity, drift and decay (section 3.1)."""
        total = torch.zeros(())
        task = self.current
        for name, entry in (self.entries(task) if task is not None else {}).items():
            layer = self.layers[name]
            masks, weights = held.get(name, ((), ()))
            old = [layer.tasks[t.name].residual for t in self.tasks[:-1]]
            terms = decomposition_penalty(
                layer.weight,
                entry.mask_logits,
                entry.residual,
                masks,
                old,
                weights,
                l1=self.l1,
                drift=self.drift,
                weight_decay=self.weight_decay,
            )
            total = total.to(layer.weight) + sum(terms)
        return total

    # ------------------------------------------------------------------ between tasks

    @torch.no_grad()
    def consolidate(self) -> None:
        """Group the residuals of all tasks by layer, if it is time to (section 3.2).

        The number of groups grows with each time. Where the residuals of a group are near, the
        group keeps one value and its tasks none. A task alone in its group keeps its residual.
        """
        count = len(self.tasks)
        if not self.consolidate_every or count % self.consolidate_every or self.current is not None:
            return
        groups = min(self.groups * (count // self.consolidate_every), count)
        for layer in self.layers.values():
            entries = [layer.tasks[task.name] for task in self.tasks]
            residuals = torch.stack([e.full_residual() + layer.component(e) for e in entries])
            assigned = group_residuals(residuals, groups)
            components, rest = consolidate(residuals, assigned, spread=self.spread)
            layer.components = nn.ModuleDict()
            for entry, group, own, before in zip(
                entries, assigned.tolist(), rest, residuals, strict=True
            ):
                alone = int((assigned == group).sum()) == 1
                entry.group = None if alone else str(group)
                kept = before if alone else own.masked_fill(components[group] != 0, 0.0)
                entry.put(SparseTensor(kept))
                if not alone and entry.group not in layer.components:
                    layer.components[str(group)] = SparseTensor(components[group])
            layer.components.eval()


def group_residuals(residuals: Tensor, groups: int) -> Tensor:
    """Group tensors by k-means, whose seed comes from PyTorch's global generator.

    :param residuals: ``(T, ...)``.
    :param groups: how many groups; fewer if fewer tensors differ.
    :returns: ``(T,)``, the group of each, from 0 on.
    :raises UserError: for values that are not finite.
    """
    from sklearn.cluster import KMeans

    seed = int(torch.randint(2**31 - 1, ()))
    points = residuals.detach().flatten(1)
    distinct = len(torch.unique(points, dim=0))
    means = KMeans(min(groups, distinct), n_init=10, random_state=seed)
    found = means.fit_predict(_with_equal_distances(points).numpy())
    return torch.as_tensor(found, device=residuals.device).long()


def _with_equal_distances(points: Tensor) -> Tensor:
    """Return ``(T, T)`` points with the distances of ``(T, P)`` ones, which may be millions wide.

    :raises UserError: for values that are not finite.
    """
    gram = torch.zeros(len(points), len(points), dtype=torch.float64)
    for part in points.split(2**20, dim=1):
        centered = part.cpu().double()
        centered = centered - centered.mean(0)
        gram += centered @ centered.T
    if not bool(gram.isfinite().all()):
        raise UserError("the residuals of a layer are not finite: the training diverged")
    values, vectors = torch.linalg.eigh(gram)
    coordinates: Tensor = vectors * values.clamp(min=0).sqrt()
    return coordinates
