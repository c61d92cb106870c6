"""The ray executor: what it refuses, and that a lost node costs nothing."""

from __future__ import annotations

import json
import sys
import time

import pytest

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.executors import executor


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
def test_ray_on_this_machine_gives_the_numbers_of_one_process(tmp_path, command, numbers, whole):
    assert main(command(tmp_path, "--executor", "ray")) == 0
    assert numbers(tmp_path) == whole


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


@pytest.mark.slow
def test_a_node_that_is_lost_in_mid_run_costs_no_number(
    tmp_path, cluster, command, numbers, monkeypatch
):
    from cl_strategies.experiment import executors
    from cl_strategies.experiment.ray_executor import RayExecutor

    settings = ("train.epochs=15", "benchmark.n_experiences=5", "model.hidden=[16]")
    expected = tmp_path / "serial"
    assert main(command(expected, settings=settings)) == 0

    made, nodes = cluster
    out = tmp_path / "ray"
    lost = []

    class Losing(RayExecutor):
        """Loses a node as soon as both of its runs are under way."""

        def __call__(self, configs, out, *, jobs=None):
            import threading

            def lose():
                until = time.monotonic() + 900
                while len(list(out.glob("runs/*/checkpoint.pt"))) < 2:
                    if time.monotonic() > until:
                        return
                    time.sleep(0.02)
                lost.extend(out.glob("runs/*/result.json"))
                made.remove_node(nodes[0], allow_graceful=False)
                lost.append("a node")

            thread = threading.Thread(target=lose)
            thread.start()
            yield from super().__call__(configs, out, jobs=jobs)
            thread.join()

    monkeypatch.setattr("cl_strategies.experiment.ray_executor.RayExecutor", Losing)
    assert executors.executor("ray").__class__ is Losing
    arguments = command(out, "--executor", "ray", "--address", made.address, settings=settings)
    assert main(arguments) == 0
    assert lost == ["a node"]  # and no run had ended before
    assert numbers(out) == numbers(expected)
    for path in out.glob("runs/*/result.json"):
        assert json.loads(path.read_text())["status"] == "finished"


@pytest.mark.slow
def test_every_way_to_compute_the_quickstart_gives_the_same_numbers(tmp_path, numbers):
    """Its streams and strategies, cut short: serial, process, Ray and two shards, bit for bit."""
    settings = ("train.epochs=1", "benchmark.n_experiences=2", "benchmark.fraction=0.3")
    sets = [part for setting in settings for part in ("--set", setting)]
    ways = {
        "serial": [("--executor", "serial")],
        "process": [("--executor", "process")],
        "ray": [("--executor", "ray")],
        "shards": [("--executor", "serial", "--shard", f"{i}/2") for i in range(2)],
    }
    for way, calls in ways.items():
        for more in calls:
            out = str(tmp_path / way)
            assert main(["compare", "quickstart", "--seeds", "0", *sets, "--out", out, *more]) == 0
    expected = numbers(tmp_path / "serial")
    assert len(expected) > 10
    for way in ways:
        assert numbers(tmp_path / way) == expected, way
