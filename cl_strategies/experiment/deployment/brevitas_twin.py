"""The same network with Brevitas' layers, as Brevitas exports it: something to be compared with."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.errors.failure import named
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.quantization.conversion.convert import dequantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION

_BATCH = 32


def export(network: nn.Module, path: Path, *, task: int | None, images: Tensor) -> Path:
    """Write the network with Brevitas' layers of the same bits in the places of ours.

    Its weights are rounded by Brevitas' grids, and its activations by ranges from ``images``.

    :param network: quantized by this package.
    :param path: path of the file.
    :param task: task label of the head.
    :param images: to calibrate with ``(N, ...)``.
    :raises UserError: if Brevitas is not installed, or cannot do it; never another error.
    """
    try:
        from brevitas.export import export_onnx_qcdq
        from brevitas.graph.calibrate import calibration_mode
    except ImportError as error:
        raise UserError("Brevitas is not installed: pip install 'cl-strategies[bench]'") from error
    if isinstance(network, MultiHeadModel):
        raise UserError(f"Brevitas' layers are not compared in a network with a head for {task}")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            twin = _with_its_layers(network).cpu().float().eval()
            with calibration_mode(twin):
                for part in images.split(_BATCH):
                    twin(part)
            export_onnx_qcdq(
                twin,
                args=images[:1],
                export_path=str(path),
                dynamo=False,
                input_names=["input"],
                dynamic_axes={"input": {0: "samples"}},
            )
    except Exception as error:  # whatever another package raises for networks that it cannot take
        raise UserError(f"Brevitas cannot export this network ({named(error)[:200]})") from error
    return path


def _with_its_layers(network: nn.Module) -> nn.Module:
    from brevitas.nn import QuantConv2d, QuantLinear
    from brevitas.quant import Int8ActPerTensorFloat

    bits = {
        name: (layer.weight_quantizer.bits, layer.input_bits)
        for name, layer in quantized_layers(network).items()
    }
    twin = dequantize_model(copy.deepcopy(network))
    for name, (weight_bits, input_bits) in bits.items():
        layer: Any = twin.get_submodule(name)
        options: dict[str, Any] = {"bias": layer.bias is not None}
        if weight_bits != FULL_PRECISION:
            options["weight_bit_width"] = weight_bits
        if input_bits != FULL_PRECISION:
            options |= {"input_quant": Int8ActPerTensorFloat, "input_bit_width": input_bits}
        if isinstance(layer, nn.Conv2d):
            sizes = ("stride", "padding", "dilation", "groups", "padding_mode")
            options |= {size: getattr(layer, size) for size in sizes}
            place = (layer.in_channels, layer.out_channels, layer.kernel_size)
            made = QuantConv2d(*place, **options)
        elif isinstance(layer, nn.Linear):
            made = QuantLinear(layer.in_features, layer.out_features, **options)
        else:
            raise UserError(f"there is no place for Brevitas' layers at {name!r}")
        made.load_state_dict(layer.state_dict(), strict=False)
        holder, _, last = name.rpartition(".")
        setattr(twin.get_submodule(holder), last, made)
    return twin
