"""Small networks and options, for tests that go over every registered strategy.

Their defaults are for streams of thousands of images; these are for one of a hundred.
"""

from __future__ import annotations

from typing import Any

import torch

from cl_strategies.registry import registry

BYTES = {"mem_bytes": 5_000}
OPTIONS: dict[str, dict[str, Any]] = {
    "agem": {"patterns_per_experience": 20, "sample_size": 16},
    "cim": {"masks": "centre", **BYTES},
    "compressed-replay": BYTES,
    "icarl": BYTES,
    "lucir": {"balance_epochs": 1, **BYTES},
    "wa": BYTES,
    "bic": BYTES,
    "podnet": {"balance_epochs": 1, **BYTES},
    "der-expandable": BYTES,
    "foster": BYTES,
    "aanets": BYTES,
    "mnemonics": BYTES,
    "mrdc": {"tolerance": 1e9, **BYTES},
    "dark-er": {"mem_size": 31},
    "gdumb": {"mem_size": 31},
    "replay": {"mem_size": 31},
    "rwalk": {"delta_t": 2},
    "zeroq": {"iterations": 3},
    "zaq": {"iterations": 1, "student_steps": 2, "images": 8},
    "qimera": {"iterations": 2, "warmup": 2, "images": 8},
    "intraq": {"image_iterations": 2, "batches": 2, "iterations": 2, "images": 8},
}


def name_of(kind: Any) -> str:
    """The registered name of a strategy's class."""
    return next(entry.name for entry in registry("strategies") if entry.load() is kind)


def options(name: str, input_shape: Any, **more: Any) -> dict[str, Any]:
    """Options of a strategy in a script, with images without labels if it takes some."""
    found = {**OPTIONS.get(name, {}), **more}
    if "target" in registry("strategies")[name].fixed:
        generator = torch.Generator().manual_seed(0)
        found["target"] = torch.rand(24, *input_shape, generator=generator)
    return found


def network(name: str) -> dict[str, Any]:
    """The table ``[model]`` of a small network that a strategy can have."""
    needs = registry("strategies")[name].needs
    if "a convolution larger than 1 x 1" in needs:
        return {"name": "wide-lenet", "channels": [3, 4], "hidden": [16, 8]}
    if "BatchNorm layers" in needs:
        return {"name": "small-resnet", "channels": [4, 6], "stem_stride": 1}
    return {"name": "mlp", "hidden": [16]}


def model(name: str, info: Any, **more: Any) -> torch.nn.Module:
    """That network, for a stream."""
    table = network(name)
    return registry("models")[table.pop("name")].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        **table,
        **more,
    )
