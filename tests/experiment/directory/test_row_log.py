"""The rows of a run: appended, counted by a checkpoint, cut off where it ends."""

from __future__ import annotations

import json

import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.row_log import RowLog
from cl_strategies.experiment.directory.rows import COLUMNS
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.state.checkpoint import load_checkpoint


def row(position):
    return {
        "experience": position,
        "accuracy": [0.5] * (position + 1),
        **dict.fromkeys(COLUMNS, position),
    }


@pytest.fixture
def log(tmp_path):
    made = RowLog(tmp_path / "metrics.jsonl")
    made.clear()
    for position in range(3):
        made.append(row(position))
    return made


def test_what_was_appended_comes_back_and_goes_on(log):
    mark = log.mark()
    again = RowLog(log.path)
    again.restore(mark, 9)
    assert again.rows == log.rows == [row(0), row(1), row(2)]
    assert again.mark() == mark
    again.append(row(3))
    log.append(row(3))
    assert again.mark()["rows"] == 4 and again.mark()["bytes"] > mark["bytes"]


def test_a_mark_does_not_grow(log):
    before = len(json.dumps(log.mark()))
    for position in range(3, 300):
        log.append(row(position))
    assert len(json.dumps(log.mark())) <= before + 6  # a few more digits


@pytest.mark.parametrize("more", [b"x", b'{"experience": 3', b"\xff\n\n"])
def test_what_the_checkpoint_does_not_count_is_cut_off(log, more):
    mark, content = log.mark(), log.path.read_bytes()
    log.path.write_bytes(content + more)
    again = RowLog(log.path)
    again.restore(mark, 9)
    assert log.path.read_bytes() == content and len(again.rows) == 3


def test_fewer_or_other_lines_are_named(log):
    mark, content = log.mark(), log.path.read_bytes()
    for changed in (b"", content[:-1], content.replace(b"0.5", b"0.6", 1), b"\n" * len(content)):
        log.path.write_bytes(changed)
        with pytest.raises(UserError, match=r"metrics\.jsonl (has|holds) .*delete it"):
            RowLog(log.path).restore(mark, 9)
        assert log.path.read_bytes() == changed


def test_rows_of_a_longer_stream_are_named(log):
    with pytest.raises(UserError, match="does not fit this run"):
        RowLog(log.path).restore(log.mark(), 2)


def made(**benchmark):
    tables = {"name": "permuted-digits", "n_experiences": 8, "fraction": 0.1, **benchmark}
    return ExperimentConfig.from_dict(
        {
            "benchmark": tables,
            "model": {"name": "mlp", "hidden": [4]},
            "strategy": {"name": "naive"},
            "train": {"epochs": 1},
        }
    )


def stop(done, total):
    if done == 3:
        raise KeyboardInterrupt


def test_a_run_without_its_rows_starts_again_and_says_so(tmp_path, caplog):
    whole = run(made(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(made(), tmp_path, progress=stop)
    directory = RunDirectory(tmp_path, made())
    directory.metrics.unlink()
    told = []
    record = run(made(), tmp_path, progress=lambda done, total: told.append(done))
    assert told[0] == 0 and record.accuracy_matrix == whole.accuracy_matrix
    assert "starts again from its first experience" in caplog.text


def test_a_line_that_came_before_a_kill_is_measured_again(tmp_path, monkeypatch):
    from cl_strategies.experiment.engine import training

    whole = run(made(), tmp_path / "whole")
    save, calls = training.save_checkpoint, []

    def killed(path, state):
        calls.append(path)
        if len(calls) == 4:
            raise KeyboardInterrupt
        save(path, state)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "save_checkpoint", killed)
        run(made(), tmp_path)
    directory = RunDirectory(tmp_path, made())
    assert len(directory.metrics.read_text().splitlines()) == 4
    assert load_checkpoint(directory.checkpoint)["rows"]["rows"] == 3
    assert run(made(), tmp_path).accuracy_matrix == whole.accuracy_matrix
    assert len(directory.metrics.read_text().splitlines()) == 8


@pytest.mark.parametrize(
    "strategy",
    [
        *("naive", "si", "ewc", "lwf"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("alasso", "mas")),
    ],
)
def test_checkpoints_of_a_memory_of_constant_size_do_not_grow(strategy, tmp_path):
    tables = made(n_experiences=12).to_dict() | {"strategy": {"name": strategy}}
    config = ExperimentConfig.from_dict(tables)
    sizes = []
    checkpoint = RunDirectory(tmp_path, config).checkpoint
    run(
        config,
        tmp_path,
        progress=lambda done, total: sizes.append(checkpoint.stat().st_size if done else 0),
    )
    assert sizes[-1] - sizes[4] <= 1024, sizes  # over eight experiences
