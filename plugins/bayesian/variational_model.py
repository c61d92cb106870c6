"""A network with Gaussian weights, whose predictions are means over draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from annotated_types import Ge
from avalanche.models import MultiTaskModule
from torch import Generator, Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.bayesian.gaussian_conversion import (
    check_network,
    gaussian_layers,
    make_gaussian,
)
from cl_strategies.plugins.bayesian.gaussian_layers import GaussianLayer, Noise
from cl_strategies.plugins.classes.class_order import ABSENT
from cl_strategies.validation.hyperparameters import hyperparameters

#: From the logits of all draws ``(K N, C)`` and the task labels to logits.
Change = Callable[[Tensor, Any], Tensor]


@hyperparameters
class VariationalModel(nn.Module):
    """A network whose linear and convolutional layers have Gaussian weights.

    Called, it returns the logarithm of the mean of the class probabilities over draws of the
    weights, which is as good as logits. In evaluation mode the draws are always the same, so
    that they depend on nothing else and change nothing else. What is not known here is looked up
    in the network, so that its parts are found under their names.

    ``network`` is changed in place.

    :param network: with Linear or Conv2d layers; parameters of other modules, such as
        normalizations, stay numbers, and so do frozen ones.
    :ivar noise: what its layers share.
    :raises UserError: for a network without such layers, or with layers that share a parameter.
    """

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        train_samples: Annotated[
            int, Ge(1), Doc("Draws of the weights for each mini-batch in training.")
        ] = 10,
        test_samples: Annotated[int, Ge(1), Doc("Draws of the weights for a prediction.")] = 100,
        initial_log_variance: Annotated[
            float, Doc("Logarithm of the variance with which weights begin.")
        ] = -6.0,
    ) -> None:
        check_network(network)
        super().__init__()
        self.train_samples = train_samples
        self.test_samples = test_samples
        self.initial_log_variance = initial_log_variance
        self.noise = Noise()
        self.network = network
        self.training = network.training
        self._watch: tuple[Change, list[Tensor]] | None = None
        make_gaussian(network, self.noise, initial_log_variance)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "network" or name.startswith("__"):
                raise
            return getattr(self.network, name)

    @property
    def layers(self) -> dict[str, GaussianLayer]:
        """The layers with Gaussian weights, by name."""
        return gaussian_layers(self.network)

    def make_new_gaussian(self, before: dict[str, GaussianLayer]) -> None:
        """Give layers that an experience has brought Gaussian weights.

        :param before: :attr:`layers` as they were.
        """
        make_gaussian(self.network, self.noise, self.initial_log_variance, before=before)

    # ------------------------------------------------------------------ computing

    def forward(self, x: Tensor, task_labels: Any = None) -> Any:
        """Return the logarithm of the mean class probabilities.

        :param x: ``(N, ...)``.
        :param task_labels: ``(N,)``, or one for all, or ``None``; for a multi-task network only.
        :returns: ``(N, C)``; where a network returns a table of outputs, a table.
        """
        with self._drawing_from(None if self.training else _fixed_generator(x)):
            draws = self._draws(x, task_labels)
        if isinstance(draws, dict):
            return {task: mean_logits(values) for task, values in draws.items()}
        return mean_logits(draws)

    def draw(self, x: Tensor, task_labels: Any, samples: int, change: Change | None = None) -> Any:
        """Return the logits of ``samples`` draws of the weights, ``(K, N, C)``."""
        self.noise.called.clear()
        labels = task_labels
        if isinstance(labels, Tensor) and labels.ndim:
            labels = labels.repeat(samples)
        output = self.compute(x.repeat(samples, *[1] * (x.ndim - 1)), labels)
        if isinstance(output, dict):
            return {task: _stacked(values, samples) for task, values in output.items()}
        if change is not None:
            output = change(output, labels)
        return _stacked(output, samples)

    def compute(self, x: Tensor, task_labels: Any) -> Any:
        """Compute the network once."""
        return self.network(x)

    def _draws(self, x: Tensor, task_labels: Any) -> Any:
        """Draw as often as the mode says, no more at once than in training."""
        change, seen = (None, None) if self._watch is None else self._watch
        left = self.train_samples if self.training else self.test_samples
        left = 1 if self.noise.silent else left
        parts = []
        while left > 0:
            count = min(left, self.train_samples)
            parts.append(self.draw(x, task_labels, count, change))
            left -= count
        if isinstance(parts[0], dict):
            return {task: torch.cat([part[task] for part in parts]) for task in parts[0]}
        draws = torch.cat(parts)
        if seen is not None:
            seen.append(draws)
        return draws

    @contextmanager
    def watching(self, change: Change) -> Iterator[list[Tensor]]:
        """Within, each forward pass changes the logits of its draws and appends them to the list.

        :param change: such as ruling out classes that have not come, before probabilities are made.
        """
        seen: list[Tensor] = []
        self._watch = (change, seen)
        try:
            yield seen
        finally:
            self._watch = None

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Within, the network computes with the means."""
        self.noise.silent = True
        try:
            yield
        finally:
            self.noise.silent = False

    @contextmanager
    def _drawing_from(self, generator: Generator | None) -> Iterator[None]:
        kept, self.noise.generator = self.noise.generator, generator or self.noise.generator
        try:
            yield
        finally:
            self.noise.generator = kept


class VariationalMultiTaskModel(VariationalModel, MultiTaskModule):
    """The same for a network that is given task labels."""

    def adaptation(self, experience: Any) -> None:
        """Nothing of its own: the network is adapted as it is."""

    def compute(self, x: Tensor, task_labels: Any) -> Any:
        return self.network(x, task_labels)

    def forward_single_task(self, x: Tensor, task_label: int) -> Any:
        return self(x, task_label)


def mean_logits(draws: Tensor) -> Tensor:
    """Return the logarithm of the mean over draws of the softmax.

    :param draws: logits ``(K, N, C)``.
    :returns: ``(N, C)``: for one draw its logits; :data:`ABSENT` for a class that is absent from
        all.

    >>> mean_logits(torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])).exp()
    tensor([[0.5000, 0.5000]])
    """
    if len(draws) == 1:
        return draws[0]
    logs = torch.log_softmax(draws.float() if draws.dtype.itemsize < 4 else draws, 2)
    mean = (logs.logsumexp(0) - math.log(len(draws))).to(draws.dtype)
    return torch.where((draws <= ABSENT).all(0), ABSENT, mean)


def _stacked(output: Tensor, samples: int) -> Tensor:
    return output.view(samples, -1, *output.shape[1:])


def _fixed_generator(x: Tensor) -> Generator:
    return Generator(x.device).manual_seed(0)
