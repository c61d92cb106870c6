"""The first experience at wider bit-widths before a run's own: ``train.bits_before``.

AlignQ's authors come to 2 bits by way of 32, 8, 4 and 3, each from the weights of the one before;
LifeQuant's to 4 by way of 32 and 8, on the first task. Every width has a strategy, an optimizer and
a schedule of its own; what goes from one to the next are the full-precision weights and the
statistics of normalizations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.quantization import OWN_BITS
from cl_strategies.experiment.config.run_config import ExperimentConfig, Named
from cl_strategies.experiment.setup.seeding import derive_seed, seed_everything
from cl_strategies.plugins.quantization.conversion import dequantize_model, quantized_layers
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.registry import registry

Weights = dict[str, Tensor]


def widths_before(config: ExperimentConfig, model: nn.Module) -> list[int]:
    """Return the widths of ``train.bits_before`` that are above the run's own, the widest first.

    :param model: of the strategy; there are none for one that is trained at full precision.
    """
    own = _widths(config)
    if not quantized_layers(model) or not set(OWN_BITS) <= set(own):
        return []
    return [bits for bits in config.train.bits_before if bits > min(own[name] for name in OWN_BITS)]


def at_width(config: ExperimentConfig, bits: int) -> ExperimentConfig:
    """Return the run with nothing quantized to fewer than ``bits``, at the rate of that width.

    At 32 bits a method that quantizes by itself has nothing to do, and what trains is its host, or
    fine-tuning.

    >>> config = ExperimentConfig.from_dict({
    ...     "benchmark": {"name": "split-digits"},
    ...     "strategy": {"name": "alignq", "weight_bits": 2, "first_bits": 8}})
    >>> wider = at_width(config, 4).strategy.options
    >>> wider["weight_bits"], wider["activation_bits"], wider["first_bits"]
    (4, 4, 8)
    """
    config = replace(config, train=config.train.at_width(bits))
    wider = {
        name: max(bits, value)
        for name, value in _widths(config).items()
        if name.endswith("_bits") and value is not None
    }
    full = min(wider[name] for name in OWN_BITS) == FULL_PRECISION
    if config.quantization is not None:
        quantization = None if full else replace(config.quantization, **wider)
        return replace(config, quantization=quantization)
    options = config.strategy.options
    plain = Named(config.strategy.name, {**options, **wider})
    return replace(config, strategy=_host(options) if full else plain)


def _host(options: Mapping[str, Any]) -> Named:
    name, _, settings = str(options.get("host", "naive")).partition(":")
    entry = registry("strategies")[name]
    return Named(name, entry.resolve_options(entry.parse_options(settings)))


def _widths(config: ExperimentConfig) -> dict[str, Any]:
    if config.quantization is not None:
        return config.quantization.to_table()
    return dict(config.strategy.options)


class StartingWeights(SupervisedPlugin):
    """Load weights when the first training begins, and the heads for it are there.

    :param weights: by name, at full precision.
    :param of: what they were trained in, for the message.
    """

    def __init__(self, weights: Weights, of: str) -> None:
        super().__init__()
        self._weights: Weights | None = weights
        self._of = of

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """:raises UserError: if the model has other parameters."""
        weights, self._weights = self._weights, None
        if weights is None:
            return
        try:
            strategy.model.load_state_dict(weights)
        except (RuntimeError, KeyError) as error:
            raise UserError(
                f"train.bits_before cannot hand the weights of {self._of} over to the next width: "
                f"the network of {type(strategy).__name__} holds something else when it begins "
                "than after its first experience; leave train.bits_before out"
            ) from error


def started_from(strategy: Any, weights: Weights, of: str) -> None:
    """Let the next training of ``strategy`` begin with ``weights``, before any of its plugins
    sees the model."""
    strategy.plugins.insert(0, StartingWeights(weights, of))


def forget_start(strategy: Any) -> None:
    """Take away what :func:`started_from` added: it is no part of the state of a run."""
    kept = [one for one in strategy.plugins if not isinstance(one, StartingWeights)]
    strategy.plugins[:] = kept


def train_before(
    config: ExperimentConfig,
    widths: Iterable[int],
    built: Callable[[ExperimentConfig], Any],
    train: Callable[[Any], None],
) -> tuple[Weights, str]:
    """Train the first experience at ``widths``, one after the other.

    :param built: from a configuration to a strategy that was not trained.
    :param train: trains a strategy on the first experience.
    :returns: the weights of the last, at full precision, and its name.
    :raises UserError: if the weights of one cannot be handed over to the next, or the strategy
        cannot be built at one.
    """
    weights: Weights = {}
    of = ""
    for bits in widths:
        strategy = built(at_width(config, bits))
        if of:
            started_from(strategy, weights, of)
        seed_everything(derive_seed(config.run.seed, "bits before", bits))
        train(strategy)
        weights, of = dict(dequantize_model(strategy.model).state_dict()), f"{bits} bits"
    return weights, of
