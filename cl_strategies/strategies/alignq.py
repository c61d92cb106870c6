"""AlignQ (Chen, Yang, Chen, "AlignQ: Alignment Quantization with ADMM-based Correlation
Preservation", CVPR 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.optim import Optimizer

from cl_strategies.errors import unknown_name
from cl_strategies.plugins.quantization.admm import FORMS
from cl_strategies.plugins.quantization.alignq import AlignQScheme
from cl_strategies.plugins.quantization.correlation import CorrelationPlugin
from cl_strategies.plugins.quantization.plugin import QuantizationPlugin
from cl_strategies.strategies.base import Strategy
from cl_strategies.strategies.copies import own_copy


class AlignQ(Strategy):
    """Fine-tuning of a low-bit network whose levels are uniform in the normal distribution
    function, with the correlations between samples kept.

    A copy of ``model``, best one with a BatchNorm after each layer, is quantised and trained. There
    is no means against forgetting besides: combine it with a plugin that has. The authors train
    with SGD and a momentum of 0.9.

    :param weight_bits: 1 to 8, or 32.
    :param activation_bits: 1 to 8, or 32, which leaves no correlations to keep.
    :param levels: ``"exact"``: ``2**bits`` levels; ``"released"``: those of the authors' code with
        ADMM, which need one bit more.
    :param act_range: bound of the activations' levels.
    :param correlation: ``"textbook"``, ``"released"``, ``"penalty"`` (without dual variables) or
        ``"none"``.
    :param mu: weight of the change of the correlations.
    :param rho: penalty parameter of ADMM.
    :param measured_on: ``"aligned"``: correlations before rounding; ``"quantised"``: after it.
    :param skip: patterns of names of layers to leave alone.
    :param first_bits: bits of the first layer's weights; ``None``: ``weight_bits``.
    :param last_bits: bits of the last layer; 32 leaves it alone.
    :param example: a batch ``(N, ...)``, for a model whose code depends on values or shapes, so
        that the order of its layers cannot be read from it.
    :param template: arguments of every strategy, see
        :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: if the model cannot be quantised, or for options out of range.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        weight_bits: int = 4,
        activation_bits: int = 4,
        levels: str = "exact",
        act_range: float = 2.0,
        correlation: str = "textbook",
        mu: float = 0.2,
        rho: float = 0.3,
        measured_on: str = "aligned",
        skip: Sequence[str] = (),
        first_bits: int | None = None,
        last_bits: int = 32,
        example: Tensor | None = None,
        **template: Any,
    ) -> None:
        quantization = QuantizationPlugin(
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            quantizer=AlignQScheme(levels=levels, act_range=act_range),
            skip=skip,
            first_bits=first_bits,
            last_bits=last_bits,
            example=example,
        )
        own: list[SupervisedPlugin] = []
        if correlation != "none":
            if correlation not in FORMS:
                raise unknown_name("correlation", correlation, (*FORMS, "none"))
            own.append(CorrelationPlugin(correlation, mu=mu, rho=rho, measured_on=measured_on))
        model = own_copy(model, optimizer)
        super().__init__(method=[quantization, *own], model=model, optimizer=optimizer, **template)
        quantization.prepare(self)
