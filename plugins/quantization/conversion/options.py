"""Hyper-parameters that everything which quantizes a model has in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge
from typing_extensions import Doc

from cl_strategies.validation.hyperparameters import OptionGroup, documented, parameters_of
from cl_strategies.validation.parameter import Since

#: Bit-widths of a tensor; 32 leaves it at full precision.
Bits = Literal[1, 2, 3, 4, 5, 6, 7, 8, 32]


@documented
@dataclass(frozen=True, kw_only=True)
class BitWidths(OptionGroup):
    """Bit-widths of a model, and the layers that keep full precision."""

    weight_bits: Annotated[Bits, Doc("Bits of the weights; 32 leaves them alone.")] = 4
    activation_bits: Annotated[Bits, Doc("Bits of the activations; 32 leaves them alone.")] = 4
    skip: Annotated[
        Sequence[str],
        Doc('Patterns of names of layers to leave at full precision, such as ``["stem.*"]``.'),
    ] = ()
    first_bits: Annotated[
        Bits | None,
        Doc(
            "Bits of the first layer's weights; ``None``: ``weight_bits``. LSQ's and APoT's papers "
            "use 8, DoReFa's and PACT's 32."
        ),
    ] = None
    last_bits: Annotated[
        Bits, Doc("Bits of the last layer's weights and input; 32 leaves it alone.")
    ] = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "skip", tuple(self.skip))


@documented
@dataclass(frozen=True, kw_only=True)
class LayerBits(BitWidths):
    """:class:`BitWidths`, with one of their own for depth-wise convolutions, and what becomes of
    BatchNorm."""

    depthwise_bits: Annotated[
        Bits | None,
        Doc(
            "Bits of depth-wise weights; ``None``: ``weight_bits``. 8 helps MobileNets, whose "
            "depth-wise layers have few weights."
        ),
    ] = None
    fold_norms: Annotated[
        bool,
        Doc(
            "Fold each BatchNorm into the layer before it before its weight is quantized, so that "
            "the weights of the deployed network are those that are trained. For networks that "
            "are trained already."
        ),
        Since("0.2"),
    ] = False


def written(options: OptionGroup) -> dict[str, Any]:
    """Return a group of options as plain data, without what came later and has its default."""
    known = parameters_of(type(options))
    return {
        name: value
        for name, value in vars(options).items()
        if not (name in known and known[name].since and value == known[name].default)
    }


@documented
@dataclass(frozen=True, kw_only=True)
class LearnedStepOptions(OptionGroup):
    """How the optimizer trains what quantizers learn: steps and clipping values."""

    step_weight_decay: Annotated[
        float | None,
        Ge(0),
        Doc("Weight decay of learned steps; ``None``: what the quantizer's paper uses."),
    ] = None
    step_lr: Annotated[
        float | None,
        Ge(0),
        Doc(
            "Learning rate of learned steps; ``None``: a tenth of that of the optimizer's first "
            "group."
        ),
    ] = None
