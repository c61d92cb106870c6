"""One dictionary of weight factors, and a selection from it for every task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.bayesian.factor_layers import FactoredConv2d, FactoredLinear
from cl_strategies.plugins.bayesian.factor_prior import EDGE, FactorPrior
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.task_tensors import Task
from cl_strategies.validation.hyperparameters import build_part, hyperparameters


@hyperparameters
class FactorModel(TaskModel):
    """The weights of every layer are made of factors, of which every task selects some.

    Factors that an earlier task uses it may use, too, but not change. A task also has
    normalizations and a head of its own; biases are made of factors. The selection is random while
    a task learns, with one sample for each step of the optimizer, and is replaced by its
    expectation in evaluation and in fine-tuning. See
    :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else it does.

    :param network: what it says there. Its weights are replaced by random factors.
    :ivar sticks: logarithms of c and d after the last task by layer, needed only to learn another.
    :ivar fine_tuning: whether the current task learns with the expected selection.
    :raises UserError: if the network cannot be divided, or for an option out of its range.
    """

    method: ClassVar[str] = "IBP-WF"
    parts: ClassVar[tuple[Callable[..., Any], ...]] = (FactorPrior,)
    kinds: ClassVar[Mapping[Any, Any]] = {nn.Linear: FactoredLinear, nn.Conv2d: FactoredConv2d}
    transient_attributes = (*TaskModel.transient_attributes, "_noise")

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        factors: Annotated[
            float,
            Gt(0),
            Doc(
                "Number of factors of a layer, relative to the smaller of its number of inputs "
                "(channels times area of the kernel) and of outputs."
            ),
        ] = 3.0,
        max_factors: Annotated[
            int,
            Ge(1),
            Doc(
                "Largest number of factors of a layer, but for layers whose smaller side is "
                "larger: they have as many factors as that."
            ),
        ] = 200,
        **options: Any,
    ) -> None:
        prior: FactorPrior = build_part(FactorPrior, options)
        super().__init__(network, **options)
        self.prior = prior
        self.sticks: dict[str, Tensor] = {}
        self.fine_tuning = False
        self._noise: Tensor | None = None
        for layer in self.layers.values():
            layer.divide(factors, max_factors, prior)

    # ------------------------------------------------------------------ tasks

    def begin_layers(self, task: Task) -> None:
        """Give every layer a use of the factors, that of the task before with new strengths."""
        before = self.tasks[-2].name if len(self.tasks) > 1 else None
        self.fine_tuning, self._noise = False, None
        for name, layer in self.layers.items():
            last = None if before is None else layer.tasks[before].logits
            logits = self.prior.logits(layer.factors) if last is None else last
            earlier = [layer.tasks[t.name] for t in self.tasks[:-1]]
            self._add_use(layer, task, logits, self.prior.strengths(layer.factors))
            sticks = self.sticks.get(name, self.prior.sticks(layer.factors))
            layer.begin(task.name, sticks, earlier, self.prior.threshold)

    def restore_layers(self, task: Task, saved: Mapping[str, Any]) -> None:
        """Give every layer a use of the factors, to be filled from a state."""
        for layer in self.layers.values():
            zeros = torch.zeros(layer.factors)
            self._add_use(layer, task, zeros, zeros)

    def _add_use(self, layer: Any, task: Task, logits: Tensor, strengths: Tensor) -> None:
        like = layer.weight.detach()
        layer.add(task.name, logits.to(like), strengths.to(like), self.prior.threshold)

    def parameters_of(self, task: Task) -> list[nn.Parameter]:
        """Return the shared factors, the sticks and what ``task`` has alone: all that it trains."""
        own = [p for module in self.modules_of(task) for p in module.parameters()]
        learning = task is self.current and not self.fine_tuning
        sticks = [layer.sticks for layer in self.layers.values() if learning]
        return [*self.shared_parameters(), *(s for s in sticks if s is not None), *own]

    def begin_fine_tuning(self) -> None:
        """Let the current task learn with the expected selection from now on."""
        self.fine_tuning, self._noise = True, None

    def finish(self) -> None:
        """Keep the sticks of the current task, and freeze it."""
        if self.current is not None:
            self.sticks = {
                name: layer.settle()
                for name, layer in self.layers.items()
                if layer.sticks is not None
            }
        self.fine_tuning, self._noise = False, None
        super().finish()

    # ------------------------------------------------------------------ a step

    def _compute(self, x: Tensor, label: int, cached: bool) -> Tensor:
        task, layers = self.current, list(self.layers.values())
        random = self.training and task is not None and task.label == label
        if not random or self.fine_tuning or not layers:
            return super()._compute(x, label, cached)
        logits = torch.cat([layer.tasks[str(label)].logits for layer in layers])
        selection = self.prior.selection(logits, self._drawn()[0]).sigmoid()
        parts = selection.split([layer.factors for layer in layers])
        for layer, part in zip(layers, parts, strict=True):
            layer.selection = part
        try:
            return super()._compute(x, label, cached)
        finally:
            for layer in layers:
                layer.selection = None

    def _drawn(self) -> Tensor:
        """Return the uniform noise of this step, ``(2, F)``, layer after layer."""
        if self._noise is None:
            layers = list(self.layers.values())
            noise = torch.rand(
                2, sum(layer.factors for layer in layers)
            )  # on every device the same
            self._noise = noise.mul_(1 - 2 * EDGE).add_(EDGE).to(layers[0].weight)
        return self._noise

    def divergence(self) -> Tensor | None:
        """Return the divergence between posterior and prior of the current task at the sample of
        this step, in nats; ``None`` where nothing is random."""
        task, layers = self.current, self.layers
        if task is None or self.fine_tuning or not layers:
            return None
        entries = self.entries(task).values()
        last = [self.sticks[name].to(layers[name].sticks) for name in layers if self.sticks]
        return self.prior.divergence(
            torch.cat([entry.logits for entry in entries]),
            torch.cat([entry.strength for entry in entries]),
            torch.cat([layer.sticks for layer in layers.values()], dim=1),
            torch.cat(last, dim=1) if last else None,
            self._drawn(),
            [layer.factors for layer in layers.values()],
        )

    def protect(self) -> None:
        """Clear the gradients of factors of earlier tasks, after each backward pass."""
        for layer in self.layers.values():
            layer.mask_gradient()

    def restore(self) -> None:
        """Restore the factors of earlier tasks and forget the sample, after each step of the
        optimizer."""
        for layer in self.layers.values():
            layer.undo()
        self._noise = None

    def used(self) -> dict[int, float]:
        """Return the fraction of the factors that each task uses, by label; 0 if there are none."""
        total = sum(layer.factors for layer in self.layers.values())
        found = {}
        for task in self.tasks:
            entries = self.entries(task).values()
            used = sum(int((e.probability() >= e.threshold).sum()) for e in entries)
            found[task.label] = used / max(1, total)
        return found
