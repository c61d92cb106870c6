"""A configuration file sends nobody to other folders; a command line may."""

from __future__ import annotations

import pytest
import tomli_w

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.config.suite import Suite
from cl_strategies.experiment.sweep.tuning import trials

pytestmark = pytest.mark.usefixtures("undrawn")

ELSEWHERE = ["../elsewhere", "/elsewhere", "~/elsewhere", "data/../../elsewhere", "~nobody/data"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CL_STRATEGIES_DATA", raising=False)
    return folder


def write(root, **more):
    benchmark = {"name": "split-digits", "data_root": root}
    run = {"benchmark": benchmark, "strategy": {"name": "naive"}}
    suite = {"benchmarks": [benchmark], "strategies": [{"name": "naive"}], **more}
    for name, tables in {"run.toml": run, "suite.toml": suite}.items():
        with open(name, "wb") as file:
            tomli_w.dump(tables, file)


@pytest.mark.parametrize("root", ELSEWHERE)
def test_a_file_may_not_name_a_folder_elsewhere(root):
    write(root)
    for read in (
        lambda: ExperimentConfig.from_toml("run.toml"),
        Suite.from_toml("suite.toml").configs,
    ):
        with pytest.raises(UserError, match="outside of the current folder.*--data-root"):
            read()


@pytest.mark.parametrize("command", [["run", "run.toml"], ["compare", "suite.toml"]])
def test_the_command_line_may(command, capsys, tmp_path):
    write("../elsewhere")
    cut = ["--set", "benchmark.fraction=0.1", "--set", "benchmark.n_experiences=2"]
    more = ["--executor", "serial"] if command[0] == "compare" else []
    assert main([*command, *cut, *more]) == 2
    assert "outside of the current folder" in capsys.readouterr().err
    assert not (tmp_path / "here" / "comparison").exists()
    (tmp_path / "elsewhere").mkdir()
    assert main([*command, *cut, *more, "--data-root", "../elsewhere"]) == 0


@pytest.mark.parametrize("root", ["data", ".", "a/../data"])
def test_a_file_may_name_a_folder_below_the_current_one(root):
    write(root)
    assert ExperimentConfig.from_toml("run.toml").benchmark.options["data_root"] == root
    assert len(Suite.from_toml("suite.toml").configs()) == 1


def test_a_file_may_name_a_folder_below_that_of_the_data(tmp_path, monkeypatch):
    write(str(tmp_path / "data" / "sets"))
    with pytest.raises(UserError, match="outside"):
        ExperimentConfig.from_toml("run.toml")
    monkeypatch.setenv("CL_STRATEGIES_DATA", str(tmp_path / "data"))
    ExperimentConfig.from_toml("run.toml")


def test_no_grid_of_a_suite_leads_elsewhere():
    grid = {"benchmark.data_root": ["/elsewhere"]}
    write("data", tuning={"seeds": [7], "grid": grid})
    with pytest.raises(UserError, match="suite.toml wants data from /elsewhere"):
        trials(Suite.from_toml("suite.toml"))


def test_code_may_name_any_folder():
    tables = {
        "benchmark": {"name": "split-digits", "data_root": "/elsewhere"},
        "strategy": {"name": "naive"},
    }
    assert ExperimentConfig.from_dict(tables).benchmark.options["data_root"] == "/elsewhere"
