"""A scheme: which quantizer weights and activations get, and where the latter stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer, WeightQuantizer
from cl_strategies.plugins.quantization.quantizers.catalog import ENTRIES
from cl_strategies.registry import registry
from cl_strategies.validation.hyperparameters import hyperparameters

Signed = Annotated[
    bool | None,
    Doc(
        "Whether activations have both signs; ``None``: as the code of the network says, as after "
        "ReLU or SiLU, and where it does not, as in the first training batch."
    ),
]


class Scheme:
    """One row of the registry: a name, and how to make its quantizers.

    The keyword arguments of a subclass are the options that a user may set.
    """

    name: ClassVar[str]
    normalized: ClassVar[bool] = False
    """Activations: ``False``: at the input of each quantized layer but the first. ``True``: after
    each BatchNorm, and after each layer that has none around it, normalized first."""

    #: Classes and functions that take some of the options: :func:`build_part` hands them over.
    parts: ClassVar[tuple[Callable[..., Any], ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hyperparameters(cls)

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> WeightQuantizer:
        """Make a quantizer of weights.

        :param bits: bit-width from 1 to 8, or 32 for full precision.
        :param shape: shape of the weights, output channels first.
        :param rescale: whether to give the weights their magnitude back, as no normalization
            follows.
        """
        raise NotImplementedError

    def activation(
        self, bits: int, *, features: int | None, channel: int = 1
    ) -> ActivationQuantizer:
        """Make a quantizer of activations.

        :param bits: bit-width from 1 to 8, or 32 for full precision.
        :param features: number of channels of activations that must be normalized first; ``None``:
            they are, or the scheme does not need it.
        :param channel: dimension of those channels; -1 after a linear layer, -3 after a
            convolution.
        """
        raise NotImplementedError


class SignedScheme(Scheme):
    """A scheme whose activations have one form for both signs and one for values from zero up."""

    def __init__(self, *, signed: Signed = None) -> None:
        self.signed = signed


#: Name -> where its :class:`Scheme` is.
SCHEMES: Mapping[str, str] = {entry.name: entry.factory for entry in ENTRIES}


def scheme(quantizer: str | Scheme, **options: Any) -> Scheme:
    """Return the scheme of that name, or ``quantizer`` itself.

    :param quantizer: a registered name (``cl-strategies list quantizers``), or a scheme, which has
        its options already.
    :param options: options of the named scheme; the others keep their defaults.
    :raises UserError: for an unknown name or option, or something that is no scheme.
    """
    if isinstance(quantizer, Scheme):
        if options:
            raise UserError(
                f"{quantizer.name} is a finished scheme and takes no more options, but "
                f"{sorted(options)} are given: set them where the scheme is made"
            )
        return quantizer
    if not isinstance(quantizer, str):
        raise UserError(
            f"quantizer is {quantizer!r}: give a name ({', '.join(SCHEMES)}) or a Scheme such as "
            "LSQ(per_channel=True)"
        )
    entry = registry("quantizers")[quantizer]
    found: Scheme = entry.load()(**entry.resolve_options(options))
    return found
