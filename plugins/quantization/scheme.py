"""A scheme: which quantiser weights and activations get, and where the latter stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.catalogue import ENTRIES
from cl_strategies.plugins.quantization.quantizer import ActivationQuantizer, WeightQuantizer
from cl_strategies.registry import registry


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

    def activation(
        self, bits: int, *, features: int | None, channel: int = 1
    ) -> ActivationQuantizer:
        """A quantiser of activations.

        :param bits: 1 to 8, or 32.
        :param features: channels of activations that must be normalised first; ``None``: they
            are, or the scheme does not need it.
        :param channel: the dimension of those channels; -1 after a linear layer, -3 after a
            convolution.
        """
        raise NotImplementedError


#: Name -> where its :class:`Scheme` is.
SCHEMES: Mapping[str, str] = {entry.name: entry.factory for entry in ENTRIES}


def scheme(quantizer: str | Scheme, **options: Any) -> Scheme:
    """The scheme of that name, or ``quantizer`` itself.

    :param quantizer: a registered name (``cl-strategies list quantisers``), or a scheme, which has
        its options already.
    :param options: options of the named scheme; the others keep their defaults.
    :raises UserError: for an unknown name or option, or something that is no scheme.
    """
    if isinstance(quantizer, Scheme):
        if options:
            raise UserError(
                f"{quantizer.name} is made already: options {sorted(options)} are too late"
            )
        return quantizer
    if not isinstance(quantizer, str):
        raise UserError(
            f"quantizer is {quantizer!r}: give a name ({', '.join(SCHEMES)}) or a Scheme such as "
            "LSQ(per_channel=True)"
        )
    entry = registry("quantisers")[quantizer]
    found: Scheme = entry.load()(**entry.resolve_options(options))
    return found
