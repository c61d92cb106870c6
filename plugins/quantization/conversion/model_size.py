"""How many bytes the weights of a quantized model take."""

from __future__ import annotations

from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.measures import layer_table
from cl_strategies.plugins.quantization.conversion.packing import pack_model, packed_bytes


def storage(model: nn.Module) -> dict[str, float]:
    """Return two sizes of a quantized model, in bytes; none of a full-precision one.

    :param model: as it was trained, on any device.
    :raises UserError: if the network has been seen to use a weight without calling its layer.
    :returns: ``weight_bytes``: bits times parameters, over all convolutions and linear layers,
        divided by eight; ``packed_bytes``: every tensor of the packed model, biases, BatchNorm and
        the constants of decoding included, or NaN where levels need more bits than were paid for.
    """
    if not quantized_layers(model):
        return {}
    sizes = {"weight_bytes": sum(row["bits"] for row in layer_table(model)) / 8}
    try:
        return sizes | {"packed_bytes": float(packed_bytes(pack_model(model)))}
    except UserError:  # the released forms of AlignQ and LifeQuant
        return sizes | {"packed_bytes": float("nan")}
