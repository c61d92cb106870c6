"""The strategy around every method that quantizes a trained network without its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from avalanche.models import MultiTaskModule
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import Doc

from cl_strategies.plugins.data_free.batch_norm import check_batch_norm
from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.quantization.calibrated_copy import quantized_copy
from cl_strategies.plugins.quantization.conversion.options import BitWidths
from cl_strategies.plugins.quantization.quantizers.uniform import Uniform
from cl_strategies.strategies.templates.adaptation import WHOLE, host_plugins
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.validation.hyperparameters import build_part


class DataFreeStrategy(Strategy):
    """Fine-tuning at full precision; after each experience a quantized copy is made without data.

    A method is a subclass with :meth:`fit`. The copy has min-max weights per channel and
    activations with fixed ranges; :meth:`eval` between two experiences evaluates it, and the
    network itself trains on, as that of :class:`~cl_strategies.strategies.naive.Naive`. Before the
    first experience, and within one, the network itself is evaluated.

    :ivar quantized: the copy; ``None`` before the first experience is over.
    :param model: a network that a method can make images for.
    :param example: a batch ``(N, ...)``, for a model whose code depends on values or shapes, so
        that the order of its layers cannot be read from it.
    :param template: arguments of :class:`~cl_strategies.strategies.templates.base.Strategy`.
    :raises UserError: if the model cannot be quantized or lacks what the method needs, or for an
        option out of its range.
    """

    parts: ClassVar[tuple[Callable[..., Any], ...]] = (BitWidths, host_plugins)
    model: nn.Module

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        example: Tensor | None = None,
        images: Annotated[int, Ge(2), Doc("Images made at a time.")] = 32,
        input_mean: Annotated[
            float, Doc("Mean of the values that the network takes; 0 for normalized images.")
        ] = 0.0,
        input_deviation: Annotated[
            float, Gt(0), Doc("Standard deviation of these values; 1 for normalized images.")
        ] = 1.0,
        **template: Any,
    ) -> None:
        bits: BitWidths = build_part(BitWidths, template)
        if host := build_part(host_plugins, template):
            self.needs_whole_experiences = WHOLE  # type: ignore[misc]
        self.settings = {"quantizer": Uniform(), "example": example, **vars(bits)}
        self.images = images
        self.scale = {"mean": input_mean, "deviation": input_deviation}
        self.check_network(model)
        quantized_copy(model, **self.settings)  # which says before any training why it cannot be
        self.quantized: nn.Module | None = None
        self._like: Tensor = torch.empty(0)
        super().__init__(model=model, optimizer=optimizer, method=[*host], **template)

    def check_network(self, network: nn.Module) -> None:
        """:raises UserError: if the method can make no images for ``network``."""
        check_batch_norm(network, type(self).__name__)

    def fit(self, student: nn.Module, trained: Trained) -> None:
        """Set the ranges of a fresh quantized copy, and train it if the method does.

        :param student: the copy, in evaluation mode, as are the networks of ``trained``.
        :param trained: the trained network.
        """
        raise NotImplementedError

    @property
    def evaluated_model(self) -> nn.Module:
        """The network that :meth:`eval` evaluates now."""
        within = self.experience is not None
        return self.model if within or self.quantized is None else self.quantized

    # ------------------------------------------------------------------ training

    def _before_forward(self, **kwargs: Any) -> None:
        x = self.mb_x
        if x.shape[1:] != self._like.shape[1:] or x.dtype != self._like.dtype:
            self._like = x.new_empty((0, *x.shape[1:]))
        super()._before_forward(**kwargs)

    def _after_training_exp(self, **kwargs: Any) -> None:
        # After the plugins, which may put back an earlier state of the network.
        super()._after_training_exp(**kwargs)
        devices = [self.device] if self.device.type == "cuda" else []
        # What is drawn here is not missing in the training: the network stays that of naive.
        with torch.random.fork_rng(devices=devices), evaluating(self.model):
            student = quantized_copy(self.model, **self.settings)
            self.fit(student, self._trained())
        self.quantized = student

    def _trained(self) -> Trained:
        tasks: dict[int, list[int]] = {}
        if isinstance(self.model, MultiTaskModule):
            lines = self.seen_classes.state_dict()["seen"].split("\n")
            tasks = {task: self.seen_classes.seen(task) for task, line in enumerate(lines) if line}
        known = tasks or {0: self.seen_classes.seen()}
        return Trained(self.model, self._like, known, self.seen_classes.rule_out, **self.scale)

    # ------------------------------------------------------------------ evaluation

    def eval(self, experiences: Any, **kwargs: Any) -> Any:
        """As Avalanche's, of :attr:`evaluated_model`."""
        trained = self.model
        self.model = self.evaluated_model
        try:
            return super().eval(experiences, **kwargs)
        finally:
            self.model = trained

    # ------------------------------------------------------------------ state

    def method_state_dict(self) -> dict[str, Any]:
        """Return the tensors of the quantized copy."""
        made = self.quantized
        return {"quantized": {} if made is None else dict(made.state_dict())}

    def load_method_state_dict(self, state: Mapping[str, Any], experiences: Sequence[Any]) -> None:
        """Adapt the network to ``experiences``, and make the copy that there was."""
        self.is_training = True
        self.model.train()
        for self.experience in experiences:
            self.model = self.model_adaptation()
        self.is_training, self.experience = False, None
        if state["quantized"]:
            self.quantized = quantized_copy(self.model, **self.settings)
            self.quantized.load_state_dict(state["quantized"])
