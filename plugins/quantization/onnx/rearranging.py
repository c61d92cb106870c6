"""Rewritings of a :class:`Network` that leave what it computes as it is."""

from __future__ import annotations

from cl_strategies.plugins.quantization.onnx.network import Network

#: What commutes with rounding: it takes values, moves or compares them, and computes none.
ORDER_ONLY = ("max pool", "flatten", "reshape")


def rearrange(network: Network) -> None:
    """Fold BatchNorm, let operations clip their own results, and round as early as possible."""
    fold_norms(network)
    absorb_clips(network)
    round_before_moving(network)


def fold_norms(network: Network) -> None:
    """Fold each BatchNorm into the convolution or linear layer whose result it alone takes.

    The quantizers of weights round before the BatchNorm, so a factor per output channel is a
    factor of the scale, and the integers stay what they are.
    """
    for node in network.of_kind("norm"):
        (before,) = node.inputs
        if before.kind not in ("conv", "linear") or len(network.users()[before]) > 1:
            continue
        layer = node.layer
        factor = (layer.running_var.double() + layer.eps).rsqrt()
        if layer.weight is not None:
            factor = factor * layer.weight.detach().double()
        mean = layer.running_mean.double()
        bias = (-mean if before.bias is None else before.bias - mean) * factor
        before.bias = bias if layer.bias is None else bias + layer.bias.detach().double()
        before.factor = factor if before.factor is None else before.factor * factor
        network.drop(node)


def absorb_clips(network: Network) -> None:
    """Give the bounds of a ReLU to the operation whose result it alone takes."""
    for node in network.of_kind("clip"):
        (before,) = node.inputs
        users = network.users()
        while before.kind in ORDER_ONLY and len(users[before]) == 1:  # or behind it: the same
            (before,) = before.inputs
        if before.kind in ("input", "quantize", *ORDER_ONLY) or len(users[before]) > 1:
            continue
        before.low = max(before.low, node.low)
        before.high = max(min(before.high, node.high), before.low)
        network.drop(node)


def round_before_moving(network: Network) -> None:
    """Quantize before a pooling by the maximum or a flattening instead of behind it.

    Rounding keeps the order of values: the largest of rounded values is the largest one, rounded.
    """
    for node in network.of_kind("quantize"):
        while node.inputs[0].kind in ORDER_ONLY:
            (moved,) = node.inputs
            users = network.users()
            if len(users[moved]) > 1 or getattr(node.layer, "features", None) is not None:
                break  # a quantizer with statistics of channels needs them where they are
            (source,) = moved.inputs
            for user in users[node]:
                user.inputs = [moved if given is node else given for given in user.inputs]
            node.inputs, moved.inputs = [source], [node]
            network.nodes.remove(node)
            network.nodes.insert(network.nodes.index(moved), node)
