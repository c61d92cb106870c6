"""Whether what an operation gives can be negative, read from its name or its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

#: ``False``: never negative; ``True``: it can be; ``None``: unknown.
Sign = bool | None

_NEVER = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Softmax, nn.Softmax2d, nn.Softplus)
_CAN = (
    *(nn.SiLU, nn.Hardswish, nn.GELU, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU),
    *(nn.Mish, nn.Tanh, nn.Tanhshrink, nn.Softsign, nn.LogSigmoid, nn.LogSoftmax),
    *(_ConvNd, nn.Linear, nn.Bilinear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention),
    *(_BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm),
)
_KEEPS = (
    *(nn.Identity, _DropoutNd, nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.ChannelShuffle),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
)
#: Names of functions of torch, of functions of Python's operators, and of methods of tensors.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "never": (
        *("relu", "relu6", "sigmoid", "hardsigmoid", "softmax", "softplus", "abs", "exp", "square"),
        *("norm", "var", "std"),
    ),
    "can": (
        *("silu", "hardswish", "gelu", "leaky_relu", "prelu", "elu", "selu", "celu", "mish"),
        *("tanh", "log", "log_softmax", "neg", "sub", "rsub", "layer_norm", "group_norm"),
        *("batch_norm", "linear", "conv1d", "conv2d", "conv3d", "matmul", "bmm", "einsum"),
        "scaled_dot_product_attention",
    ),
    "keeps": (
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "stochastic_depth"),
        *("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
        *("boolean_dispatch", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
        *("flatten", "unflatten", "view", "reshape", "permute", "transpose", "t", "movedim"),
        *("contiguous", "clone", "detach", "to", "float", "squeeze", "unsqueeze", "expand"),
        *("repeat", "getitem", "chunk", "split", "unbind", "narrow", "roll", "mean", "sum"),
        *("amax", "amin", "pixel_shuffle", "channel_shuffle", "sqrt"),
    ),
    "joins": ("add", "truediv", "div"),
    "lists": ("cat", "concat", "stack"),
    "multiplies": ("mul",),
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names}


def sign_of(node: fx.Node, target: Any, known: Mapping[fx.Node, Sign]) -> Sign:
    """Return whether the value of ``node`` can be negative.

    :param target: the module that it calls, or the parameter that it reads.
    :param known: the signs of earlier nodes.
    """
    given = [_of_argument(value, known) for value in node.args]
    if isinstance(target, nn.Module):
        return _of_module(target, given)
    if isinstance(target, nn.Parameter):
        return True
    if node.op not in ("call_function", "call_method"):
        return None
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    kind = _KINDS.get(name.strip("_").removesuffix("_"))
    if kind == "never" or kind == "can":
        return kind == "can"
    if kind == "keeps":
        return given[0] if given else None
    if kind == "lists" and node.args and isinstance(node.args[0], list | tuple):
        return joint([_of_argument(value, known) for value in node.args[0]])
    if not node.kwargs and (kind == "joins" or (kind == "multiplies" and None not in given)):
        return joint(given)
    return None


def joint(signs: Sequence[Sign]) -> Sign:
    """Return whether one of several values can be negative."""
    if any(signs):
        return True
    return None if None in signs or not signs else False


def _of_module(module: nn.Module, given: list[Sign]) -> Sign:
    if isinstance(module, _NEVER):
        return False
    if isinstance(module, nn.Hardtanh):  # of ReLU6 it is the base
        return module.min_val < 0
    if isinstance(module, nn.AlphaDropout | nn.FeatureAlphaDropout):
        return True
    if isinstance(module, _KEEPS):
        return given[0] if given else None
    return True if isinstance(module, _CAN) else None


def _of_argument(value: Any, known: Mapping[fx.Node, Sign]) -> Sign:
    if isinstance(value, fx.Node):
        return known.get(value)
    return bool(value < 0) if isinstance(value, int | float) else None
