"""Who watches a run is told where it is, and changes nothing."""

import random

import numpy as np
import pytest
import torch

from cl_strategies.experiment import ExperimentConfig, run
from cl_strategies.experiment.engine.watching import sparingly
from cl_strategies.experiment.sweep.executors import serial

TABLES = {
    "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.1},
    "strategy": {"name": "replay", "mem_size": 20},
    "train": {"epochs": 3},
}


def config(**more):
    return ExperimentConfig.from_dict({**TABLES, **more})


def test_moments_say_where_a_run_is_and_change_no_number(tmp_path):
    moments = []

    def disturbing(moment):
        moments.append(moment)
        random.random(), np.random.rand(), torch.rand(1)

    watched = run(config(), tmp_path / "watched", watch=disturbing)
    plain = run(config(), tmp_path / "plain")
    assert watched.accuracy_matrix == plain.accuracy_matrix
    assert watched.bytes == plain.bytes and watched.config_hash == plain.config_hash
    ends = [moment for moment in moments if moment.over]
    assert [(m.experience, m.epoch) for m in ends] == [(k, e) for k in (0, 1) for e in (1, 2, 3)]
    assert {(m.experiences, m.epochs, m.lr) for m in ends} == {(2, 3, 0.001)}
    assert [m.share for m in ends] == pytest.approx([1 / 3, 2 / 3, 1.0] * 2)
    assert ends[2].loss < ends[0].loss < 5


def test_parts_of_an_experience_count_together(tmp_path):
    moments = []
    online = {"name": "online-split-digits", "n_experiences": 2, "fraction": 0.1}
    run(config(benchmark=online, train={}), tmp_path, watch=moments.append)
    first = [moment for moment in moments if moment.over and moment.experience == 0]
    assert len(first) == first[-1].epochs > 1 and first[-1].share == 1.0


def test_runs_of_a_comparison_are_watched(tmp_path):
    seen = []
    configs = [config(), config(run={"seed": 1})]
    outcomes = list(serial(configs, tmp_path, watch=lambda c, m: seen.append((c.slug, m))))
    assert [outcome.problem for outcome in outcomes] == [None, None]
    assert {slug for slug, _ in seen} == {one.slug for one in configs}


def test_who_looks_only_is_told_sparingly():
    told = []
    tell = sparingly(told.append, period=3600)
    for number in range(3):
        tell(number)
    assert told == [0]
