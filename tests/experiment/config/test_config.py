"""A config is checked, complete, and known by its hash."""

import pytest
import tomli_w

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.reading import parse_assignment
from cl_strategies.experiment.config.run_config import ExperimentConfig, override

TABLES = {"benchmark": {"name": "split-digits"}, "strategy": {"name": "si", "c": 2.0}}


def config(**changes):
    return ExperimentConfig.from_dict(
        override(TABLES, changes and {k.replace("__", "."): v for k, v in changes.items()})
    )


def test_toml_and_dataclasses_correspond(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(tomli_w.dumps({**TABLES, "train": {"epochs": 3, "lr": 1}}))
    read = ExperimentConfig.from_toml(path)
    assert read.train.epochs == 3 and read.train.lr == 1.0
    assert ExperimentConfig.from_dict(read.to_dict()) == read


def test_the_command_line_beats_the_file(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(tomli_w.dumps({**TABLES, "train": {"epochs": 3}}))
    assert ExperimentConfig.from_toml(path, {"train.epochs": 7}).train.epochs == 7


def test_saying_a_default_aloud_does_not_change_the_hash():
    assert config().hash == config(train__epochs=1, run__seed=0, strategy__xi=0.1).hash


@pytest.mark.parametrize(
    "change",
    [{"train__lr": 0.5}, {"run__seed": 1}, {"strategy__c": 3.0}, {"benchmark__order": 1}],
)
def test_every_number_that_matters_changes_the_hash(change):
    assert config(**change).hash != config().hash


def test_a_schedule_changes_the_hash_and_a_constant_rate_is_not_mentioned():
    stepped = config(train__schedule="step", train__milestones=[1, 3])
    assert len({config().hash, stepped.hash, config(train__schedule="cosine").hash}) == 3
    assert ExperimentConfig.from_dict(stepped.to_dict()) == stepped
    assert "schedule" not in config().to_dict()["train"]
    assert config(train__schedule="constant").hash == config().hash


def test_the_place_of_the_data_does_not_change_the_hash():
    assert config(benchmark__data_root="elsewhere").hash == config().hash


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy.name": "alaso"}, "did you mean alasso"),
        ({"benchmark.name": "split-digit"}, "did you mean split-digits"),
        ({"model.name": "mpl"}, "did you mean mlp"),
        ({"train.epoch": 3}, "did you mean epochs"),
        ({"train.epochs": 0}, "at least 1"),
        ({"train.epochs": 1.5}, "give an integer of at least 1"),
        ({"train.lr": "fast"}, "give a number above 0"),
        ({"train.lr": 0.0}, "give a number above 0"),
        ({"train.optimizer": "adma"}, "did you mean adam"),
        ({"train.momentum": 0.9}, "option of sgd"),
        ({"train.schedule": "cosin"}, "did you mean cosine"),
        ({"train.schedule": "step"}, "needs at least one"),
        ({"train.milestones": [3]}, "milestones belong to"),
        ({"train.schedule": "step", "train.milestones": [3, 2]}, "growing numbers"),
        (
            {"train.schedule": "step", "train.milestones": ["a"]},
            "give a list of integers of at least 0",
        ),
        ({"train.unseen_classes": "forget"}, "known: mask, train"),
        ({"train.schedule": "step", "train.milestones": 3}, "give a list"),
        ({"train.schedule": "step", "train.milestones": [3], "train.gamma": 2.0}, "train.gamma"),
        ({"run.seed": -1}, "at least 0"),
        ({"strategy.cc": 1.0}, "unknown option of si"),
        ({"strategy.c": "strong"}, "si.strength is 'strong', a str: give 0 or more"),
    ],
)
def test_what_does_not_fit_is_named_with_a_remedy(changes, message):
    with pytest.raises(UserError, match=message):
        ExperimentConfig.from_dict(override(TABLES, changes))


def test_unknown_tables_are_named():
    with pytest.raises(UserError, match="unknown table 'trian': did you mean train"):
        ExperimentConfig.from_dict({**TABLES, "trian": {}})


def test_a_config_needs_a_benchmark_and_a_strategy():
    with pytest.raises(UserError, match=r"needs a table \[strategy\]"):
        ExperimentConfig.from_dict({"benchmark": {"name": "split-digits"}})


def test_broken_toml_is_named(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("[train\n")
    with pytest.raises(UserError, match=r"broken.toml is not valid TOML"):
        ExperimentConfig.from_toml(path)
    with pytest.raises(UserError, match="cannot read"):
        ExperimentConfig.from_toml(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.epochs=3", ("train.epochs", 3)),
        ("train.lr=1e-3", ("train.lr", 0.001)),
        ("train.optimizer=sgd", ("train.optimizer", "sgd")),
        ("benchmark.order=[1, 0]", ("benchmark.order", [1, 0])),
        ("strategy.monotone=false", ("strategy.monotone", False)),
    ],
)
def test_assignments_are_toml_and_bare_words_are_strings(text, expected):
    assert parse_assignment(text) == expected


@pytest.mark.parametrize("text", ["train.epochs", "=3", ""])
def test_an_assignment_needs_a_key_and_a_value(text):
    with pytest.raises(UserError, match="write key=value"):
        parse_assignment(text)


@pytest.mark.parametrize("key", ["epochs", "trian.epochs"])
def test_an_override_names_a_table(key):
    with pytest.raises(UserError, match="write table.key=value"):
        override(TABLES, {key: 3})
