"""What all layers with quantized weights have in common.

They keep the names and the identity of the parameters of the layer they replace, so that
checkpoints, optimizers and penalties by name still fit.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.layers.norm_folding import FoldedWeight, NormFolding
from cl_strategies.plugins.quantization.layers.weight_uses import owning
from cl_strategies.plugins.quantization.quantizers.base import (
    ActivationQuantizer,
    Encoded,
    WeightQuantizer,
)


class QuantizedLayer(nn.Module):
    """A layer whose weight is quantized in each forward; the parameter stays at full precision.

    Made from an existing layer by :func:`quantize_layer`.
    """

    #: Name of the parameter that is quantized.
    weight_parameter: ClassVar[str] = "weight"

    weight: Tensor
    bias: Tensor | None
    weight_quantizer: WeightQuantizer
    input_quantizer: ActivationQuantizer | None
    output_quantizer: ActivationQuantizer | None
    input_bits: int
    stand_in: Tensor | None
    folding: NormFolding | None

    def arranged(self, weight: Tensor) -> Tensor:
        """Return a weight with the output channels as its first dimension, as quantizers take it;
        the inverse is :meth:`restored`."""
        return weight

    def restored(self, weight: Tensor) -> Tensor:
        """Return a weight as the layer computes with it."""
        return weight

    def latent(self) -> Tensor:
        """Return what is quantized: the full-precision weight, output channels first, times the
        scale of a BatchNorm that is folded into it."""
        weight = self.arranged(self.weight)
        return weight if self.folding is None else self.folding.scaled(weight)

    def unfolded(self, weight: Tensor) -> Tensor:
        """Return the weight of the plain layer whose folded weight is ``weight``."""
        if self.folding is None:
            return weight
        return self.restored(self.folding.unscaled_weight(self.arranged(weight)))

    def quantized_weight(self) -> Tensor:
        """Return the weight that the layer computes with.

        :raises UserError: in the training of a layer that was loaded from a packed model.
        """
        if self.stand_in is None:
            return owning(self.weight, self._quantized, self.weight)
        if self.training and not self.stand_in.requires_grad:
            raise UserError(
                "the model was loaded from its packed form, whose weights are integers: call "
                "eval() on it, or train from the checkpoint with the full-precision weights"
            )
        return self.stand_in

    def _quantized(self, weight: Tensor) -> Tensor:
        return self.restored(self.weight_quantizer(self.latent()))

    def encode(self) -> Encoded:
        """Return the integer codes of the weight, output channels first.

        :raises UserError: see
            :meth:`~cl_strategies.plugins.quantization.quantizers.base.WeightQuantizer.encode`.
        """
        return self.weight_quantizer.encode(self.latent().detach())

    def decode(self, encoded: Encoded) -> Tensor:
        """Return the weight that the layer computes with, from :meth:`encode`."""
        return self.restored(self.weight_quantizer.decode(encoded))

    def folded_weight(self) -> FoldedWeight:
        """Return codes, their constants, and the bias of the layer with its BatchNorm, if one is
        folded into it, as it computes in evaluation: for an export to integers.

        :raises UserError: as :meth:`encode`.
        """
        alive = None if self.folding is None else self.folding.alive()
        return FoldedWeight(self.encode(), alive, self.folded_bias())

    def folded_bias(self) -> Tensor | None:
        """Return the bias of the layer with the BatchNorm that is folded into it, if one is."""
        return self.bias if self.folding is None else self.folding.bias(self.bias)

    def before(self, x: Tensor) -> Tensor:
        """Quantize the input, if there is a quantizer for it."""
        return x if self.input_quantizer is None else self.input_quantizer(x)

    def after(self, y: Tensor) -> Tensor:
        """Quantize the output, if there is a quantizer for it."""
        return y if self.output_quantizer is None else self.output_quantizer(y)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Compute with the quantized weight, arguments as the plain layer takes them."""
        return owning(self.weight, lambda x: self._compute(x, *args, **kwargs), x)

    def _compute(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        x, weight, folding = self.before(x), self.quantized_weight(), self.folding
        if folding is None:
            return self.after(self.operate(x, weight, self.bias, *args, **kwargs))
        if folding.takes_batch:
            return folding.unscaled(self.operate(x, weight, None, *args, **kwargs), self.bias)
        weight = self.restored(folding.silenced(self.arranged(weight)))
        return self.operate(x, weight, self.folded_bias(), *args, **kwargs)

    def operate(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Compute what the plain layer does, with these weights."""
        raise NotImplementedError
