"""What runs store of their predictions: exactly what the accuracies count, and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory import rerun
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.state.checkpoint import load_checkpoint
from cl_strategies.experiment.state.comparison import differences
from cl_strategies.results.predictions.reader import read_predictions

STREAMS = {
    "class": {"name": "split-digits", "n_experiences": 3, "fraction": 0.1, "order": 1},
    "task": {"name": "split-digits", "n_experiences": 3, "fraction": 0.1, "scenario": "task"},
    "domain": {"name": "permuted-digits", "n_experiences": 3, "fraction": 0.1, "order": 2},
}
CASES = [
    ("naive", "class"),
    ("replay", "class"),
    ("icarl", "class"),
    ("si", "domain"),
    ("naive", "task"),
    ("batch-ensemble", "task"),
    ("wsn", "task"),
    ("joint", "class"),
]


def config(strategy="naive", scenario="class", train=(), **run_options):
    model = {"name": "cnn"} if strategy == "icarl" else {"hidden": [8]}
    return ExperimentConfig.from_dict(
        {
            "benchmark": STREAMS[scenario],
            "strategy": {"name": strategy},
            "model": model,
            "train": dict(train),
            "run": run_options,
        }
    )


def stored(out, made):
    directory = RunDirectory(out, made)
    return read_predictions(out, directory.path, directory.record())


def files(out, made):
    folder = RunDirectory(out, made).predictions
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def stop_after(experiences):
    def progress(done, total):
        if done == experiences:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(("strategy", "scenario"), CASES)
def test_predictions_give_the_recorded_accuracies_exactly(tmp_path, strategy, scenario):
    made = config(strategy, scenario)
    record = run(made, tmp_path)
    found = stored(tmp_path, made)
    for position in range(len(record.task_order)):
        if f"row_00{position}.npz" not in files(tmp_path, made):
            assert set(record.accuracy_matrix[position]) == {None}  # of joint training
            continue
        row = found.row(position)
        label = found.stream.label
        place = np.argsort(record.task_order)[found.stream.experience]
        which = place[np.isin(place, np.flatnonzero(row.stored))]
        right = row.prediction == label[np.isin(place, np.flatnonzero(row.stored))]
        for k in np.flatnonzero(row.stored):
            assert right[which == k].mean() == record.accuracy_matrix[position][k]
        assert (row.task_aware | ~right).all()  # told the task, what was right stays right
        assert ((row.confidence > 0) & (row.confidence <= 1)).all()
    final = found.samples(2)
    assert len(final.label) == found.sizes.sum()


@pytest.mark.parametrize(("strategy", "scenario"), [("si", "domain"), ("naive", "class")])
def test_storing_changes_nothing_of_a_run(tmp_path, strategy, scenario):
    with_them, without = config(strategy, scenario), config(strategy, scenario, predictions=0)
    assert with_them.hash == without.hash and with_them.slug == without.slug
    assert "predictions" not in with_them.to_dict()["run"]
    records = [run(made, tmp_path / str(k)) for k, made in enumerate((with_them, without))]
    assert records[0].accuracy_matrix == records[1].accuracy_matrix
    assert records[0].bytes == records[1].bytes
    paths = [RunDirectory(tmp_path / str(k), with_them) for k in range(2)]
    states = [load_checkpoint(path.checkpoint)["strategy"] for path in paths]
    assert not differences(*states)
    assert files(tmp_path / "0", with_them) and not files(tmp_path / "1", without)
    assert not (tmp_path / "1" / "streams").exists()


@pytest.mark.parametrize(
    ("strategy", "scenario", "after"),
    [("naive", "class", 1), ("si", "domain", 1), ("wsn", "task", 2), ("wsn", "task", 3)],
)
def test_an_interrupted_run_stores_the_same_bytes(tmp_path, strategy, scenario, after):
    made = config(strategy, scenario)
    run(made, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "parts", progress=stop_after(after))
    run(made, tmp_path / "parts")
    assert files(tmp_path / "parts", made) == files(tmp_path / "whole", made)


def test_the_batch_size_of_evaluations_changes_no_prediction(tmp_path):
    for size in (7, 512):
        run(config(train={"eval_batch_size": size}), tmp_path / str(size))
    first, second = (
        stored(tmp_path / str(size), config(train={"eval_batch_size": size})).samples(2)
        for size in (7, 512)
    )
    for name in ("label", "experience", "prediction", "task_aware"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_runs_on_one_stream_share_its_file_whatever_their_order(tmp_path):
    for strategy in ("naive", "si"):
        run(config(strategy), tmp_path)
    assert len(list((tmp_path / "streams").iterdir())) == 1
    permuted = [dict(STREAMS["domain"], order=order) for order in (0, 1)]
    for benchmark in permuted:
        tables = {**config().to_dict(), "benchmark": benchmark}
        run(ExperimentConfig.from_dict(tables), tmp_path)
    assert len(list((tmp_path / "streams").iterdir())) == 2


def test_before_training_and_one_ahead_where_it_means_something(tmp_path):
    domain, classes = config("naive", "domain"), config("naive", "class")
    run(domain, tmp_path)
    run(classes, tmp_path)
    found = stored(tmp_path, domain)
    assert ((found.initial >= 0) & (found.initial <= 1)).all()
    assert not np.isnan(np.diagonal(found.accuracy, 1)).any()
    assert np.isnan(found.accuracy[0, 2])
    other = stored(tmp_path, classes)
    assert np.isnan(other.initial).all() and np.isnan(np.triu(other.accuracy, 1)[0, 1:]).all()
    record = RunDirectory(tmp_path, domain).record()
    assert record.accuracy_matrix[0][1:] == (None, None)  # the result is what it was


def test_a_row_before_training_is_that_of_the_initial_weights(tmp_path):
    """With a learning rate that moves nothing, later rows are the initial one."""
    made = config("naive", "domain", train={"lr": 1e-30})
    run(made, tmp_path)
    found = stored(tmp_path, made)
    assert found.initial[1:].tolist() == np.diagonal(found.accuracy, 1).tolist()


def test_what_does_not_fit_is_not_stored_and_the_run_says_so(tmp_path, caplog):
    made = config("naive", "class", predictions=1200)
    run(made, tmp_path)
    manifest = json.loads(files(tmp_path, made)["run.json"])
    assert sum(file["bytes"] for file in manifest["files"]) <= 1200 and manifest["limit"] == 1200
    assert {file["holds"] for file in manifest["files"]} != {"all"}
    assert "run.predictions allows 1200 bytes" in caplog.text


def test_rows_of_single_experiences_are_stored_as_evaluated(tmp_path):
    made = config("naive", "class", evaluate_every=3)
    run(made, tmp_path)
    found = stored(tmp_path, made)
    assert found.row(1).stored.tolist() == [False, True, False]
    with pytest.raises(UserError, match=r"run\.evaluate_every"):
        found.samples(1)
    assert found.samples(2).label.size == found.sizes.sum()


def test_a_run_that_is_done_again_without_them_keeps_none_of_before(tmp_path):
    run(config(), tmp_path)
    assert files(tmp_path, config())
    run(config(predictions=0), tmp_path, rerun=True)
    assert not files(tmp_path, config())
    run(config(), tmp_path, rerun=True)
    assert stored(tmp_path, config()).samples(2)


def test_a_run_that_goes_on_without_them_keeps_none(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, progress=stop_after(1))
    assert files(tmp_path, config())
    run(config(predictions=0), tmp_path)
    assert not files(tmp_path, config())


def test_a_run_that_began_without_them_says_so(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(config(predictions=0), tmp_path, progress=stop_after(1))
    run(config(), tmp_path)
    with pytest.raises(UserError, match="begun without storing"):
        stored(tmp_path, config())


@pytest.mark.parametrize("value", [-1, 2**31, 0.5, True, "many"])
def test_bad_limits_are_refused(value):
    with pytest.raises(UserError, match=r"run\.predictions"):
        config(predictions=value)


@pytest.mark.parametrize("step", range(6))
def test_a_run_done_again_and_killed_while_it_takes_its_place_has_its_predictions(
    tmp_path, monkeypatch, step
):
    run(config(predictions=2000), tmp_path)
    real, left = rerun.os.replace, [step]

    def deadly(source, target):
        if "again" in str(source) and "again" not in str(target):  # into its place
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(rerun.os, "replace", deadly)
        with suppress(KeyboardInterrupt):
            run(config(), tmp_path, rerun=True)
    run(config(), tmp_path)
    assert json.loads(files(tmp_path, config())["run.json"])["limit"] == 4194304
    assert stored(tmp_path, config()).samples(2)
    assert not list(tmp_path.glob("runs/*/again"))
