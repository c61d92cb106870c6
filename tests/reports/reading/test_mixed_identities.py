"""Means and comparisons over runs of several identities carry a note."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cl_strategies.errors import UserError
from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.mixing import identity_rows, mixed
from cl_strategies.reports.reading.collection import Run
from cl_strategies.results.identity import Identity
from cl_strategies.results.record import RunRecord, load_result, write_result


@pytest.fixture
def run_of(make_record):
    """A run of one identity; without one, of an earlier version."""

    def make(strategy="a", *, seed=0, data="d1", code="1.0", version="0.1.0", **packages):
        record = make_record(strategy, seed=seed, benchmark_options={"order": seed})
        identity = Identity(data=data, packages={"cl-strategies": code, **packages})
        record = replace(record, identity=identity if data else None)
        environment = {"cl-strategies": version}
        return Run(directory=record.config_hash, record=record, environment=environment)

    return make


def said(*runs):
    return " ".join(mixed(runs, group_records(run.record for run in runs)))


def test_an_identity_survives_the_file_and_a_wrong_one_is_named(run_of, tmp_path):
    record = run_of(theirs="2 source ab").record
    write_result(tmp_path / "result.json", record)
    assert load_result(tmp_path / "result.json").identity == record.identity
    data = record.to_dict()
    for wrong in (None, {"data": "a"}, {"data": 1, "packages": {}}, {"data": "a", "packages": [1]}):
        with pytest.raises(UserError, match="'identity"):
            RunRecord.from_dict({**data, "identity": wrong})
    del data["identity"]
    assert RunRecord.from_dict(data).identity is None


def test_runs_of_one_identity_and_runs_of_before_need_no_note(run_of):
    assert not said(run_of(seed=0), run_of(seed=1), run_of("b", theirs="2"))
    assert not said(run_of(seed=0, data=""), run_of("b", data=""))


def test_other_code_is_named_with_the_means_that_mix_it(run_of):
    text = said(run_of(seed=0), run_of(seed=1), run_of(seed=2, code="1.1"), run_of("b"))
    assert "cl-strategies 1.0 (3 runs) and cl-strategies 1.1 (1 run)" in text
    assert "means of a on synthetic-stream" in text and "--rerun" in text and " b " not in text


def test_other_code_of_whole_strategies_mixes_no_mean_but_is_named(run_of):
    assert "No mean mixes them, but comparisons do" in said(run_of(), run_of("b", code="1.1"))


def test_a_run_of_before_beside_one_of_now_is_named(run_of):
    text = said(run_of(seed=0, data=""), run_of(seed=1))
    assert "cl-strategies 0.1.0, identity unknown (1 run)" in text and "means of a" in text


def test_other_data_are_named_whatever_the_order_of_the_tasks(run_of):
    text = said(run_of(seed=0), run_of(seed=1, data="d2"))
    assert "data d1 (1 run) and data d2 (1 run)" in text and "means of a" in text


def test_the_environment_lists_code_and_data(run_of):
    (row,) = identity_rows([run_of(), run_of(data="")])
    assert row == {"identity": {"cl-strategies": "1.0", "data of synthetic-stream": "d1"}}


def test_a_run_that_is_continued_by_other_code_names_each_part_once():
    parts = [
        Identity(data="d", packages=packages)
        for packages in ({"ours": "1"}, {"ours": "2", "theirs": "a"}, {"ours": "2", "theirs": "a"})
    ]
    whole = parts[0].continued(parts[1]).continued(parts[2])
    assert whole.packages == {"ours": "1, then 2", "theirs": "not used, then a"}
    assert whole.last() == parts[2]
    assert not whole.last().other_packages(parts[2].packages)
    assert "ours was 1, then 2, is 2" in whole.other_packages(parts[2].packages)
