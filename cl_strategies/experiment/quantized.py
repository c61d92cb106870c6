"""The table ``[quantization]``: what makes the model of any strategy a low-bit one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.registry import check_fields, registry

if TYPE_CHECKING:
    from cl_strategies.plugins.quantization.plugin import QuantizationPlugin

#: Settings that a strategy which quantises by itself has as options of its own.
OWN_BITS = ("weight_bits", "activation_bits")


@dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """Which quantiser, and how many bits; see
    :class:`~cl_strategies.plugins.quantization.plugin.QuantizationPlugin` for the settings.

    :param quantizer: a registered name (``cl-strategies list quantisers``).
    :param options: options of that quantiser; in the table they stand beside the settings.
    :raises UserError: for a setting out of range.
    """

    quantizer: str = "lsq"
    weight_bits: int = 4
    activation_bits: int = 4
    skip: tuple[str, ...] = ()
    first_bits: int | None = None
    last_bits: int = 32
    depthwise_bits: int | None = None
    step_weight_decay: float | None = None
    step_lr: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from cl_strategies.plugins.quantization.bits import check_bits

        check_fields(self, "quantization")
        object.__setattr__(self, "skip", tuple(self.skip))
        for name in (*OWN_BITS, "last_bits", "first_bits", "depthwise_bits"):
            if (bits := getattr(self, name)) is not None:
                check_bits(bits, name=f"quantization.{name}")
        if not all(isinstance(pattern, str) for pattern in self.skip):
            raise UserError(f"quantization.skip is {list(self.skip)!r}: give patterns of names")
        for name in ("step_weight_decay", "step_lr"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 <= value < float("inf")):
                raise UserError(f"quantization.{name} is {value!r}: give a number from 0 up")

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> QuantizationConfig:
        """Check a table and fill in the defaults of its quantiser.

        :raises UserError: for an unknown quantiser or key, or a value that does not fit.
        """
        defaults = {f.name: f.default for f in fields(cls) if f.name != "options"}
        settings = {key: value for key, value in table.items() if key in defaults}
        entry = registry("quantisers")[settings.get("quantizer", defaults["quantizer"])]
        known = entry.defaults()
        given = {key: value for key, value in table.items() if key not in defaults}
        for key in given:
            if key not in known:
                raise unknown_name("key of [quantization]", key, [*defaults, *known])
        return cls(**settings, options=entry.resolve_options(given))

    def to_table(self) -> dict[str, Any]:
        """Plain data; :meth:`from_table` gives an equal config back."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "options"}
        return {**settings, "skip": list(self.skip), **self.options}

    def plugin(self) -> QuantizationPlugin:
        """A plugin that quantises as the table says."""
        from cl_strategies.plugins.quantization.plugin import QuantizationPlugin
        from cl_strategies.plugins.quantization.scheme import scheme

        settings = {key: value for key, value in vars(self).items() if key != "options"}
        return QuantizationPlugin(
            **{**settings, "quantizer": scheme(self.quantizer, **self.options)}
        )


def quantises_itself(strategy: str) -> bool:
    """Whether a strategy has bit-widths of its own, so that it needs no ``[quantization]``."""
    return set(OWN_BITS) <= set(registry("strategies")[strategy].defaults())
