"""Convolutions, linear layers and norms in their quantized form."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from cl_strategies.errors import UserError
from cl_strategies.models.batch_norm import BatchNorm1d as SingleBatchNorm1d
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer


class _QuantConv(QuantizedLayer, _ConvNd):
    def operate(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any, **kwargs: Any
    ) -> Tensor:
        return self._conv_forward(x, weight, bias)


class QuantConv1d(_QuantConv, nn.Conv1d):  # type: ignore[misc]
    """A convolution of sequences with quantized weights."""


class QuantConv2d(_QuantConv, nn.Conv2d):  # type: ignore[misc]
    """A convolution, depth-wise or not, with quantized weights."""


class QuantConv3d(_QuantConv, nn.Conv3d):  # type: ignore[misc]
    """A convolution of volumes with quantized weights."""


class _QuantConvTranspose(QuantizedLayer, _ConvTransposeNd):
    """Its weight is ``(in, out / groups, ...)``: input channels first."""

    def arranged(self, weight: Tensor) -> Tensor:
        return self._exchanged(weight)

    def restored(self, weight: Tensor) -> Tensor:
        return self._exchanged(weight)

    def _exchanged(self, weight: Tensor) -> Tensor:
        grouped = weight.unflatten(0, (self.groups, -1))
        return grouped.transpose(1, 2).flatten(0, 1).contiguous()

    def operate(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        output_size: list[int] | None = None,
    ) -> Tensor:
        here: Any = self  # whose sizes torch declares in several ways
        shape = here.stride, here.padding, here.kernel_size
        spatial = len(self.kernel_size)
        extra = self._output_padding(x, output_size, *shape, spatial, here.dilation)
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[spatial - 1]
        y: Tensor = function(
            x, weight, bias, here.stride, here.padding, extra, self.groups, here.dilation
        )
        return y


class QuantConvTranspose1d(_QuantConvTranspose, nn.ConvTranspose1d):  # type: ignore[misc]
    """A transposed convolution of sequences with quantized weights."""


class QuantConvTranspose2d(_QuantConvTranspose, nn.ConvTranspose2d):  # type: ignore[misc]
    """A transposed convolution with quantized weights."""


class QuantConvTranspose3d(_QuantConvTranspose, nn.ConvTranspose3d):  # type: ignore[misc]
    """A transposed convolution of volumes with quantized weights."""


class QuantLinear(QuantizedLayer, nn.Linear):  # type: ignore[misc]
    """A linear layer with quantized weights."""

    def operate(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any, **kwargs: Any
    ) -> Tensor:
        if self.folding is not None and x.dim() != 2:
            raise UserError(
                f"a BatchNorm is folded into a Linear layer that takes a batch of {x.dim()} "
                "dimensions, whose channels are not those of the norm: name the norm in skip"
            )
        return F.linear(x, weight, bias)


class QuantOutProjection(QuantLinear, NonDynamicallyQuantizableLinear):  # type: ignore[misc]
    """The linear layer that ends torch's attention."""


class _QuantNorm(_BatchNorm):
    """A BatchNorm whose output is quantized."""

    output_quantizer: ActivationQuantizer

    def forward(self, x: Tensor) -> Tensor:
        return self.output_quantizer(super().forward(x))


class QuantBatchNorm1d(_QuantNorm, nn.BatchNorm1d):
    """A BatchNorm of vectors or sequences whose output is quantized."""


class QuantSingleBatchNorm1d(_QuantNorm, SingleBatchNorm1d):
    """A BatchNorm that takes single samples, whose output is quantized."""


class QuantBatchNorm2d(_QuantNorm, nn.BatchNorm2d):
    """A BatchNorm of images whose output is quantized."""


class QuantBatchNorm3d(_QuantNorm, nn.BatchNorm3d):
    """A BatchNorm of volumes whose output is quantized."""


#: Plain class of a norm -> quantized class.
NORMS: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: QuantBatchNorm1d,
    nn.BatchNorm2d: QuantBatchNorm2d,
    nn.BatchNorm3d: QuantBatchNorm3d,
    SingleBatchNorm1d: QuantSingleBatchNorm1d,
}
