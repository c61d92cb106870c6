"""GPM as an Avalanche plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from avalanche.benchmarks.scenarios import OnlineCLExperience
from avalanche.models import MultiTaskModule
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.projection.functional import project_out
from cl_strategies.plugins.projection.layer_inputs import collect
from cl_strategies.plugins.projection.projected_layers import ProjectedParts, projected_parts
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.task_layers.model import task_label
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters
class GPMPlugin(SupervisedPlugin):
    """Keep the steps of later tasks orthogonal to the inputs that layers had in earlier ones.

    After a task the inputs of each shared Linear and Conv2d layer on some training samples give
    new directions for the basis of the layer. In later tasks its gradient loses its part in the
    basis, and so does the step that the optimizer makes of it, unless that is a multiple of the
    gradient: moments, momentum and weight decay would leave the orthogonal complement. Biases
    and normalizations that tasks share are frozen after the first task, statistics included.
    The heads of a multi-head classifier are trained as they are.

    The numbers of ``threshold`` and ``increment`` may be lists, with one number for each projected
    layer in the order in which the model defines them; :meth:`check_layers` compares their length
    with a model.

    :ivar bases: orthonormal columns, ``(d, m)``, by the name of the layer.
    :raises UserError: for an option out of its range.
    """

    first_by_position: ClassVar[str] = "threshold"

    def __init__(
        self,
        *,
        threshold: Annotated[
            float | Sequence[float],
            Gt(0),
            Le(1),
            Doc(
                "Fraction of the squared norm of a layer's inputs that its basis holds after the "
                "first task; one number, or one for each projected layer."
            ),
            Equation("Eq. 5"),
        ] = 0.97,
        increment: Annotated[
            float | Sequence[float],
            Ge(0),
            Le(1),
            Doc(
                "What each later task adds to ``threshold``; one number, or one for each "
                "projected layer. The sum ends at 1."
            ),
        ] = 0.003,
        samples: Annotated[
            int, Ge(1), Doc("Number of training samples of each task to take inputs from.")
        ] = 125,
    ) -> None:
        super().__init__()
        self.threshold = _per_layer("threshold", threshold)
        self.increment = _per_layer("increment", increment)
        self.samples = samples
        self.bases: dict[str, Tensor] = {}
        self.labels: list[int] = []
        self._shared: list[tuple[nn.Parameter, Tensor]] = []
        self._before: list[Tensor] = []

    def check_layers(self, model: nn.Module) -> None:
        """Check that ``threshold`` and ``increment`` fit the layers of ``model``.

        :raises UserError: unless there is one number for all layers, or one for each.
        """
        for name, values in (("threshold", self.threshold), ("increment", self.increment)):
            if len(values) > 1:
                layers = list(projected_parts(model).layers)
                if len(values) != len(layers):
                    raise UserError(
                        f"{name} has {len(values)} numbers, and GPM projects {len(layers)} layers "
                        f"of the model ({', '.join(layers)}): give one number for each, in this "
                        "order, or a single one for all"
                    )

    # ------------------------------------------------------------------ training

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Prepare the projection of the layers that have a basis.

        :raises UserError: for a model that cannot be projected, or, if it has a head per task, an
            experience without a task label of its own.
        """
        parts = projected_parts(strategy.model)
        self.check_layers(strategy.model)
        self._check_label(strategy)
        self._shared = [
            (layer.weight, self.bases[name].to(layer.weight))
            for name, layer in parts.layers.items()
            if name in self.bases
        ]
        if self.bases:
            _freeze(parts)

    def before_training_epoch(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Keep the statistics of normalizations that the first task had."""
        if self.bases:
            for norm in projected_parts(strategy.model).norms.values():
                norm.eval()

    @torch.no_grad()
    def before_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Project the gradients."""
        for weight, basis in self._shared:
            if weight.grad is not None:
                weight.grad.copy_(project_out(weight.grad, basis))
        exact = _steps_along_gradient(strategy.optimizer)
        self._before = [] if exact else [weight.detach().clone() for weight, _ in self._shared]

    @torch.no_grad()
    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Project the step, where it is not a multiple of the gradient."""
        for (weight, basis), before in zip(self._shared, self._before, strict=False):
            weight.copy_(before + project_out(weight - before, basis))

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Extend the bases by the inputs of the task."""
        parts = projected_parts(strategy.model)
        found = collect(strategy.model, parts.layers, self._batches(strategy))
        for (name, representation), threshold in zip(
            found.items(), self._thresholds(len(found)), strict=True
        ):
            basis = representation.extend(self.bases.get(name), threshold)
            self.bases[name] = basis.to(parts.layers[name].weight)
        self.labels.append(self._label(strategy))
        _freeze(parts)
        self._shared, self._before = [], []

    def _thresholds(self, layers: int) -> list[float]:
        """Return the threshold of each layer for the task that ends now."""
        tasks = len(self.labels)
        given = (v * layers if len(v) == 1 else v for v in (self.threshold, self.increment))
        return [min(1.0, t + i * tasks) for t, i in zip(*given, strict=True)]

    def _batches(self, strategy: TrainingStrategy) -> Iterator[tuple[Any, ...]]:
        """Yield inputs, and task labels if the model wants them, of samples drawn at random."""
        dataset = strategy.experience.dataset.eval()
        drawn = torch.randperm(len(dataset))[: self.samples].tolist()
        loader = DataLoader(
            dataset.subset(drawn),
            batch_size=strategy.eval_mb_size,
            collate_fn=getattr(dataset, "collate_fn", None),
        )
        with_labels = isinstance(strategy.model, MultiTaskModule)
        for batch in loader:
            x = batch[0].to(strategy.device)
            yield (x, batch[-1].to(strategy.device)) if with_labels else (x,)

    def _label(self, strategy: TrainingStrategy) -> int:
        if not isinstance(strategy.model, MultiTaskModule):
            return len(self.labels)
        return task_label(strategy.experience, "GPM")

    def _check_label(self, strategy: TrainingStrategy) -> None:
        label = self._label(strategy)
        with_heads = isinstance(strategy.model, MultiTaskModule)
        if with_heads and isinstance(strategy.experience, OnlineCLExperience):
            raise UserError(
                "GPM with a head per task learns a task in one experience, and this experience is "
                "a part of one: train on the stream that split_online_stream was given"
            )
        if label in self.labels:
            raise UserError(
                f"task label {label} was already learned: with a head per task GPM needs a label "
                "of its own for every experience (a task-incremental stream), or a model with one "
                "head"
            )

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the bases and the labels of the learned tasks."""
        return {"bases": dict(self.bases), "labels": list(self.labels)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``."""
        self.bases, self.labels = dict(state["bases"]), list(state["labels"])


def _per_layer(name: str, given: float | Sequence[float]) -> tuple[float, ...]:
    """Return a number for all layers as a tuple of one, or a number for each.

    :raises UserError: for an empty list.
    """
    values = tuple(given) if isinstance(given, Sequence) else (given,)
    if not values:
        raise UserError(f"{name} is empty: give one number, or one for each layer")
    return values


def _freeze(parts: ProjectedParts) -> None:
    for parameter in parts.frozen():
        parameter.requires_grad_(False)
        parameter.grad = None


def _steps_along_gradient(optimizer: Any) -> bool:
    """Return whether each step is a multiple of the gradient, as with plain SGD."""
    return type(optimizer) is torch.optim.SGD and not any(
        group["momentum"] or group["weight_decay"] for group in optimizer.param_groups
    )
