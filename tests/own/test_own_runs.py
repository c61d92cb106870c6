"""Runs of a user's own method: workers, resumed runs, identity, tuning, Python objects."""

import functools
import importlib
import multiprocessing
import sys

import pytest

from cl_strategies import UserError, own_code
from cl_strategies.cli import main
from cl_strategies.experiment import ExperimentConfig, compare, run
from cl_strategies.experiment.identity import suppliers
from cl_strategies.experiment.identity.typed_code import typed_source

STREAM = {"benchmark.fraction": 0.2, "benchmark.n_experiences": 2}


def runs(**more):
    count = own_code.find("my_method:Count")
    given = {"benchmarks": ["split-digits"], "settings": STREAM, "executor_name": "serial"}
    return compare(strategies=["naive", count], model="my_method:net", **{**given, **more})


@pytest.mark.slow
def test_objects_run_in_processes_of_their_own_and_are_read_afterwards(own_folder, caplog):
    result = runs(executor_name="process", jobs=2, out="out")
    assert not result.problems and not result.failed
    naive, own = result.records
    assert own.strategy == "my_method:Count" and own.accuracy_matrix == naive.accuracy_matrix
    assert own.identity.packages["my_method"].startswith("source ")
    assert main(["report", "out"]) == 0
    assert "method:Count" in (own_folder / "out" / "report.md").read_text()
    assert set(runs(out="out").read.values()) == {""} and not caplog.records
    # Its code counts: a changed module is told.
    with open("my_method.py", "a") as file:
        file.write("\nMORE = 1\n")
    del sys.modules["my_method"]
    importlib.invalidate_caches()
    again = runs(out="out")
    assert all("my_method was source" in difference for difference in again.read.values())
    assert "my_method was source" in caplog.text


def test_it_goes_on_after_an_interruption(own_folder):
    tables = {
        "benchmark": {"name": "split-digits", "fraction": 0.2, "n_experiences": 2},
        "model": {"name": "my_method:net"},
        "strategy": {"name": "my_method:Count"},
    }
    config = ExperimentConfig.from_dict(tables)
    whole = run(config, "whole")

    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, "parts", progress=stop)
    del sys.modules["my_method"]  # as in another process
    seen = []
    record = run(ExperimentConfig.from_dict(tables), "parts", progress=lambda *d: seen.append(d))
    assert seen[0] == (1, 2) and record.accuracy_matrix == whole.accuracy_matrix


def test_a_suite_tunes_it(own_folder):
    (own_folder / "suite.toml").write_text(
        "[train]\nepochs = 1\n[model]\nname = 'my_method:net'\n[suite]\nseeds = [0]\n"
        "[[benchmarks]]\nname = 'split-digits'\nfraction = 0.2\nn_experiences = 2\n"
        "[[strategies]]\nname = 'my_method:Count'\n"
        "[tuning]\nseeds = [9]\n[tuning.grid]\nstrength = [1.0, 2.0]\n"
    )
    assert main(["tune", "suite.toml", "--executor", "serial", "--out", "tuned"]) == 0
    assert "my_method:Count" in (own_folder / "tuned" / "tuned.toml").read_text()


def test_the_runs_are_given_in_one_way(own_folder):
    with pytest.raises(UserError, match="either as configs, or as strategies"):
        compare()
    with pytest.raises(UserError, match="either as configs, or as strategies"):
        compare([], strategies=["naive"])
    for strategies in ([], "naive", {"name": "naive"}):
        with pytest.raises(UserError, match="strategies is .*: give a list of at least one"):
            compare(strategies=strategies, benchmarks=["split-digits"])


def test_a_script_hears_of_failed_runs_and_prints_one_line(tmp_path, caplog):
    settings = {**STREAM, "train.lr": 1e30}
    result = compare(
        strategies=["naive"],
        benchmarks=["split-digits"],
        settings=settings,
        executor_name="serial",
        out=tmp_path,
    )
    assert repr(result) == "<Comparison: 0 finished, 1 failed, 0 missing>"
    assert "1 run failed (naive-split-digits-s0-" in caplog.text


def test_a_script_that_workers_import_must_not_compare(monkeypatch):
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(UserError, match='below if __name__ == "__main__":'):
        compare(strategies=["naive"], benchmarks=["split-digits"])


def test_what_was_typed_runs_in_this_process_only(monkeypatch):
    from cl_strategies.strategies import Naive

    main_module = sys.modules["__main__"]
    typed = type("Typed", (Naive,), {"__module__": "__main__", "__qualname__": "Typed"})
    monkeypatch.setattr(main_module, "Typed", typed, raising=False)
    monkeypatch.delattr(main_module, "__file__", raising=False)
    given = {"strategies": [functools.partial(typed)], "benchmarks": ["split-digits"]}
    with pytest.raises(UserError, match="typed in a notebook or at a prompt"):
        compare(**given)
    before = typed_source()
    assert suppliers.describe({"__main__"})["__main__"] == before == typed_source()
    typed.strength = 2
    assert typed_source() != before


def test_a_script_does_not_reach_a_cluster(monkeypatch):
    from cl_strategies.experiment.sweep.objects import check_reach

    config = ExperimentConfig.from_dict(
        {"benchmark": {"name": "split-digits"}, "strategy": {"name": "naive"}}
    )
    object.__setattr__(config.strategy, "name", "__main__:Mine")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "study.py", raising=False)
    check_reach([config], "process")
    with pytest.raises(UserError, match="which no node of Ray imports"):
        check_reach([config], "ray")
