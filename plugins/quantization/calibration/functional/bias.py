"""What quantization adds to the mean of a layer's output."""

from __future__ import annotations

from torch import Tensor


def output_shift(quantized: Tensor, plain: Tensor, *, channel: int) -> Tensor:
    """Return ``E[y~] - E[y]`` of each output channel, which a bias takes off again.

    It is the biased output error of Nagel, van Baalen, Blankevoort, Welling, "Data-Free
    Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2 (for
    inputs that are not quantized ``epsilon E[x]`` with the error ``epsilon`` of the weights),
    with the expectation over samples as in its appendix D.

    :param quantized: outputs of the layer in the quantized network.
    :param plain: outputs for the same samples at full precision, same shape.
    :param channel: dimension of the output channels.
    :returns: ``(channels,)``.
    """
    difference = (quantized.double() - plain.double()).movedim(channel, 0)
    return difference.flatten(1).mean(1).to(plain.dtype)
