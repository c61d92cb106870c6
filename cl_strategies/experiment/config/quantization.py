"""The table ``[quantization]``: what makes the model of any strategy a low-bit one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from typing_extensions import Doc

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plugins.quantization.calibration.options import CalibrationOptions
from cl_strategies.plugins.quantization.conversion.options import (
    LayerBits,
    LearnedStepOptions,
    written,
)
from cl_strategies.registry import registry
from cl_strategies.validation.hyperparameters import documented

if TYPE_CHECKING:
    from cl_strategies.plugins.quantization.calibrated_copy import CalibratedCopyPlugin
    from cl_strategies.plugins.quantization.plugin import QuantizationPlugin

#: Settings of calibration, which are no part of a table without it.
_CALIBRATION = tuple(f.name for f in fields(CalibrationOptions))
#: Settings of training, which calibration does without.
_STEPS = tuple(f.name for f in fields(LearnedStepOptions))
#: Settings that a strategy which quantizes by itself has as options of its own.
OWN_BITS = ("weight_bits", "activation_bits")


@documented
@dataclass(frozen=True, kw_only=True)
class QuantizationConfig(LayerBits, LearnedStepOptions, CalibrationOptions):
    """Which quantizer, with the settings of
    :class:`~cl_strategies.plugins.quantization.plugin.QuantizationPlugin`, or with ``calibrate`` of
    :class:`~cl_strategies.plugins.quantization.calibrated_copy.CalibratedCopyPlugin`.

    :param options: options of that quantizer; in the table they stand beside the settings.
    :raises UserError: for a setting out of range.
    """

    table: ClassVar[str] = "quantization"

    quantizer: Annotated[
        str, Doc("Name of a quantizer, as ``cl-strategies list quantizers`` prints them.")
    ] = "lsq"
    calibrate: Annotated[
        Literal["memory"] | None,
        Doc(
            "Train at full precision, and evaluate a quantized copy that is calibrated from the "
            "strategy's memory of exemplars; ``None``: train quantized."
        ),
    ] = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        calibrates = self.calibrate is not None
        for name in _STEPS if calibrates else _CALIBRATION:
            if getattr(self, name) != getattr(type(self), name):
                why = "is of training" if calibrates else 'needs calibrate = "memory"'
                raise UserError(
                    f"quantization.{name} is {getattr(self, name)!r}, and does nothing here: it "
                    f"{why}; leave it out, or change calibrate"
                )

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> QuantizationConfig:
        """Check a table and fill in the defaults of its quantizer.

        :raises UserError: for an unknown quantizer or key, or a value that does not fit.
        """
        defaults = {f.name: f.default for f in fields(cls) if f.name != "options"}
        settings = {key: value for key, value in table.items() if key in defaults}
        entry = registry("quantizers")[settings.get("quantizer", defaults["quantizer"])]
        known = entry.defaults()
        given = {key: value for key, value in table.items() if key not in defaults}
        for key in given:
            if key not in known:
                raise unknown_name("key of [quantization]", key, [*defaults, *known])
        return cls(**settings, options=entry.resolve_options(given))

    def to_table(self) -> dict[str, Any]:
        """Return plain data; :meth:`from_table` gives an equal config back. What came later and
        does nothing is left out, as the hash of a run always was."""
        left_out = {"options", *(() if self.calibrate else (*_CALIBRATION, "calibrate"))}
        settings = {key: value for key, value in written(self).items() if key not in left_out}
        return {**settings, "skip": list(self.skip), **self.options}

    def plugin(self) -> QuantizationPlugin | CalibratedCopyPlugin:
        """Return a plugin that quantizes as the table says."""
        from cl_strategies.plugins.quantization.calibrated_copy import CalibratedCopyPlugin
        from cl_strategies.plugins.quantization.plugin import QuantizationPlugin
        from cl_strategies.plugins.quantization.quantizers.scheme import scheme

        unused = _STEPS if self.calibrate else _CALIBRATION
        left_out = {"options", "calibrate", "quantizer", *unused}
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}
        made = scheme(self.quantizer, **self.options)
        kind = CalibratedCopyPlugin if self.calibrate else QuantizationPlugin
        return kind(quantizer=made, **settings)


def quantizes_itself(strategy: str) -> bool:
    """Return whether a strategy has bit-widths of its own, so that it needs no
    ``[quantization]``."""
    return set(OWN_BITS) <= set(registry("strategies")[strategy].defaults())
