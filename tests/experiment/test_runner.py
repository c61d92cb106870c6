"""One run: its numbers, its folder, its resumption, its failures."""

import json
import random

import numpy as np
import pytest
import torch
from PIL import Image

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig, override
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine import training
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.setup.build import build_benchmark
from cl_strategies.experiment.state.checkpoint import load_checkpoint

TABLES = {
    "benchmark": {"name": "split-digits", "n_experiences": 3, "fraction": 0.3},
    "strategy": {"name": "si"},
    "model": {"hidden": [32]},
    "train": {"epochs": 2},
}


def config(**changes):
    values = {key.replace("__", "."): value for key, value in changes.items()}
    return ExperimentConfig.from_dict(override(TABLES, values))


def numbers(record):
    return record.accuracy_matrix, record.bytes, record.config_hash


def same(left, right):
    """Whether nested plain data and tensors are equal bit for bit."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def stop_after(experiences):
    def progress(done, total):
        if done == experiences:
            raise KeyboardInterrupt

    return progress


def test_a_run_leaves_what_the_design_promises(tmp_path):
    record = run(config(), tmp_path)
    folder = RunDirectory(tmp_path, config()).path
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.toml",
        "environment.json",
        "metrics.jsonl",
        "checkpoint.pt",
        "predictions",
        "result.json",
    }
    assert ExperimentConfig.from_toml(folder / "config.toml").hash == config().hash
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["accuracy"] for row in rows] == [
        [value for value in row if value is not None] for row in record.accuracy_matrix
    ]
    assert record.metrics["average_accuracy"] == pytest.approx(np.mean(rows[-1]["accuracy"]))
    assert json.loads((folder / "environment.json").read_text())["device"]


def test_the_same_config_gives_the_same_numbers_and_another_seed_others(tmp_path):
    first, again = run(config(), tmp_path / "a"), run(config(), tmp_path / "b")
    assert numbers(first) == numbers(again)
    other = run(config(run__seed=1), tmp_path / "a")
    assert other.accuracy_matrix != first.accuracy_matrix


@pytest.mark.parametrize("finished", [1, 2])
def test_an_interrupted_run_resumes_with_the_same_numbers(tmp_path, finished):
    whole = run(config(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path / "cut", progress=stop_after(finished))
    told = []
    resumed = run(config(), tmp_path / "cut", progress=lambda done, total: told.append(done))
    assert told[0] == finished
    assert numbers(resumed) == numbers(whole)
    weights = [
        load_checkpoint(RunDirectory(tmp_path / name, config()).checkpoint)
        for name in ("whole", "cut")
    ]
    assert same(weights[0]["strategy"], weights[1]["strategy"])


MEMORY = {
    **{"model__name": "small-resnet", "model__hidden": None, "model__channels": [8]},
    **{"strategy__name": "cim", "strategy__mem_bytes": 2000, "strategy__artifact_interval": 1},
    **{"model__stem_stride": 1, "benchmark__fraction": 0.15},
}


def with_memory():
    tables = override(TABLES, {k.replace("__", "."): v for k, v in MEMORY.items() if v})
    del tables["model"]["hidden"]
    return ExperimentConfig.from_dict(tables)


def test_a_memory_in_bytes_is_recorded_after_each_experience_and_pictured_at_the_end(tmp_path):
    record = run(with_memory(), tmp_path)
    columns = record.exemplars
    assert list(columns["classes"]) == [4, 7, 10] and len(columns["count"]) == 3
    assert all(0 < used <= 2000 for used in columns["bytes"])
    sheet = RunDirectory(tmp_path, with_memory()).path / "exemplars.png"
    assert Image.open(sheet).size[0] > 100
    assert run(config(), tmp_path).exemplars == {}


def test_exemplars_and_their_pictures_are_the_same_after_an_interruption(tmp_path):
    records = [run(with_memory(), tmp_path / "whole")]
    with pytest.raises(KeyboardInterrupt):
        run(with_memory(), tmp_path / "cut", progress=stop_after(2))
    records.append(run(with_memory(), tmp_path / "cut"))
    assert records[0].exemplars == records[1].exemplars
    sheets = [
        (RunDirectory(tmp_path / name, with_memory()).path / "exemplars.png").read_bytes()
        for name in ("whole", "cut")
    ]
    assert sheets[0] == sheets[1]


def test_a_finished_run_is_read_not_repeated(tmp_path, monkeypatch):
    record = run(config(), tmp_path)
    monkeypatch.setattr(training, "build_strategy", lambda *a, **k: pytest.fail("trained again"))
    assert run(config(), tmp_path) == record


def test_the_callers_random_generators_are_untouched(tmp_path):
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    run(config(), tmp_path)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after


def test_strategies_start_from_the_same_weights_and_see_the_same_order(tmp_path):
    first = run(config(strategy__name="naive", train__epochs=1), tmp_path)
    same = run(config(strategy__name="si", strategy__c=0.0, train__epochs=1), tmp_path)
    assert first.accuracy_matrix == same.accuracy_matrix


def test_joint_training_measures_the_last_row_only(tmp_path):
    record = run(config(strategy__name="joint"), tmp_path)
    *early, last = record.accuracy_matrix
    assert all(value is None for row in early for value in row)
    assert None not in last
    assert record.metrics["forgetting"] is None and record.metrics["average_accuracy"] > 0


def test_a_diverged_run_is_recorded_and_not_tried_again(tmp_path):
    bad = config(train__optimizer="sgd", train__lr=1e30)
    record = run(bad, tmp_path)
    assert record.status == "failed" and record.error["kind"] == "diverged"
    assert record.metrics == {} and "lower the learning rate" in record.error["message"]
    written = RunDirectory(tmp_path, bad).result.stat().st_mtime_ns
    run(bad, tmp_path)
    assert RunDirectory(tmp_path, bad).result.stat().st_mtime_ns == written


def test_a_last_step_that_explodes_is_divergence_though_no_loss_shows_it(tmp_path):
    steps = {"train__epochs": 1, "train__batch_size": 4096}  # one
    record = run(config(**steps, train__optimizer="sgd", train__lr=1e30), tmp_path)
    assert record.status == "failed" and record.error["kind"] == "diverged"
    assert "a weight is " in record.error["message"]


def test_a_loss_that_explodes_without_end_is_divergence_though_finite(tmp_path):
    record = run(config(train__lr=1e5), tmp_path)
    assert record.status == "failed" and record.error["kind"] == "diverged"
    assert "the loss is" in record.error["message"] and "not finite" not in record.error["message"]


def test_what_a_strategy_refuses_while_it_trains_is_recorded(tmp_path, monkeypatch):
    def refuses(*arguments, **options):
        raise UserError("not these images")

    monkeypatch.setattr("cl_strategies.strategies.SI.train", refuses)
    record = run(config(), tmp_path)
    assert record.status == "failed" and "not these images" in record.error["message"]


def test_memory_that_runs_out_is_a_failure_with_its_traceback(tmp_path, monkeypatch):
    def greedy(*arguments, **options):
        torch.empty(2**60, dtype=torch.uint8)

    with monkeypatch.context() as patch:
        patch.setattr("cl_strategies.strategies.SI.train", greedy)
        record = run(config(), tmp_path)
    assert record.status == "failed" and "memory" in record.error["message"]
    assert "in greedy" in record.error["traceback"]
    assert run(config(), tmp_path).status == "finished"


def test_an_unexpected_error_is_recorded_with_its_traceback_and_tried_again(tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise MemoryError("no memory for this")

    with monkeypatch.context() as patch:
        patch.setattr(training, "build_strategy", broken)
        record = run(config(), tmp_path)
    assert record.status == "failed" and record.error["kind"] == "error"
    assert "no memory for this" in record.error["message"]
    assert "Traceback" in record.error["traceback"]
    assert run(config(), tmp_path).status == "finished"


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, progress=stop_after(1))
    other = RunDirectory(tmp_path, config(run__seed=1))
    other.path.mkdir(parents=True)
    other.checkpoint.write_bytes(RunDirectory(tmp_path, config()).checkpoint.read_bytes())
    with pytest.raises(UserError, match="another configuration"):
        run(config(run__seed=1), tmp_path)


def test_task_order_is_recorded_and_changes_the_stream(tmp_path):
    ordered = config(benchmark__order=[2, 0, 1])
    assert list(run(ordered, tmp_path).task_order) == [2, 0, 1]
    natural, permuted = (build_benchmark(c.benchmark) for c in (config(), ordered))
    assert (
        permuted.train_stream[0].classes_in_this_experience
        == natural.train_stream[2].classes_in_this_experience
    )


def test_a_strategy_that_does_not_support_the_scenario_is_refused(tmp_path, monkeypatch):
    from dataclasses import replace

    from cl_strategies.registry import registry

    entries = registry("strategies")._entries
    monkeypatch.setitem(entries, "si", replace(entries["si"], scenarios=("task",)))
    with pytest.raises(UserError, match="class-incremental form; it supports: task"):
        run(config(), tmp_path)


def test_the_seeds_of_a_run_are_those_of_every_published_number(tmp_path, monkeypatch):
    seeds = []
    seed_everything = training.seed_everything
    monkeypatch.setattr(
        training, "seed_everything", lambda seed: (seeds.append(seed), seed_everything(seed))
    )
    run(config(train__epochs=1), tmp_path)
    assert seeds == [345434530, 1797776815, 3155290462, 3081334030]
