"""What the ray executor asks of a cluster, and when it gives a run up, on a cluster of paper."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.setup.portable import VARIABLES
from cl_strategies.experiment.sweep import ray_executor
from cl_strategies.experiment.sweep.ray_executor import RETRIES, RayExecutor


class Lost(Exception):
    """In place of Ray's error for a node that is gone."""


class Paper:
    """Nodes with these resources, on which each task is lost; ``before`` is called at each."""

    exceptions = SimpleNamespace(RayTaskError=ZeroDivisionError, RayError=Lost)

    def __init__(self, *nodes, before=lambda: None):
        self.resources, self.before, self.asked, self.tasks = nodes, before, [], 0

    def is_initialized(self):
        return True

    def nodes(self):
        return [{"Alive": alive, "Resources": found} for alive, found in self.resources]

    def remote(self, **request):
        self.asked.append(request)
        return lambda function: SimpleNamespace(remote=self.start)

    def start(self, *arguments):
        self.tasks += 1
        return self.tasks

    def wait(self, references, num_returns):
        return references[:1], references[1:]

    def get(self, reference):
        self.before()
        raise Lost("the node is gone")

    def cancel(self, reference, force):
        raise AssertionError("no task is left")


def config(**run):
    return ExperimentConfig.from_dict(
        {"benchmark": {"name": "split-digits"}, "strategy": {"name": "naive"}, "run": run}
    )


def outcomes(cluster, tmp_path, monkeypatch, *configs, **options):
    monkeypatch.setattr(ray_executor, "_import_ray", lambda local: cluster)
    return list(RayExecutor(**options)(configs, tmp_path))


CPUS, GPUS = (True, {"CPU": 2.0}), (True, {"CPU": 2.0, "GPU": 1.0})


@pytest.mark.parametrize(
    ("nodes", "run", "request_"),
    [
        ([CPUS], {"device": "cpu", "threads": 2}, (2, 0.0)),
        ([CPUS], {"device": "auto"}, (1, 0.0)),
        ([CPUS, GPUS], {"device": "auto"}, (1, 0.25)),
        ([CPUS, GPUS], {"device": "cuda"}, (1, 0.25)),
        ([CPUS, GPUS], {"device": "cpu"}, (1, 0.0)),
    ],
)
def test_a_run_asks_for_its_threads_and_for_a_gpu_if_it_uses_one(
    nodes, run, request_, tmp_path, monkeypatch
):
    cluster = Paper(*nodes)
    outcomes(cluster, tmp_path, monkeypatch, config(**run), gpus=0.25)
    assert [(asked["num_cpus"], asked["num_gpus"]) for asked in cluster.asked] == [request_]


def test_a_portable_run_gets_workers_that_start_for_it(tmp_path, monkeypatch):
    cluster = Paper(GPUS)
    outcomes(cluster, tmp_path, monkeypatch, config(), config(portable=True))
    plain, portable = (asked["runtime_env"] for asked in cluster.asked)
    assert plain is None and portable == {"env_vars": VARIABLES}
    assert [asked["num_gpus"] for asked in cluster.asked] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("nodes", "run"),
    [
        ([CPUS], {"device": "cuda"}),
        ([CPUS], {"threads": 3}),
        ([CPUS, (False, {"CPU": 8.0})], {"threads": 3}),
        ([(True, {"CPU": 8.0}), GPUS], {"device": "cuda", "threads": 4}),
    ],
)
def test_what_no_living_node_has_is_refused_and_not_waited_for(nodes, run, tmp_path, monkeypatch):
    cluster = Paper(*nodes)
    with pytest.raises(UserError, match="no node of the Ray cluster has"):
        outcomes(cluster, tmp_path, monkeypatch, config(**run))
    assert cluster.tasks == 0


def test_a_numbered_gpu_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="Ray chooses among the GPUs"):
        outcomes(Paper(GPUS), tmp_path, monkeypatch, config(device="cuda:0"))


def test_a_run_that_is_lost_again_and_again_is_given_up_and_recorded(tmp_path, monkeypatch):
    cluster, runs = Paper(CPUS), [config(seed=0), config(seed=1)]
    ends = outcomes(cluster, tmp_path, monkeypatch, *runs)
    assert {end.config.run.seed for end in ends} == {0, 1}
    assert cluster.tasks == 2 * (RETRIES + 1)
    for run in runs:
        result = json.loads(RunDirectory(tmp_path, run).result.read_text())
        assert result["status"] == "failed"
        assert f"lost {RETRIES + 1} times (the node is gone)" in result["error"]["message"]


def test_a_run_that_gets_further_before_each_loss_is_not_given_up(tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path, config())
    directory.path.mkdir(parents=True)
    losses = []

    def further():
        losses.append(1)
        if len(losses) <= 3 * RETRIES:
            directory.checkpoint.write_text("another experience")

    cluster = Paper(CPUS, before=further)
    outcomes(cluster, tmp_path, monkeypatch, config())
    assert cluster.tasks == 3 * RETRIES + RETRIES
