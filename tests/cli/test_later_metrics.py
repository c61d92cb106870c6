"""``cl-strategies metrics``."""

import pytest

from cl_strategies.cli import main
from cl_strategies.reports.derived.keys import KEYS


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    arguments = [
        "--set",
        "benchmark.fraction=0.1",
        "--set",
        "model.hidden=[4]",
        "--out",
        str(folder),
    ]
    for seed in (0, 1):
        command = ["run", "--benchmark", "split-digits", "--strategy", "naive"]
        assert main([*command, "--set", f"run.seed={seed}", *arguments]) == 0
    return folder


def test_metrics_are_added_and_printed_again(out, capsys):
    assert main(["metrics", str(out), "--add", "ece", "acc", "--add", "class_accuracy"]) == 0
    first = capsys.readouterr().out
    assert first.startswith("naive on split-digits, 2 runs\n  acc ")
    assert " ± " in first and "(1 more list in metrics.json)" in first
    assert main(["metrics", str(out)]) == 0
    assert capsys.readouterr().out == first


def test_undefined_metrics_say_why(out, capsys):
    assert main(["metrics", str(out), "--add", "fwt_isolated_all"]) == 0
    assert "undefined: no finished single-task run" in capsys.readouterr().out


def test_all_that_can_be_added_is_listed(capsys):
    assert main(["metrics", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(KEYS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--add", "eec"], "eec"),
        (["--add", "wf_w"], "while a run trains"),
    ],
)
def test_unknown_names_are_bad_input(out, capsys, arguments, said):
    assert main(["metrics", str(out), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_bad_folders_are_bad_input(tmp_path, capsys):
    assert main(["metrics"]) == 2
    assert main(["metrics", str(tmp_path), "--add", "acc"]) == 2
    assert "no runs found" in capsys.readouterr().err


def test_nothing_to_print_is_said(tmp_path, capsys):
    command = ["run", "--benchmark", "split-digits", "--strategy", "naive"]
    arguments = ["--set", "benchmark.fraction=0.1", "--set", "model.hidden=[4]"]
    assert main([*command, *arguments, "--out", str(tmp_path)]) == 0
    assert main(["metrics", str(tmp_path)]) == 2
    assert "give --add NAME" in capsys.readouterr().err
