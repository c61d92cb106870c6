"""GPM as an Avalanche plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from avalanche.benchmarks.scenarios import OnlineCLExperience
from avalanche.models import MultiTaskModule
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cl_strategies.errors import UserError
from cl_strategies.plugins.projection.functional import project_out
from cl_strategies.plugins.projection.inputs import collect
from cl_strategies.plugins.projection.parts import ProjectedParts, projected_parts
from cl_strategies.plugins.task_layers.model import task_label
from cl_strategies.ranges import fraction, positive, whole


class GPMPlugin(SupervisedPlugin):
    """Keeps the steps of later tasks orthogonal to the inputs that layers had in earlier ones.

    After a task the inputs of each shared Linear and Conv2d layer on some training samples give
    new directions for the basis of the layer. In later tasks its gradient loses its part in the
    basis, and so does the step that the optimizer makes of it, unless that is a multiple of the
    gradient: moments, momentum and weight decay would leave the orthogonal complement. Biases
    and normalisations that tasks share are frozen after the first task, statistics included.
    The heads of a multi-head classifier are trained as they are.

    :param threshold: part of the squared norm of a layer's inputs that its basis holds after the
        first task; one number for all layers, or one for each projected layer in the order in which
        the model defines them (:meth:`check_layers` compares their number with a model's).
    :param increment: what each later task adds to ``threshold``, likewise; the sum ends at 1.
    :param samples: training samples per task to take inputs from.
    :ivar bases: orthonormal columns, ``(d, m)``, by the name of the layer.
    :raises UserError: for an option out of range.
    """

    def __init__(
        self,
        threshold: float | Sequence[float] = 0.97,
        *,
        increment: float | Sequence[float] = 0.003,
        samples: int = 125,
    ) -> None:
        super().__init__()
        self.threshold = per_layer("threshold", threshold)
        self.increment = per_layer("increment", increment)
        for value in self.threshold:
            positive(threshold=value)
        whole(1, samples=samples)
        self.samples = samples
        self.bases: dict[str, Tensor] = {}
        self.labels: list[int] = []
        self._shared: list[tuple[nn.Parameter, Tensor]] = []
        self._before: list[Tensor] = []

    def check_layers(self, model: nn.Module) -> None:
        """:raises UserError: unless each projected layer of ``model`` has one number."""
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

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: for a model that cannot be projected, or, where it has a head per
        task, an experience without a task label of its own.
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

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Statistics of normalisations are those of the first task."""
        if self.bases:
            for norm in projected_parts(strategy.model).norms.values():
                norm.eval()

    @torch.no_grad()
    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Project the gradients."""
        for weight, basis in self._shared:
            if weight.grad is not None:
                weight.grad.copy_(project_out(weight.grad, basis))
        exact = _steps_along_gradient(strategy.optimizer)
        self._before = [] if exact else [weight.detach().clone() for weight, _ in self._shared]

    @torch.no_grad()
    def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Project the step, where it is not a multiple of the gradient."""
        for (weight, basis), before in zip(self._shared, self._before, strict=False):
            weight.copy_(before + project_out(weight - before, basis))

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
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
        """Of each layer, for the task that ends now."""
        tasks = len(self.labels)
        given = (v * layers if len(v) == 1 else v for v in (self.threshold, self.increment))
        return [min(1.0, t + i * tasks) for t, i in zip(*given, strict=True)]

    def _batches(self, strategy: Any) -> Iterator[tuple[Any, ...]]:
        """Inputs, and task labels for a model that wants them, of samples drawn at random."""
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

    def _label(self, strategy: Any) -> int:
        if not isinstance(strategy.model, MultiTaskModule):
            return len(self.labels)
        return task_label(strategy.experience, "GPM")

    def _check_label(self, strategy: Any) -> None:
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
        """The bases and the labels of the learned tasks."""
        return {"bases": dict(self.bases), "labels": list(self.labels)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``."""
        self.bases, self.labels = dict(state["bases"]), list(state["labels"])


def per_layer(name: str, given: float | Sequence[float]) -> tuple[float, ...]:
    """A number for all layers as a tuple of one, or a number for each.

    :raises UserError: for an empty list, or anything but numbers from 0 to 1.
    """
    values = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not values:
        raise UserError(f"{name} is empty: give one number, or one for each layer")
    for value in values:
        fraction(**{name: value})
    return values


def _freeze(parts: ProjectedParts) -> None:
    for parameter in parts.frozen():
        parameter.requires_grad_(False)
        parameter.grad = None


def _steps_along_gradient(optimizer: Any) -> bool:
    """Whether each step is a multiple of the gradient: plain SGD."""
    return type(optimizer) is torch.optim.SGD and not any(
        group["momentum"] or group["weight_decay"] for group in optimizer.param_groups
    )
