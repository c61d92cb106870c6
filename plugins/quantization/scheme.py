"""A scheme: which quantiser weights and activations get, and where the latter stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plugins.quantization.quantizer import ActivationQuantizer, WeightQuantizer


class Scheme:
    """One row of the registry: a name, and how to make its quantisers.

    The keyword arguments of a subclass are the options a user may set.
    """

    name: ClassVar[str]
    normalised: ClassVar[bool] = False
    """Activations: ``False``: at the input of each quantised layer but the first. ``True``: after
    each BatchNorm, and after each layer that has none around it, normalised first."""

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> WeightQuantizer:
        """A quantiser of weights.

        :param bits: 1 to 8, or 32.
        :param shape: of the weights, output channels first.
        :param rescale: give the weights their magnitude back, as no normalisation follows.
        """
        raise NotImplementedError

    def activation(self, bits: int, *, features: int | None) -> ActivationQuantizer:
        """A quantiser of activations.

        :param bits: 1 to 8, or 32.
        :param features: channels of activations that must be normalised first; ``None``: they
            are, or the scheme does not need it.
        """
        raise NotImplementedError


_PACKAGE = "cl_strategies.plugins.quantization"

#: Name -> where its :class:`Scheme` is.
SCHEMES: Mapping[str, str] = {
    "uniform": f"{_PACKAGE}.uniform:Uniform",
    "dorefa": f"{_PACKAGE}.dorefa:DoReFa",
    "pact": f"{_PACKAGE}.pact:PACT",
    "lsq": f"{_PACKAGE}.lsq:LSQ",
    "llsq": f"{_PACKAGE}.llsq:LLSQ",
    "apot": f"{_PACKAGE}.apot:APoT",
    "alignq": f"{_PACKAGE}.alignq:AlignQScheme",
    "lifequant": f"{_PACKAGE}.lifequant:ProxQ",
}


def scheme(quantizer: str | Scheme) -> Scheme:
    """The scheme of that name with its default options, or ``quantizer`` itself.

    :raises UserError: for an unknown name, or something that is no scheme.
    """
    if isinstance(quantizer, Scheme):
        return quantizer
    if not isinstance(quantizer, str):
        raise UserError(
            f"quantizer is {quantizer!r}: give a name ({', '.join(SCHEMES)}) or a Scheme such as "
            "LSQ(per_channel=True)"
        )
    if quantizer not in SCHEMES:
        raise unknown_name("quantiser", quantizer, SCHEMES)
    import importlib

    module, _, attribute = SCHEMES[quantizer].partition(":")
    found: Scheme = getattr(importlib.import_module(module), attribute)()
    return found
