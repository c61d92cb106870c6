"""The optional accelerators on ResNet-18, and many seeds in one vectorized training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import loops
import pictures
import torch
from loops import Data
from measurement import Measurement
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from cl_strategies.plugins import AutocastPlugin, ChannelsLastPlugin, CompilePlugin

SEEDS, STEPS, PROOF = 8, 200, 10
#: Two batches, and no further round after so many seconds: processors without instructions for
#: bfloat16 need half a minute for a batch.
PICTURES, SECONDS = 2 * pictures.BATCH, 60.0
PLUGINS: dict[str, Callable[[], list[Any]]] = {
    "channels-last": lambda: [ChannelsLastPlugin()],
    "bfloat16": lambda: [AutocastPlugin()],
    "bfloat16-channels-last": lambda: [AutocastPlugin(), ChannelsLastPlugin()],
    "compiled": lambda: [CompilePlugin(part="")],
}


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """Speed-ups over the same training without them; no targets: they depend on the machine."""
    return [
        *(_accelerated(name, data, rounds) for name in PLUGINS),
        *(_many_seeds(width, rounds) for width in (32, 256)),
    ]


def _accelerated(name: str, data: Data, rounds: int) -> Measurement:
    pictures.train(data, PLUGINS[name](), pictures.BATCH)  # compiles
    ratios: list[float] = []
    began = time.perf_counter()
    while not ratios or (len(ratios) < rounds and time.perf_counter() - began < SECONDS):
        plain = pictures.train(data, [], PICTURES)[0]
        ratios.append(plain / pictures.train(data, PLUGINS[name](), PICTURES)[0])
    return Measurement(
        name=name,
        title=f"ResNet-18, {name.replace('-', ', ', 1)}: plain / accelerated",
        values=ratios,
    )


def _many_seeds(width: int, rounds: int) -> Measurement:
    """``SEEDS`` networks in one vectorized loop, against one after the other on one thread each.

    :raises SystemExit: if the two train to other weights.
    """
    x = torch.rand(64 * STEPS, 64, generator=torch.Generator().manual_seed(0)).split(64)
    y = torch.randint(10, (64 * STEPS,), generator=torch.Generator().manual_seed(1)).split(64)
    networks = [_network(width, seed) for seed in range(SEEDS)]
    separate = [_alone(net, x[:PROOF], y[:PROOF]) for net in networks]
    together = _together(networks, x[:PROOF], y[:PROOF])
    for i, weights in enumerate(separate):
        for name, value in weights.items():
            if not torch.allclose(together[name][i], value, atol=1e-5):
                raise SystemExit(f"many seeds: {name} of seed {i} differs")
    threads, ratios = torch.get_num_threads(), []
    for _ in range(rounds):
        torch.set_num_threads(1)
        start = time.perf_counter()
        for net in networks:
            _alone(net, x, y)
        one_by_one = (time.perf_counter() - start) / threads
        torch.set_num_threads(threads)
        start = time.perf_counter()
        _together(networks, x, y)
        ratios.append(one_by_one / (time.perf_counter() - start))
    return Measurement(
        name=f"many-seeds-{width}",
        title=f"{SEEDS} seeds of 64-{width}-{width}-10: one process per core / vectorized",
        values=ratios,
        proof="same weights to 1e-5 after 10 steps; processes taken as perfectly parallel",
    )


def _network(width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def _alone(net: nn.Module, xs: Any, ys: Any) -> dict[str, Tensor]:
    twin = _copy(net)
    optimizer = torch.optim.SGD(twin.parameters(), lr=loops.RATE)
    for x, y in zip(xs, ys, strict=True):
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        optimizer.step()
    return {name: p.detach() for name, p in twin.named_parameters()}


def _together(networks: list[nn.Module], xs: Any, ys: Any) -> dict[str, Tensor]:
    weights, _ = stack_module_state(networks)
    values = {name: p.detach().clone() for name, p in weights.items()}
    base = networks[0]

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(base, parameters, (x,)), y)

    gradient = vmap(grad(loss), in_dims=(0, None, None))
    for x, y in zip(xs, ys, strict=True):
        torch._foreach_add_(
            list(values.values()), list(gradient(values, x, y).values()), alpha=-loops.RATE
        )
    return values


def _copy(net: nn.Module) -> nn.Module:
    twin = _network(net[0].out_features, 0)  # type: ignore[index]
    twin.load_state_dict(net.state_dict())
    return twin
