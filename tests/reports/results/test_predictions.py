"""Records of a run as somebody may have forged or damaged them: refused in words."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.io.arrays import packed
from cl_strategies.results.checksum import sealed, unsealed
from cl_strategies.results.predictions.manifest import read_manifest
from cl_strategies.results.predictions.reader import read_predictions
from cl_strategies.results.predictions.stream import TestStream

CONFIG = ExperimentConfig.from_dict(
    {
        "benchmark": {"name": "split-digits", "n_experiences": 3, "fraction": 0.1},
        "strategy": {"name": "naive"},
        "model": {"hidden": [8]},
    }
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    run(CONFIG, out)
    return out


@pytest.fixture
def out(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def read(out):
    directory = RunDirectory(out, CONFIG)
    found = read_predictions(out, directory.path, directory.record())
    return found, found.samples(2)


def folder(out):
    return RunDirectory(out, CONFIG).predictions


def put_row(out, name, content):
    """Replace a row, with a list of files that fits it."""
    (folder(out) / name).write_bytes(content)
    manifest = read_manifest(folder(out))
    digest = hashlib.sha256(content).hexdigest()
    files = [
        replace(file, bytes=len(content), sha256=digest) if file.name == name else file
        for file in manifest.files
    ]
    replace(manifest, files=files).write(folder(out))


def arrays(path):
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found}


def test_what_was_written_is_read(out):
    found, samples = read(out)
    assert np.array_equal(np.tril(np.nan_to_num(found.accuracy)), np.nan_to_num(found.accuracy))
    accuracy = [
        (samples.label == samples.prediction)[samples.experience == k].mean() for k in range(3)
    ]
    assert accuracy == list(RunDirectory(out, CONFIG).record().accuracy_matrix[2])


def test_any_damaged_file_is_named(out):
    paths = [*folder(out).iterdir(), *(out / "streams").iterdir()]
    assert len(paths) == 5
    for path in paths:
        content = path.read_bytes()
        for damaged in (content[:-5], content[: len(content) // 2], b"", content + b"x", None):
            path.write_bytes(damaged) if damaged is not None else path.unlink()
            if path.name.startswith("stream-") and damaged == content + b"x":
                read(out)  # an archive may have bytes behind it; its content is what its name says
            else:
                with pytest.raises(UserError, match=r"predictions|streams"):
                    read(out)
            path.write_bytes(content)
    read(out)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"position": np.array([1], "<i4")}, "another row"),
        ({"correct": np.array([1, 1, 1], "<i4")}, "do not give its counts"),
        ({"total": np.array([1, 1, 1], "<i4")}, "do not fit the stream"),
        ({"total": np.array([-1, 36, 36], "<i4")}, "do not fit the stream"),
        ({"correct": np.array([1, 1], "<i4")}, "3"),
        ({"stored": np.array([1, 0, 0], "|u1")}, "numbers, expected"),
        ({"stored": np.array([0, 0, 0], "|u1")}, "does not count"),
        ({"prediction": np.zeros(3, "|u1")}, "numbers, expected"),
        ({"prediction": np.zeros(99, "<f8")}, "expected is"),
        ({"task_aware": np.zeros(99, "|u1")}, "numbers, expected"),
        ({"more": np.zeros(1, "|u1")}, "expected are"),
    ],
)
def test_rows_that_contradict_themselves_are_refused(out, change, said):
    vectors = arrays(folder(out) / "row_002.npz")
    put_row(out, "row_002.npz", packed(vectors | change))
    with pytest.raises(UserError, match=said):
        read(out)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.5])
def test_confidences_that_are_none_are_refused(out, value):
    vectors = arrays(folder(out) / "row_002.npz")
    vectors["confidence"] = np.full_like(vectors["confidence"], value)
    put_row(out, "row_002.npz", packed(vectors))
    with pytest.raises(UserError, match="not in"):
        read(out)


def test_predictions_that_do_not_give_the_result_are_refused(out):
    vectors = arrays(folder(out) / "row_002.npz")
    stream = arrays(next((out / "streams").iterdir()))
    vectors["prediction"] = stream["label"].astype("|u1")  # everything right
    vectors["correct"] = vectors["total"]
    put_row(out, "row_002.npz", packed(vectors))
    with pytest.raises(UserError, match="do not give the accuracies"):
        read(out)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"stream": "../../etc/passwd"},
        {"stream": "0" * 32},
        {"config_hash": "another"},
        {"task_order": [0, 1]},
        {"task_order": [0, 0, 1]},
        {"task_order": [2, 1, 0]},
        {"files": [{"name": "../result.json", "bytes": 1, "sha256": "", "holds": "all"}]},
        {"files": 3},
        {"classes": "ten"},
        {"task_of_class": [0.5]},
        {"more": 1},
        {"problem": "no room"},
    ],
)
def test_a_forged_list_of_files_is_refused(out, change):
    path = folder(out) / "run.json"
    data, _ = unsealed(json.loads(path.read_text()))
    path.write_text(json.dumps(sealed({**data, **change})))
    with pytest.raises(UserError):
        read(out)


def test_a_run_without_predictions_says_so(out):
    shutil.rmtree(folder(out))
    with pytest.raises(UserError, match="stored no predictions"):
        read(out)


def test_a_folder_elsewhere_is_not_read(out, tmp_path):
    shutil.move(folder(out), tmp_path / "elsewhere")
    folder(out).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        read(out)


def test_samples_are_ordered_by_original_experience_whatever_the_order():
    labels = [np.array([1, 2]), np.array([3]), np.array([4, 5, 6])]
    first = TestStream.of(labels, [0, 1, 2])
    second = TestStream.of([labels[2], labels[0], labels[1]], [2, 0, 1])
    assert first.hash == second.hash and second.label.tolist() == [1, 2, 3, 4, 5, 6]
    assert second.experience.tolist() == [0, 0, 1, 2, 2, 2]
    assert second.sample.tolist() == [0, 1, 0, 0, 1, 2]
    assert TestStream.of(labels, [1, 0, 2]).hash != first.hash


@pytest.mark.parametrize("label", [-1, 2**16])
def test_labels_that_no_file_could_hold_are_refused(label):
    with pytest.raises(ValueError, match="labels are not between"):
        TestStream.of([np.array([label])], [0])
