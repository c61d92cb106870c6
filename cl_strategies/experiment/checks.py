"""What can be known to be wrong before the first run starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cl_strategies.experiment.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.config import ExperimentConfig
from cl_strategies.experiment.environment import resolve_device
from cl_strategies.experiment.seeding import isolated_rng


def check_configs(configs: Sequence[ExperimentConfig]) -> None:
    """Build each distinct benchmark, model and strategy once, and throw them away.

    :raises UserError: for the first that cannot be built: missing data, an option out of
        range, a strategy that does not support the scenario, a device that is not here.
    """
    streams: dict[str, Any] = {}
    seen = set()
    with isolated_rng():
        for config in configs:
            if (key := _without_seed(config)) in seen:
                continue
            seen.add(key)
            stream = json.dumps(config.benchmark.to_dict(), sort_keys=True)
            if stream not in streams:
                streams[stream] = build_benchmark(config.benchmark).info
            info = streams[stream]
            model = build_model(config, info)
            device = resolve_device(config.run.device)
            build_strategy(config, info, model, device=device, evaluator=None)


def _without_seed(config: ExperimentConfig) -> str:
    return config.with_seed(0).hash
