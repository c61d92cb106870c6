"""A training step of ResNet-20 at 4 bits, against the same network in float32 and in Brevitas."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import loops
import torch
from loops import Data
from measurement import Measurement
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from cl_strategies.plugins.quantization.conversion.convert import quantize_model

BITS, BATCH, STEPS = 4, 64, 8
MOST = 1.6
Layer = Callable[..., nn.Module]


class Block(nn.Module):
    """Two 3x3 convolutions; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, n_in: int, n_out: int, conv: Layer, relu: Layer) -> None:
        super().__init__()
        stride = 1 if n_in == n_out else 2
        self.conv1 = conv(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(n_out), relu()
        self.conv2 = conv(n_out, n_out, 3, padding=1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(n_out), relu()
        self.shortcut = conv(n_in, n_out, 1, stride=2, bias=False) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


def resnet20(conv: Layer = nn.Conv2d, relu: Layer = nn.ReLU) -> nn.Module:
    """He et al., 2016, for 3x32x32 images; the first convolution and the last layer are plain."""
    torch.manual_seed(0)
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), relu()]
    widths = [16] * 4 + [32] * 3 + [64] * 3
    blocks = [Block(a, b, conv, relu) for a, b in pairwise(widths)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def ours(scheme: str, relu: Layer = nn.ReLU) -> nn.Module:
    """Our quantizer in the convolutions of the blocks."""
    plain = resnet20(relu=relu)
    return quantize_model(
        plain, weight_bits=BITS, activation_bits=BITS, quantizer=scheme, first_bits=32
    )


def brevitas() -> nn.Module:
    """Brevitas' layers with a learned scale for activations, in the same places."""
    from brevitas.nn import QuantConv2d, QuantReLU

    return resnet20(
        lambda *a, **k: QuantConv2d(*a, **k, weight_bit_width=BITS),
        lambda: QuantReLU(bit_width=BITS),
    )


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """Time of a step over that of the float32 network, for our quantizers and Brevitas.

    LSQ+ is measured in a network with SiLU, where it has an offset.

    :raises SystemExit: if a network's weights take more than 16 values.
    """
    pixels = data.x[: BATCH * STEPS].view(-1, 1, 28, 28)
    x = F.interpolate(pixels, 32).expand(-1, 3, -1, -1).contiguous().split(BATCH)
    y = data.y[: BATCH * STEPS].split(BATCH)
    contenders: dict[str, Callable[[], nn.Module]] = {
        "lsq": lambda: ours("lsq"),
        "alignq": lambda: ours("alignq"),
        "lsq-plus": lambda: ours("lsq-plus", nn.SiLU),
    }
    with_silu = {"lsq-plus"}
    if find_spec("brevitas"):
        contenders["brevitas"] = brevitas
    else:
        print("Brevitas is not installed and left out: pip install 'cl-strategies[bench]'")
    for name, make in contenders.items():
        _check_levels(name, make(), x[0])
    ratios: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        plain = {kind: _seconds(resnet20(relu=kind), x, y) for kind in (nn.ReLU, nn.SiLU)}
        for name, make in contenders.items():
            against = plain[nn.SiLU if name in with_silu else nn.ReLU]
            ratios[name].append(_seconds(make(), x, y) / against)
    return [
        Measurement(
            name=f"step-4-bit-{name}",
            title=f"ResNet-20 training step at 4 bits, {name}: quantized / float32",
            values=values,
            proof="at most 16 values of the weights in a layer, or in a channel",
            most=None if name == "brevitas" else MOST,
        )
        for name, values in ratios.items()
    ]


class _Weights(TorchDispatchMode):
    """The weights that convolutions really compute with, whoever calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.seen.append(args[1].detach().clone())
        return func(*args, **(kwargs or {}))


def _check_levels(name: str, net: nn.Module, x: Tensor) -> None:
    with torch.no_grad(), _Weights() as weights:
        net(x)
    blocks = weights.seen[1:]  # the first convolution is plain
    levels = max((len(channel.unique()) for weight in blocks for channel in weight), default=0)
    if not 2 <= levels <= 2**BITS:
        raise SystemExit(f"{name}: the weights take {levels} values, not {2**BITS}")


def _seconds(net: nn.Module, xs: tuple[Tensor, ...], ys: tuple[Tensor, ...]) -> float:
    optimizer = torch.optim.SGD(net.parameters(), lr=loops.RATE)
    net(xs[0])  # initial steps and ranges
    start = time.perf_counter()
    for x, y in zip(xs, ys, strict=True):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return time.perf_counter() - start
