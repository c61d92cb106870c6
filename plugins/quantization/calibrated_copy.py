"""Training at full precision; what is evaluated is a quantized copy, calibrated from a memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from avalanche.training.plugins import SupervisedPlugin
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.quantization.calibration.calibrate import check_layers
from cl_strategies.plugins.quantization.calibration.options import CalibrationOptions
from cl_strategies.plugins.quantization.calibration.quantizer_grids import check_calibrates
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.options import LayerBits
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme, scheme
from cl_strategies.validation.hyperparameters import build_part, hyperparameters


def memory_of(strategy: Any) -> Any:
    """Return the first memory of exemplars of a strategy or one of its plugins; ``None`` without
    one."""
    found = (getattr(part, "storage_policy", None) for part in (strategy, *strategy.plugins))
    return next((memory for memory in found if isinstance(memory, ExemplarsBuffer)), None)


def evaluated_model(strategy: Any) -> nn.Module:
    """Return the network that an evaluation between two experiences is of: a quantized copy, if
    there is one, else ``strategy.model``."""
    copies = (getattr(part, "evaluated_model", None) for part in (strategy, *strategy.plugins))
    network: nn.Module = next((made for made in copies if made is not None), strategy.model)
    return network


def quantized_copy(network: nn.Module, **options: Any) -> nn.Module:
    """Return a quantized copy in evaluation mode.

    :param options: of
        :func:`~cl_strategies.plugins.quantization.conversion.convert.quantize_model`.
    :raises UserError: if the network cannot be quantized.
    """
    with evaluating(network):
        copied = copy.deepcopy(network)
    return quantize_model(copied, **options)


@hyperparameters
class CalibratedCopyPlugin(SupervisedPlugin):
    """Evaluate a quantized copy of the network, calibrated from the memory of the strategy.

    The network trains at full precision, as without this plugin. The first evaluation after an
    experience makes a copy, quantizes it and calibrates it from the exemplars that the strategy
    keeps; evaluations are of that copy until the next training. Before the first experience, and
    within one, the network itself is evaluated.

    Nothing is carried from one experience to the next: the copy follows from network and memory.

    :param quantizer: name of a scheme, or a scheme with options of its own: ``lsq`` (best with
        ``per_channel=True``), ``llsq`` or ``uniform``.
    :param example: a batch ``(N, ...)``, for a model whose code depends on values or shapes.
    :raises UserError: for an unknown scheme or one without grids to set, or an option out of its
        range.
    """

    parts: ClassVar[Any] = (LayerBits, CalibrationOptions)

    def __init__(
        self,
        *,
        quantizer: str | Scheme = "lsq",
        example: Tensor | None = None,
        **options: Any,
    ) -> None:
        bits: LayerBits = build_part(LayerBits, options)
        calibration: CalibrationOptions = build_part(CalibrationOptions, options)
        super().__init__(**options)
        self.scheme = scheme(quantizer)
        check_calibrates(self.scheme, calibration)
        self.settings: dict[str, Any] = {"quantizer": self.scheme, **vars(bits)}
        self.calibration = asdict(calibration)
        self.example = example
        self.trained = False
        self._checked = False
        self._copy: nn.Module | None = None
        self._network: nn.Module | None = None  # while the copy stands in for it
        self._watch: Any = None
        self._used = False

    @property
    def evaluated_model(self) -> nn.Module | None:
        """The copy; ``None`` before the first evaluation after a training."""
        return self._copy

    def quantize(self, model: nn.Module, *, example: Tensor | None = None) -> None:
        """Say before any training why a copy of ``model`` could not be quantized.

        :param example: a batch, if none was given before.
        :raises UserError: if it could not.
        """
        self.example = example if self.example is None else self.example
        made = quantized_copy(model, example=self.example, **self.settings)
        check_layers(made, CalibrationOptions(**self.calibration))
        self._checked = True

    def attach(self, strategy: TrainingStrategy) -> None:
        """:raises UserError: if ``strategy`` has no memory of exemplars."""
        if memory_of(strategy) is None:
            raise UserError(
                f"{type(strategy).__name__} keeps no exemplars to calibrate a quantized copy with: "
                "use a strategy with a memory, such as replay or compressed-replay, or quantize in "
                "training, without calibrate"
            )

    # ------------------------------------------------------------------ training

    def before_training(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._put_back(strategy)  # an evaluation may have been broken off
        self.attach(strategy)
        if not self._checked and not getattr(strategy, "wraps_model", False):
            self.quantize(strategy.model)
        self._copy = None

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.trained = True

    # ------------------------------------------------------------------ evaluation

    def before_eval(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Let the copy stand in for the network, between two experiences."""
        self._put_back(strategy)
        if strategy.experience is not None or not self.trained:
            return
        if self._copy is None:
            self._copy = self._calibrated(strategy)
        self._network, strategy.model = strategy.model, self._copy
        self._used = False
        self._watch = self._copy.register_forward_pre_hook(self._note)

    def after_eval(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the strategy has evaluated something else than its model."""
        stood_in = self._network is not None
        self._put_back(strategy)
        if stood_in and not self._used:
            raise UserError(
                f"{type(strategy).__name__} evaluates networks of its own, for which a quantized "
                "copy of its model cannot stand in: quantize in training, without calibrate"
            )

    def _note(self, module: nn.Module, inputs: Any) -> None:
        self._used = True

    def _put_back(self, strategy: Any) -> None:
        if self._network is not None:
            strategy.model, self._network = self._network, None
            self._watch.remove()

    def _calibrated(self, strategy: Any) -> nn.Module:
        memory = memory_of(strategy)
        if isinstance(memory, ByteBudgetBuffer):  # one from a checkpoint has no transforms
            for experience in list(strategy.current_eval_stream)[:1]:
                memory.use_transforms(experience.dataset)
        return quantized_copy(
            strategy.model,
            example=self.example,
            calibrate=memory,
            **self.settings,
            **self.calibration,
        )

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return whether there is something to make a copy of."""
        return {"trained": self.trained}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; the next evaluation makes the copy."""
        self.trained, self._copy = bool(state["trained"]), None
