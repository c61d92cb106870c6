"""Options that are the habit of other tools, and what is said about wrong ones."""

import csv
import json

import pytest

from cl_strategies.cli import main

pytestmark = pytest.mark.usefixtures("undrawn")

FAST = ["--epochs", "1", "--set", "benchmark.n_experiences=2", "--set", "benchmark.fraction=0.1"]
RUN = ["run", "--benchmarks", "split-digits", "--strategies", "naive", *FAST]


def refused(capsys, *arguments):
    """What a parser answers that ends the process."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 2
    return capsys.readouterr().err


def complaint(capsys, *arguments):
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


def configs(out):
    results = [json.loads(path.read_text()) for path in out.glob("runs/*/result.json")]
    return [result["config"] for result in results]


def test_short_forms_set_what_they_are_short_for(tmp_path, capsys):
    assert main([*RUN, "--seed", "3", "--lr", "2e-2", "--out", str(tmp_path)]) == 0
    (config,) = configs(tmp_path)
    assert (config["run"]["seed"], config["train"]["lr"], config["train"]["epochs"]) == (3, 0.02, 1)
    assert "read, not computed" not in capsys.readouterr().err
    long_ = ["run", "--benchmark", "split-digits", "--strategy", "naive", *FAST]
    long_ += ["--set", "run.seed=3", "--set", "train.lr=0.02", "--out", str(tmp_path)]
    assert main(long_) == 0  # the same run, which is read
    assert len(configs(tmp_path)) == 1 and "read, not computed" in capsys.readouterr().err


def test_compare_takes_singular_and_plural(tmp_path, capsys):
    names = ["--benchmarks", "split-digits", "--strategy", "naive", "--seed", "0-1"]
    out = ["--executor", "serial", "--out", str(tmp_path)]
    assert main(["compare", *names, *FAST, *out]) == 0
    assert sorted(config["run"]["seed"] for config in configs(tmp_path)) == [0, 1]


def test_options_of_other_commands_lines_are_told_how_to_set_them(capsys):
    names = ["compare", "--benchmark", "image-folder", "--strategies", "naive"]
    assert "--set benchmark.path=VALUE" in refused(capsys, *names, "--path", "photos")
    dotted = refused(capsys, *names, "--train.batch-size=3")
    assert "write --set train.batch_size=VALUE" in dotted
    for key, meant in {"path": "benchmark.path", "batch_size": "train.batch_size"}.items():
        assert f"for example {meant}" in complaint(capsys, *names, "--set", f"{key}=8")
    order = complaint(capsys, *names, "--set", "benchmark.class_order=cat, dog")
    assert 'a list is written as ["cat", "dog"]' in order


def test_no_command_is_answered_with_all_of_them(capsys):
    assert main([]) == 2
    assert "first steps" in capsys.readouterr().err


def test_tune_without_a_suite_tries_what_is_not_set(tmp_path, capsys):
    data = tmp_path / "data"
    names = ["--benchmark", "split-digits", "--strategies", "naive", "--seeds", "7"]
    out = ["--executor", "serial", "--data-root", str(data), "--out", str(tmp_path)]
    assert main(["tune", *names, *FAST, *out]) == 0
    rows = list(csv.DictReader((tmp_path / "tuning.csv").open()))
    assert [row["settings"] for row in rows] == [f"train.lr={x}" for x in (0.0003, 0.001, 0.003)]
    assert {config["benchmark"]["fraction"] for config in configs(tmp_path)} == {0.1}
    assert {config["benchmark"]["data_root"] for config in configs(tmp_path)} == {str(data)}
    assert "fraction" not in (tmp_path / "tuned.toml").read_text()
    names[3] = "si"
    fixed = ["--lr", "0.1", "--set", "strategy.strength=1"]
    assert "leave one out" in complaint(capsys, "tune", *names, *FAST, *fixed, *out)


def test_of_one_key_that_is_set_again_the_last_value_counts(tmp_path, capsys):
    assert (
        main([*RUN, "--set", "train.lr=1", "--set", "train.lr=0.02", "--out", str(tmp_path)]) == 0
    )
    assert configs(tmp_path)[0]["train"]["lr"] == 0.02


@pytest.mark.parametrize(
    ("arguments", "usage", "message"),
    [
        (["run", "--stratgey", "naive"], "cl-strategies run", "did you mean --strategy"),
        (["tune", "a", "b"], "cl-strategies tune", "nothing is known to do with b"),
        (["compar"], "cl-strategies [-h]", "unknown command 'compar': did you mean compare?"),
        (["datasets", "fetsh"], "cl-strategies datasets", "did you mean fetch?"),
        (["--quiet", "list"], "cl-strategies [-h]", "unknown option '--quiet'"),
    ],
)
def test_a_wrong_option_is_answered_under_the_usage_of_its_command(
    capsys, arguments, usage, message
):
    error = refused(capsys, *arguments)
    assert error.startswith(f"usage: {usage}") and message in error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "strategy.c=1", "--set", "strategy.strength=2"], "strength is given twice"),
        (["--epochs", "1", "--set", "train.epochs=2"], "train.epochs is set by --epochs 1 and by"),
        (["--lr", "many"], "give a number"),
        (["--seed", "0-2"], "`compare` takes several"),
        (["--strategy", "si,ewc"], "`compare` takes several"),
    ],
)
def test_contradictions_are_refused(capsys, tmp_path, more, message):
    run = ["run", "--benchmark", "split-digits", "--strategy", "si", "--out", str(tmp_path)]
    assert message in complaint(capsys, *run, *more)
    assert not (tmp_path / "runs").exists()


def test_compare_refuses_a_seed_for_all_of_several_seeds(capsys):
    names = ["--benchmark", "split-digits", "--strategies", "naive", "--seeds", "0-1"]
    error = complaint(capsys, "compare", *names, "--set", "run.seed=3")
    assert "run.seed is set by --seed and by --set run.seed=3" in error
