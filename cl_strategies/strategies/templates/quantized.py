"""The strategy around every method that quantizes the model itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.optim import Optimizer

from cl_strategies.plugins.quantization.conversion.options import BitWidths
from cl_strategies.plugins.quantization.plugin import QuantizationPlugin
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.strategies.templates.model_copy import own_copy
from cl_strategies.validation.hyperparameters import build_part


class QuantizedStrategy(Strategy):
    """Fine-tuning of a quantized copy of the model, with the plugins of a method.

    A method is a subclass with :meth:`make_parts`.

    :param model: the model, which stays as it is.
    :param optimizer: optimizer of the model's parameters; it trains the copy from then on.
    :param example: a batch ``(N, ...)``, for a model whose code depends on values or shapes, so
        that the order of its layers cannot be read from it.
    :param template: arguments of :class:`~cl_strategies.strategies.templates.base.Strategy`.
    :raises UserError: if the model cannot be quantized, or for an option out of its range.
    """

    parts: ClassVar[tuple[Callable[..., Any], ...]] = (BitWidths,)

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        example: Tensor | None = None,
        **template: Any,
    ) -> None:
        scheme, method = self.make_parts(template)
        bits: BitWidths = build_part(BitWidths, template)
        quantization = QuantizationPlugin(quantizer=scheme, example=example, **vars(bits))
        model = own_copy(model, optimizer)
        super().__init__(
            method=[quantization, *method], model=model, optimizer=optimizer, **template
        )
        quantization.prepare(self)

    def make_parts(self, options: dict[str, Any]) -> tuple[Scheme, tuple[SupervisedPlugin, ...]]:
        """Make the quantizers and the other plugins of the method.

        :param options: all that the constructor was given; what is used here is taken out.
        """
        raise NotImplementedError
