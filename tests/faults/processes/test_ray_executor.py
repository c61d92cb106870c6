"""The ray executor: what it refuses, and that a lost node costs nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import types

import pytest

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.sweep.compare import compare
from cl_strategies.experiment.sweep.executors import executor


def test_without_ray_there_is_one_message(monkeypatch, tmp_path, capsys, command):
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it fails
    assert main(command(tmp_path, "--executor", "ray")) == 2
    error = capsys.readouterr().err
    assert "pip install 'cl-strategies[ray]'" in error and error.count("\n") == 1


@pytest.mark.parametrize("more", [("--address", "127.0.0.1:6379"), ("--gpus-per-run", "0.5")])
def test_options_of_ray_are_refused_elsewhere(tmp_path, capsys, command, more):
    assert main(command(tmp_path, "--executor", "serial", *more)) == 2
    assert "--executor ray" in capsys.readouterr().err


@pytest.mark.parametrize("gpus", [0.0, -1.0, 1.5, float("nan"), float("inf")])
def test_a_run_asks_for_a_part_of_a_gpu_or_for_whole_ones(gpus):
    with pytest.raises(UserError, match="GPUs per run"):
        executor("ray", gpus=gpus)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999999", "nonsense:x"])
def test_an_address_where_nothing_listens_is_one_message(tmp_path, capsys, command, address):
    assert main(command(tmp_path, "--executor", "ray", "--address", address)) == 2
    assert f"no Ray cluster at {address}" in capsys.readouterr().err


@pytest.mark.slow
def test_what_listens_and_is_no_cluster_is_one_message(tmp_path, capsys, command, monkeypatch):
    monkeypatch.setattr("cl_strategies.experiment.sweep.ray_executor.ANSWERS_WITHIN", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert main(command(tmp_path, "--executor", "ray", "--address", address)) == 2
    said = capsys.readouterr().err
    assert f"no Ray cluster at {address} (what listens there has not answered in 5 s)" in said


def test_a_cluster_that_wants_a_token_says_how_to_give_it(tmp_path, capsys, command, monkeypatch):
    def asked(*arguments, **options):
        stderr = "ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken"
        return subprocess.CompletedProcess(arguments, 1, stdout="", stderr=stderr)

    monkeypatch.setattr("subprocess.run", asked)
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(is_initialized=lambda: False))
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        assert main(command(tmp_path, "--executor", "ray", "--address", address)) == 2
    assert "set RAY_AUTH_MODE=token" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["option", "variable"])
def test_devices_of_a_cluster_need_not_be_here(tmp_path, capsys, command, monkeypatch, way):
    here = "127.0.0.1:1"
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(is_initialized=lambda: False))
    if way == "variable":
        monkeypatch.setenv("RAY_ADDRESS", here)
    more = ("--address", here) if way == "option" else ()
    cuda = ("--set", "run.device=cuda:7")
    assert main(command(tmp_path, "--executor", "ray", *more, *cuda)) == 2
    assert f"no Ray cluster at {here}" in capsys.readouterr().err


@pytest.mark.slow
def test_ray_on_this_machine_gives_the_numbers_of_one_process(tmp_path, command, numbers, whole):
    assert main(command(tmp_path, "--executor", "ray")) == 0
    assert numbers(tmp_path) == whole


@pytest.mark.slow
def test_workers_on_this_machine_are_as_nice_as_the_command(tmp_path, monkeypatch):
    def work(tables, slug, out, how):
        import os

        return str(os.nice(0)), False

    work.__module__ = "__main__"  # so that Ray carries it to where this file is not
    monkeypatch.setattr("cl_strategies.experiment.sweep.ray_executor.work", work)
    names = {"benchmark": {"name": "split-digits"}, "strategy": {"name": "naive"}}
    (outcome,) = executor("ray")([ExperimentConfig.from_dict(names)], tmp_path)
    assert outcome.problem == str(os.nice(0))


@pytest.mark.slow
def test_progress_is_told_while_runs_are_left(tmp_path):
    names = {"benchmark": {"name": "split-digits", "fraction": 0.2}, "strategy": {"name": "naive"}}
    runs = [ExperimentConfig.from_dict({**names, "run": {"seed": seed}}) for seed in range(3)]
    told = []

    def progress(config, problem):
        told.append((config.run.seed, problem, len(list(tmp_path.glob("runs/*/result.json")))))

    compare(runs, tmp_path, executor_name="ray", jobs=1, progress=progress)
    assert told == [(0, None, 1), (1, None, 2), (2, None, 3)]


@pytest.fixture
def cluster(monkeypatch):
    """A head without cores and two nodes of one core each, all on the loopback."""
    monkeypatch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
    from ray.cluster_utils import Cluster

    node = {"node_ip_address": "127.0.0.1", "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 0})
    try:
        yield made, [made.add_node(**node, num_cpus=1) for _ in range(2)]
    finally:
        made.shutdown()


def under_way(out):
    """Runs that have a checkpoint and no result: one on each node of one core, if there are two."""
    checkpoints = [path.parent for path in out.glob("runs/*/checkpoint.pt")]
    return [run for run in checkpoints if not (run / "result.json").exists()]


@pytest.mark.slow
def test_a_node_that_is_lost_in_mid_run_costs_no_number(
    tmp_path, cluster, command, numbers, monkeypatch
):
    from cl_strategies.experiment.sweep import ray_executor

    settings = ("train.epochs=150", "benchmark.n_experiences=5", "model.hidden=[16]")
    more = ("--seeds", "0-2")
    expected, out = tmp_path / "serial", tmp_path / "ray"
    assert main(command(expected, *more, "--executor", "serial", settings=settings)) == 0

    made, nodes = cluster
    losses, removed = [], threading.Event()
    count_loss = ray_executor._Tasks._lost

    def counted(tasks, config, error):
        losses.append(config.slug)
        return count_loss(tasks, config, error)

    def lose_a_node():
        until = time.monotonic() + 900
        while len(under_way(out)) < 2:
            if time.monotonic() > until:
                return
            time.sleep(0.02)
        made.remove_node(nodes[0], allow_graceful=False)
        removed.set()

    monkeypatch.setattr(ray_executor._Tasks, "_lost", counted)
    thread = threading.Thread(target=lose_a_node)
    thread.start()
    ray = ("--executor", "ray", "--address", made.address)
    assert main(command(out, *more, *ray, settings=settings)) == 0
    thread.join()
    assert removed.is_set() and losses  # of a run that was under way, as only they are there
    assert numbers(out) == numbers(expected)
    results = [json.loads(path.read_text()) for path in out.glob("runs/*/result.json")]
    assert [result["status"] for result in results] == ["finished"] * 6
