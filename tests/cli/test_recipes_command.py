"""``cl-strategies recipes``: another door to list, show and compare, which says what it needs."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.cli.describing.hours import hours_text
from cl_strategies.cli.parser import make_parser
from cl_strategies.experiment.config.suite import Suite, recipes
from cl_strategies.experiment.sweep.preflight import datasets_of

SMALL = [
    *("--benchmark", "split-digits", "--strategies", "naive", "--seeds", "0", "--epochs", "1"),
    *("--set", "benchmark.fraction=0.1", "--executor", "serial"),
]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_list_and_show_say_what_the_general_commands_say(capsys, form):
    assert printed(capsys, "recipes", "list", *form) == printed(capsys, "list", "recipes", *form)
    shown = printed(capsys, "recipes", "show", "alasso-sensitivity", *form)
    assert shown == printed(capsys, "show", "alasso-sensitivity", *form)


def test_cost_and_data_are_in_what_is_shown(capsys):
    text = printed(capsys, "recipes", "show", "alasso-sensitivity")
    assert re.search(r"expected cost: about [\d.]+ GPU-hours\n  data sets: mnist\n", text)
    told = json.loads(printed(capsys, "recipes", "show", "alasso-sensitivity", "--json"))
    assert told["gpu_hours"] > 1 and told["cpu_hours"] is None and told["datasets"] == ["mnist"]
    assert "quickstart  " in (listed := printed(capsys, "recipes", "list"))
    assert len(re.findall(r"\(about [\d.,]+ [GC]PU-hours\)", listed)) == len(recipes())


@pytest.mark.usefixtures("undrawn")
def test_a_run_says_what_it_needs_and_compares(capsys, tmp_path: Path):
    arguments = ["every-class-incremental", *SMALL]
    assert main(["recipes", "run", *arguments, "--out", str(tmp_path / "a")]) == 0
    said = capsys.readouterr()
    assert re.search(
        r"every-class-incremental: 1 run; expected of the whole recipe: about [\d.]+ CPU-hours; "
        "data sets: none that must be fetched",
        said.err,
    )
    assert main(["compare", *arguments, "--out", str(tmp_path / "b")]) == 0
    assert "expected" not in capsys.readouterr().err
    found = [
        json.loads(next((tmp_path / out).glob("runs/*/result.json")).read_text()) for out in "ab"
    ]
    assert found[0]["accuracy_matrix"] == found[1]["accuracy_matrix"]
    assert (tmp_path / "a" / "report.html").exists()


def test_all_missing_data_sets_are_named_before_anything_starts(capsys, nothing_here, tmp_path):
    out = tmp_path / "out"
    arguments = ["halrp-five-datasets-alexnet", "--seeds", "0", "--orders", "A"]
    assert main(["recipes", "run", *arguments, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "15 runs" in error and "5 data sets missing, nothing was started:" in error
    for name in ("cifar10", "mnist", "svhn", "fashion-mnist", "notmnist"):
        assert f"{name} (missing)" in error
        assert f"get it: cl-strategies datasets fetch {name}" in error
    assert not out.exists()


def test_one_of_two_data_sets_is_not_enough(capsys, nothing_here, tmp_path):
    folder = tmp_path / "data"
    for part in ("train", "val"):
        (folder / "imagenet-100" / part).mkdir(parents=True)
    arguments = ["cim-lucir", "--data-root", str(folder), "--seeds", "0"]
    assert main(["recipes", "run", *arguments]) == 2
    error = capsys.readouterr().err
    assert "imagenet (missing), imagenet-100\n" in error
    assert "1 data set missing" in error and "by hand: register at image-net.org" in error


def test_all_of_imagenet_will_do_for_a_hundred_classes(nothing_here, tmp_path):
    configs = Suite.from_toml("cim-compression").configs({"benchmark.data_root": str(tmp_path)})
    assert [(one.name, one.present) for one in datasets_of(configs)] == [("imagenet-100", False)]
    for part in ("train", "val"):
        (tmp_path / "imagenet" / part).mkdir(parents=True)
    assert [(one.name, one.present) for one in datasets_of(configs)] == [("imagenet", True)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quickstrat"], "unknown recipe 'quickstrat': did you mean quickstart?"),
        (["show", "alasso"], "unknown recipe 'alasso'"),
        (["run", "quickstart", "--seeds", "3-1"], "empty"),
        (["run", "halrp-p-mnist", "--data-root", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    capsys, monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_recipe_is_run_with_the_options_of_compare():
    commands = make_parser()._subparsers._group_actions[0].choices
    actions = commands["recipes"]._subparsers._group_actions[0].choices

    def options(parser: argparse.ArgumentParser) -> set[str]:
        return {*parser._option_string_actions}

    assert options(actions["run"]) == options(commands["compare"])


def test_hours_are_told_with_a_unit():
    assert hours_text({"gpu_hours": 1234.0}) == "about 1,234 GPU-hours"
    assert hours_text({"gpu_hours": None, "cpu_hours": 0.04}) == "about 0.04 CPU-hours"
    assert hours_text({}) == "not stated"


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without data sets."""
    from cl_strategies.benchmarks.datasets.data_folders import ENVIRONMENT_VARIABLE
    from cl_strategies.benchmarks.datasets.registry import DATASETS

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(DATASETS["fashion-mnist"], "system", ())
    monkeypatch.chdir(tmp_path)
