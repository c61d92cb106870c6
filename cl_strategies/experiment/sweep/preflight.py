"""What can be known to be wrong before the first run starts."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

from cl_strategies.benchmarks import DatasetStatus, check_dataset
from cl_strategies.errors import DataMissingError, UserError
from cl_strategies.errors.boundary import Boundary
from cl_strategies.errors.failure import Failure
from cl_strategies.experiment.config.run_config import ExperimentConfig, Named
from cl_strategies.experiment.identity.present_data import built
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.environment import resolve_device
from cl_strategies.experiment.setup.portable import check_machine
from cl_strategies.plugins.features.generators import isolated_rng
from cl_strategies.registry import registry


def check_configs(configs: Sequence[ExperimentConfig], *, device: bool = True) -> None:
    """Build each distinct benchmark, model and strategy once, and throw them away.

    Data that only some of the benchmarks lack stop nothing: those runs fail, and say so.

    :param device: whether the runs take place here, and their devices must be here.
    :raises UserError: for the first that cannot be built: an option out of range, a strategy
        that does not support the scenario, a device that is not here, a processor that no portable
        run can use; or if the data of every benchmark are missing.
    """
    streams: dict[str, Any] = {}
    missing: dict[str, DataMissingError] = {}
    seen = set()
    with isolated_rng():
        for config in configs:
            if (key := _without_seed(config)) in seen:
                continue
            seen.add(key)
            if device and config.run.portable:
                check_machine()
            stream = json.dumps(config.benchmark.to_dict(), sort_keys=True)
            if stream in missing:
                continue
            try:
                with Boundary():
                    if stream not in streams:
                        streams[stream] = _info(config.benchmark)
                    _build(config, streams[stream], device)
            except DataMissingError as error:
                missing[stream] = error
            except Failure as error:  # of a factory that does not check its options itself
                raise UserError(
                    f"{config.strategy.name} on {config.benchmark.name} with {config.model.name} "
                    f"cannot be built ({error.message}): change its options, or mend the code if "
                    "it is yours; `cl-strategies new method NAME` writes an example that works"
                ) from error
    if missing and not streams:
        raise next(iter(missing.values()))


def datasets_of(configs: Sequence[ExperimentConfig]) -> list[DatasetStatus]:
    """Return whether each published data set that ``configs`` name is on this machine, without
    reading its files; of several of which one will do, one.

    :raises UserError: if the folder they name is none.
    """
    asked = {
        (names, config.benchmark.options.get("data_root"))
        for config in configs
        for names in registry("benchmarks")[config.benchmark.name].datasets
    }
    found = []
    for names, root in sorted(asked, key=str):
        statuses = [check_dataset(name, root) for name in names.split("|")]
        found.append(next((one for one in statuses if one.present), statuses[0]))
    return found


def _info(benchmark: Named) -> Any:
    """:raises DataMissingError: if its data are not here, or what is here cannot be read."""
    try:
        return built(benchmark, build_benchmark)[0].info  # its fingerprint is asked for next
    except OSError as error:  # of a folder or a file; no option of the model changes it
        place = error.filename or benchmark.options.get("data_root") or "their folder"
        raise DataMissingError(
            f"{benchmark.name}: its data at {place} cannot be read ({error.strerror or error}): "
            "make them readable, or give another folder as --data-root"
        ) from error


def _build(config: ExperimentConfig, info: Any, device: bool) -> None:
    model = build_model(config, info)
    where = resolve_device(config.run.device) if device else "cpu"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        build_strategy(config, info, model, device=where, evaluator=None)


def _without_seed(config: ExperimentConfig) -> str:
    return config.with_seed(0).hash
