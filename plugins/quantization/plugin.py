"""Quantization-aware training of any strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.protocols.training import OptimizingStrategy
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.layers import (
    learned_parameters,
    quantized_layers,
)
from cl_strategies.plugins.quantization.conversion.options import (
    LayerBits,
    LearnedStepOptions,
    written,
)
from cl_strategies.plugins.quantization.conversion.param_groups import keep_groups
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme, scheme
from cl_strategies.validation.hyperparameters import build_part, hyperparameters


@hyperparameters
class QuantizationPlugin(SupervisedPlugin):
    """Quantize the model of a strategy before its first training.

    The strategy then trains, evaluates and regularizes the quantized network; the parameters that
    it sees are the full-precision ones, under their old names. What quantizers learn joins the
    optimizer in groups of its own.

    A checkpoint of a quantized model can only be loaded into a quantized one: where that happens
    before the first training, use :func:`quantize_strategy`, or call :meth:`prepare` yourself.

    :param quantizer: name of a scheme, or a scheme with options of its own.
    :param example: a batch ``(N, ...)``, for a model whose code depends on values or shapes, so
        that the order of its layers cannot be read from it.
    :raises UserError: for an unknown scheme, or an option out of its range.
    """

    parts: ClassVar[Any] = (LayerBits, LearnedStepOptions)

    def __init__(
        self,
        *,
        quantizer: str | Scheme = "lsq",
        example: Tensor | None = None,
        **options: Any,
    ) -> None:
        bits: LayerBits = build_part(LayerBits, options)
        steps: LearnedStepOptions = build_part(LearnedStepOptions, options)
        super().__init__(**options)
        self.scheme = scheme(quantizer)
        self.settings: dict[str, Any] = written(bits)
        self.step_weight_decay = steps.step_weight_decay
        self.step_lr = steps.step_lr
        self.example = example
        self._layers: frozenset[str] = frozenset()

    def prepare(self, strategy: OptimizingStrategy) -> None:
        """Quantize the strategy's model and extend its optimizer, unless that is done.

        :raises UserError: if the model cannot be quantized, see
            :func:`~cl_strategies.plugins.quantization.conversion.convert.quantize_model`.
        """
        if self._layers:
            return
        self.quantize(strategy.model)
        self.attach(strategy)

    def quantize(self, model: nn.Module, *, example: Tensor | None = None) -> None:
        """Do the first half of :meth:`prepare`, for a model whose strategy is not built yet.

        :param example: a batch, if none was given before.
        :raises UserError: as :meth:`prepare`.
        """
        example = self.example if example is None else example
        quantize_model(model, quantizer=self.scheme, example=example, **self.settings)
        self._layers = frozenset(quantized_layers(model))

    def attach(self, strategy: OptimizingStrategy) -> None:
        """Do the second half: extend the optimizer, which must know nothing of quantizers yet."""
        if any(True for _ in learned_parameters(strategy.model)):
            keep_groups(strategy, weight_decay=self.step_weight_decay, lr=self.step_lr)

    def before_training(self, strategy: OptimizingStrategy, *args: Any, **kwargs: Any) -> None:
        self.prepare(strategy)

    def before_training_exp(self, strategy: OptimizingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if something replaced a quantized layer by another one."""
        lost = self._layers - set(quantized_layers(strategy.model))
        if lost:
            raise UserError(
                f"the layer {sorted(lost)[0]!r} is no longer quantized: the model replaced it, "
                "as classifiers that grow do; leave it at full precision with skip"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the settings: the state of the quantizers is in the model's."""
        settings = self.settings | {"skip": list(self.settings["skip"])}
        return {"quantizer": self.scheme.name, "settings": settings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if ``state`` is of another bit-width or another scheme."""
        mine = self.state_dict()
        if dict(state) != mine:
            raise UserError(
                f"the state is of {state.get('quantizer')} with {state.get('settings')}, and this "
                f"plugin is {mine['quantizer']} with {mine['settings']}: use the same settings"
            )


def quantize_strategy(
    strategy: OptimizingStrategy, plugin: QuantizationPlugin | None = None
) -> Any:
    """Make a finished strategy quantization-aware: before its first training or its checkpoint.

    :param strategy: any Avalanche strategy with a full-precision model.
    :param plugin: the plugin that quantizes it; ``None``: 4-bit LSQ.
    :returns: ``strategy``.
    :raises UserError: if its model cannot be quantized.
    """
    plugin = QuantizationPlugin() if plugin is None else plugin
    plugin.prepare(strategy)
    strategy.plugins.insert(0, plugin)
    return strategy
