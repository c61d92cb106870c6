"""Strategies that do nothing as they are set are named, with the command that tunes them."""

from __future__ import annotations

import json
import shlex

import pytest

from cl_strategies.errors import UserError
from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.inert import inert
from cl_strategies.results.heading import FILE, Origin, read_heading, read_origin, write_heading

ACTS = [[0.9, None], [0.5, 0.9]]
PLAIN = [[0.9, None], [0.3, 0.9]]


@pytest.fixture
def sentences(make_record):
    def found(*runs, origin=None):
        return inert(group_records(make_record(name, **more) for name, more in runs), origin)

    return found


def test_who_equals_naive_in_every_run_is_named_with_the_command(sentences):
    runs = [
        (name, {"seed": seed, "matrix": PLAIN}) for name in ("naive", "b", "a") for seed in (0, 1)
    ]
    (sentence,) = sentences(*runs, ("c", {"matrix": ACTS}), origin=Origin("mine.toml"))
    assert sentence.startswith("On synthetic-stream, a and b have the accuracies of naive to the ")
    command = "cl-strategies tune mine.toml --benchmark synthetic-stream --strategies a,b"
    assert sentence.endswith(command)


def test_one_run_that_differs_is_enough(sentences):
    same, other = {"matrix": PLAIN}, {"matrix": ACTS, "seed": 1}
    assert not sentences(("naive", same), ("naive", {**same, "seed": 1}), ("a", same), ("a", other))


def test_equal_accuracies_of_other_runs_say_nothing(sentences):
    same = {"matrix": PLAIN}
    assert not sentences(("naive", same), ("a", {**same, "seed": 1}))
    assert not sentences(("naive", same), ("a", {**same, "train": {"lr": 0.5}}))
    assert not sentences(("naive", {"matrix": [[0.9]]}), ("a", {"matrix": [[0.9]]}))
    assert not sentences(("a", same), ("b", same))


def test_a_command_is_safe_to_copy_and_sets_what_was_set():
    origin = Origin("a b; c.toml", {"train.epochs": 3, "model.hidden": [8, 8], "model.name": "mlp"})
    origin.settings["strategy.strength"] = 1.0  # which is what did nothing
    words = shlex.split(origin.tune_command("s", ["x", "y"]))
    assert words[:7] == [
        *("cl-strategies", "tune", "a b; c.toml", "--benchmark", "s", "--strategies", "x,y")
    ]
    assert words[7:] == [
        *("--set", "train.epochs=3", "--set", "model.hidden=[8, 8]", "--set", "model.name=mlp")
    ]


def test_an_origin_is_read_as_it_was_written_and_may_be_missing(tmp_path):
    assert read_origin(tmp_path) is None
    write_heading(tmp_path, "mine", "A title")
    assert read_origin(tmp_path) is None and read_heading(tmp_path) == "A title"
    origin = Origin("quickstart", {"train.epochs": 3})
    write_heading(tmp_path, "mine", "", origin)
    assert read_origin(tmp_path) == origin and read_heading(tmp_path) == "mine"


@pytest.mark.parametrize(
    "origin", [[], {"suite": 3, "settings": {}}, {"suite": "\x1b", "settings": {}}]
)
def test_a_damaged_origin_is_named(tmp_path, origin):
    (tmp_path / FILE).write_text(json.dumps({"name": "a", "title": "", "origin": origin}))
    with pytest.raises(UserError, match="cannot be read"):
        read_origin(tmp_path)
