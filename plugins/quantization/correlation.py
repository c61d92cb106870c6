"""AlignQ's ADMM correlation preservation as a plugin (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.loss_terms.loss_term import LossTermPlugin
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.quantization.functional.admm import (
    CorrelationForm,
    admm_loss,
    admm_update,
    correlation,
)
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION, continuous
from cl_strategies.plugins.quantization.quantizers.alignq import Alignment, AlignQActivation
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer
from cl_strategies.validation.hyperparameters import (
    OptionGroup,
    build_part,
    documented,
    hyperparameters,
)
from cl_strategies.validation.parameter import Since, ValueAlias


@documented
@dataclass(frozen=True, kw_only=True)
class CorrelationOptions(OptionGroup):
    """How the change of the correlations is measured and weighted (Sec. 3.2)."""

    strength: Annotated[
        float | None,
        Ge(0),
        Doc(
            "Factor of the whole term. ``None``: 1, and 0.0001 for the strategy AlignQ under DSAN, "
            "where 1 ends with the same answer for every image; the authors have 0.3 / B^2 there, "
            "for batches of B."
        ),
        Since("0.2"),
    ] = None
    mu: Annotated[float, Ge(0), Doc("Weight of the change of the correlations.")] = 0.2
    rho: Annotated[float, Gt(0), Doc("Penalty parameter of ADMM.")] = 0.3
    measured_on: Annotated[
        Literal["aligned", "quantized"],
        ValueAlias("quantised", "quantized"),
        Doc(
            '``"aligned"``: correlations of the output before rounding, as released, which only '
            'AlignQ\'s quantizers have; ``"quantized"``: of the output itself.'
        ),
    ] = "aligned"


class CorrelationState(nn.Module):
    """The auxiliary and the dual variable of one activation quantizer, as buffers.

    Entry ``(i, j)`` belongs to the places ``i`` and ``j`` of a batch. The matrices grow with the
    largest batch; a smaller batch uses and changes their upper left block.

    :param form: ``"textbook"`` starts at zero, ``"released"`` at random, uniform on [0, 1].
    """

    auxiliary: Tensor
    dual: Tensor

    def __init__(self, form: CorrelationForm) -> None:
        super().__init__()
        self.form = form
        self.register_buffer("auxiliary", torch.zeros(0, 0))
        self.register_buffer("dual", torch.zeros(0, 0))

    def block(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the variables for a batch whose correlations are ``like``: views of the state."""
        size = len(like)
        if size > len(self.dual) or self.dual.device != like.device:
            for name in ("auxiliary", "dual"):
                old = getattr(self, name)
                shape = (max(size, len(old)),) * 2
                new = torch.rand(shape) if self.form == "released" else torch.zeros(shape)
                new[: len(old), : len(old)] = old
                setattr(self, name, new.to(like))
        return self.auxiliary[:size, :size], self.dual[:size, :size]

    @torch.no_grad()
    def step(self, difference: Tensor, *, mu: float, rho: float) -> None:
        """Make one ADMM step with the change of the correlations in a batch."""
        auxiliary, dual = self.block(difference)
        new_auxiliary, new_dual = admm_update(difference, auxiliary, dual, mu=mu, rho=rho)
        auxiliary.copy_(new_auxiliary)
        dual.copy_(new_dual)


@hyperparameters
class CorrelationPlugin(LossTermPlugin):
    """Keep the correlations between the samples of a batch while activations are quantized.

    For each activation quantizer the change ``D`` of the correlations (between the quantizer's
    input and its output) enters the loss, and after each step of the optimizer one closed-form step
    of ADMM follows. Quantizers other than AlignQ's take ``measured_on="quantized"``. Where several
    batches go through the network for one step, as in domain adaptation, each counts. Evaluation is
    left alone.

    Batches are shuffled, so a dual variable meets another pair of samples in every batch; the
    form ``"penalty"`` needs none.

    :raises UserError: for an option out of its range.
    """

    parts: ClassVar[Any] = (CorrelationOptions,)

    def __init__(
        self,
        *,
        form: Annotated[
            CorrelationForm,
            Doc(
                '``"textbook"``: the augmented Lagrangian; ``"released"``: the authors\' code; '
                '``"penalty"``: without dual variables.'
            ),
        ] = "textbook",
        **options: Any,
    ) -> None:
        settings: CorrelationOptions = build_part(CorrelationOptions, options)
        super().__init__(**options)
        self.form = form
        self.mu, self.rho, self.measured_on = settings.mu, settings.rho, settings.measured_on
        self.strength = 1.0 if settings.strength is None else settings.strength
        self.states: dict[str, CorrelationState] = {}
        self._hooks: list[Any] = []
        self._differences: list[tuple[str, Tensor]] = []

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the model has no activation quantizer to watch."""
        self._release()
        for name, module in strategy.model.named_modules():
            if self._watches(module):
                if self.form != "penalty":
                    self.states.setdefault(name, CorrelationState(self.form))
                self._hooks.append(module.register_forward_hook(self._observer(name)))
        if not self._hooks:
            raise UserError(
                "the model has no activations quantized by AlignQ, whose correlations could be "
                "kept: quantize it with quantizer='alignq' and fewer than 32 activation bits, or "
                "give measured_on='quantized' for those of another quantizer"
            )

    def _watches(self, module: nn.Module) -> bool:
        if isinstance(module, Alignment):  # not the quantizer around it, which normalizes before
            return module.bits != FULL_PRECISION
        return (
            self.measured_on == "quantized"
            and isinstance(module, ActivationQuantizer)
            and not isinstance(module, AlignQActivation)
            and module.bits != FULL_PRECISION
        )

    def _observer(self, name: str) -> Any:
        def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            (x,) = inputs
            if not module.training or not torch.is_grad_enabled() or x.numel() == 0:
                return
            if self.measured_on == "aligned":
                with continuous():
                    # not through module(): that would call this hook again
                    output = module.forward(x)
            self._differences.append((name, correlation(output) - correlation(x)))

        return observe

    def before_forward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._differences = []

    def loss_term(self, strategy: TrainingStrategy) -> Tensor | None:
        """Return what the changes of the current mini-batch add to the loss."""
        total: Tensor | None = None
        for name, difference in self._differences:
            auxiliary = dual = difference.detach()
            if self.form != "penalty":
                auxiliary, dual = self.states[name].block(auxiliary)
            loss = admm_loss(difference, auxiliary, dual, mu=self.mu, rho=self.rho, form=self.form)
            total = self.strength * loss if total is None else total + self.strength * loss
        return total

    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        if self.form != "penalty":
            for name, difference in self._differences:
                self.states[name].step(difference.detach(), mu=self.mu, rho=self.rho)
        self._differences = []

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._release()

    def _release(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._differences = []

    def state_dict(self) -> dict[str, Any]:
        """Return the form, and both variables of each quantizer."""
        states = {
            name: {key: value.clone() for key, value in state.state_dict().items()}
            for name, state in self.states.items()
        }
        return {"form": self.form, "states": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is of another form."""
        if state["form"] != self.form:
            raise UserError(
                f"the state is of the form {state['form']!r} and this plugin of {self.form!r}: "
                "load it into the form that saved it"
            )
        self.states = {}
        for name, buffers in state["states"].items():
            self.states[name] = CorrelationState(self.form)
            for key, value in buffers.items():
                setattr(self.states[name], key, value.clone())
