"""The objects of a finished run, as they were when it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.boundary import Boundary
from cl_strategies.errors.failure import Failure
from cl_strategies.experiment.config.run_config import ExperimentConfig, Named
from cl_strategies.experiment.engine.training import fresh_strategy, trace_plugin
from cl_strategies.experiment.engine.training_data import TrainingData
from cl_strategies.experiment.setup.build import build_benchmark
from cl_strategies.experiment.setup.environment import resolve_device
from cl_strategies.experiment.setup.seeding import torch_threads
from cl_strategies.experiment.state.capture import restore_state
from cl_strategies.experiment.state.checkpoint import load_checkpoint
from cl_strategies.plugins.features.generators import isolated_rng
from cl_strategies.results.record import RunRecord, load_result

CHECKPOINT, RESULT = "checkpoint.pt", "result.json"


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run that can be evaluated again.

    :param folder: its directory.
    :param record: its result.
    :param benchmark: its streams.
    :param strategy: after its last experience.
    """

    folder: Path
    record: RunRecord
    benchmark: Any
    strategy: Any


def restore_run(folder: Path | str, *, data_root: str | None = None) -> FinishedRun:
    """Build the strategy of a finished run, and load its last checkpoint.

    :param folder: directory of the run, ``OUT/runs/<run>``.
    :param data_root: folder of data sets; that of the configuration when left out.
    :raises UserError: if it is no directory of a finished run, or its checkpoint is not there or
        does not fit.
    """
    folder = Path(folder)
    record = _result(folder)
    config = ExperimentConfig.from_dict(record.config)
    if data_root is not None:
        options = {**config.benchmark.options, "data_root": data_root}
        config = replace(config, benchmark=Named(config.benchmark.name, options))
    path = folder / CHECKPOINT
    if not path.exists():
        raise UserError(
            f"{path} is not there, and the trained network with it: the checkpoint was deleted, or "
            "the strategy cannot be captured. Do the run again with --rerun"
        )
    try:
        with isolated_rng(), torch_threads(config.run.threads), Boundary():
            benchmark, strategy = _restored(config, path)
    except Failure as reason:
        raise UserError(f"{path} does not fit this run ({reason.message})") from reason
    return FinishedRun(folder=folder, record=record, benchmark=benchmark, strategy=strategy)


def _result(folder: Path) -> RunRecord:
    if not (folder / RESULT).exists():
        raise UserError(
            f"{folder} is no directory of a finished run: it has no {RESULT}. Give OUT/runs/<run>, "
            "as `cl-strategies run` prints it"
        )
    record = load_result(folder / RESULT)
    if not record.finished:
        raise UserError(f"the run in {folder} failed: there is no trained network to export")
    return record


def _restored(config: ExperimentConfig, path: Path) -> tuple[Any, Any]:
    device = resolve_device(config.run.device)
    state = load_checkpoint(path, device=device)
    if state.get("config_hash") != config.hash:
        raise UserError(f"the checkpoint {path} belongs to another configuration than its result")
    benchmark = build_benchmark(config.benchmark)
    trace = trace_plugin(config, benchmark)
    strategy = fresh_strategy(config, benchmark.info, device, trace=trace)
    data = TrainingData(benchmark, jointly=bool(getattr(strategy, "trains_jointly", False)))
    restore_state(strategy, state["strategy"], experiences_seen=data.seen(len(data) - 1))
    return benchmark, strategy
