"""Quantisation-aware training of any strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.bits import FULL_PRECISION
from cl_strategies.plugins.quantization.convert import quantize_model
from cl_strategies.plugins.quantization.grouping import keep_groups, learned_parameters
from cl_strategies.plugins.quantization.layers import quantized_layers
from cl_strategies.plugins.quantization.scheme import Scheme, scheme


class QuantizationPlugin(SupervisedPlugin):
    """Quantises the model of a strategy before its first training.

    The strategy then trains, evaluates and regularises the quantised network; the parameters that
    it sees are the full-precision ones, under their old names. What quantisers learn joins the
    optimizer in groups of its own.

    A checkpoint of a quantised model can only be loaded into a quantised one: where that happens
    before the first training, use :func:`quantize_strategy`, or call :meth:`prepare` yourself.

    :param weight_bits: 1 to 8, or 32.
    :param activation_bits: 1 to 8, or 32.
    :param quantizer: name of a scheme, or a scheme.
    :param skip: patterns of names of layers to leave alone.
    :param first_bits: bits of the first layer's weights; ``None``: ``weight_bits``.
    :param last_bits: bits of the last layer; 32 leaves it alone.
    :param depthwise_bits: bits of depth-wise weights; ``None``: ``weight_bits``.
    :param step_weight_decay: weight decay of learned steps; ``None``: what the quantiser's paper
        uses.
    :param step_lr: their learning rate; ``None``: a tenth of that of the optimizer's first group.
    :param example: a batch ``(N, ...)``, for a model whose code depends on values or shapes, so
        that the order of its layers cannot be read from it.
    :raises UserError: for an unknown scheme.
    """

    def __init__(
        self,
        *,
        weight_bits: int = 4,
        activation_bits: int = 4,
        quantizer: str | Scheme = "lsq",
        skip: Sequence[str] = (),
        first_bits: int | None = None,
        last_bits: int = FULL_PRECISION,
        depthwise_bits: int | None = None,
        step_weight_decay: float | None = None,
        step_lr: float | None = None,
        example: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.scheme = scheme(quantizer)
        self.settings: dict[str, Any] = {
            "weight_bits": weight_bits,
            "activation_bits": activation_bits,
            "skip": skip if isinstance(skip, str) else tuple(skip),
            "first_bits": first_bits,
            "last_bits": last_bits,
            "depthwise_bits": depthwise_bits,
        }
        self.step_weight_decay = step_weight_decay
        self.step_lr = step_lr
        self.example = example
        self._layers: frozenset[str] = frozenset()

    def prepare(self, strategy: Any) -> None:
        """Quantise the strategy's model and extend its optimizer, unless that is done.

        :raises UserError: if the model cannot be quantised, see
            :func:`~cl_strategies.plugins.quantization.convert.quantize_model`.
        """
        if self._layers:
            return
        self.quantize(strategy.model)
        self.attach(strategy)

    def quantize(self, model: nn.Module, *, example: Tensor | None = None) -> None:
        """The first half of :meth:`prepare`, for a model whose strategy is not built yet.

        :param example: a batch, if none was given before.
        :raises UserError: as :meth:`prepare`.
        """
        example = self.example if example is None else example
        quantize_model(model, quantizer=self.scheme, example=example, **self.settings)
        self._layers = frozenset(quantized_layers(model))

    def attach(self, strategy: Any) -> None:
        """The second half: extend the optimizer, which must know nothing of quantisers yet."""
        if any(True for _ in learned_parameters(strategy.model)):
            keep_groups(strategy, weight_decay=self.step_weight_decay, lr=self.step_lr)

    def before_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.prepare(strategy)

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if something replaced a quantised layer by another one."""
        lost = self._layers - set(quantized_layers(strategy.model))
        if lost:
            raise UserError(
                f"the layer {sorted(lost)[0]!r} is no longer quantised: the model replaced it, "
                "as classifiers that grow do; leave it at full precision with skip"
            )

    def state_dict(self) -> dict[str, Any]:
        """The settings: the state of the quantisers is in the model's."""
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


def quantize_strategy(strategy: Any, plugin: QuantizationPlugin | None = None) -> Any:
    """Make a finished strategy quantisation-aware: before its first training or its checkpoint.

    :param strategy: any Avalanche strategy with a full-precision model.
    :param plugin: what to do; ``None``: 4-bit LSQ.
    :returns: ``strategy``.
    :raises UserError: if its model cannot be quantised.
    """
    plugin = QuantizationPlugin() if plugin is None else plugin
    plugin.prepare(strategy)
    strategy.plugins.insert(0, plugin)
    return strategy
