"""The rows of predictions on the disk: within a limit, whole or absent, continued or refused."""

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.directory.prediction_log import PredictionLog
from cl_strategies.results.predictions.row import PredictionRow, largest, parse_row
from cl_strategies.results.predictions.stream import TestStream

T, EACH = 4, 500
ORDER = [2, 0, 3, 1]
LABELS = [np.random.default_rng(k).integers(0, 10, EACH) for k in range(T)]
STREAM = TestStream.of(LABELS, ORDER)


def row(position: int) -> PredictionRow:
    """One that does not compress well."""
    draw = np.random.default_rng(100 + position)
    stored = np.arange(T) <= position
    experience = np.argsort(ORDER)[STREAM.experience]
    label = STREAM.label[experience <= position]
    prediction = draw.integers(0, 10, len(label))
    correct = np.bincount(
        experience[experience <= position], prediction == label, minlength=T
    ).astype(np.int64)
    return PredictionRow(
        position,
        np.where(stored, correct, -1),
        np.where(stored, EACH, -1),
        stored,
        prediction,
        draw.random(len(label)) < 0.5,
        draw.random(len(label)).astype(np.float16),
    )


def log(folder, limit=2**22) -> PredictionLog:
    return PredictionLog(folder / "predictions", limit, samples=T * EACH, experiences=T)


def holds(made: PredictionLog) -> list[str]:
    return [file.holds for file in made.files]


def test_a_row_is_read_as_it_was_written(tmp_path):
    made = log(tmp_path)
    made.clear()
    for position in range(T):
        made.add(row(position))
        found = parse_row(
            (made.folder / f"row_00{position}.npz").read_bytes(), position, STREAM, ORDER
        )
        for name in ("correct", "total", "stored", "prediction", "task_aware", "confidence"):
            assert np.array_equal(getattr(found, name), getattr(row(position), name)), name
    assert holds(made) == ["all"] * T


@pytest.mark.parametrize("limit", [0, 500, 2000, 6000, 8000, 12_000, 14_000, 20_000, 2**22])
def test_the_limit_holds_and_the_last_row_has_its_place(tmp_path, limit):
    made = log(tmp_path, limit)
    made.clear()
    for position in range(T):
        made.add(row(position))
    sizes = [path.stat().st_size for path in sorted(made.folder.glob("*.npz"))]
    assert sum(sizes) <= limit and sizes == [file.bytes for file in made.files]
    if limit >= largest(T * EACH, T):
        assert holds(made)[-1] == "all" and made.files[-1].name == "row_003.npz"
    if limit >= largest(T * EACH, T, confidence=False):
        assert holds(made)[-1] != "counts"


def test_a_smaller_limit_stores_no_more(tmp_path):
    grades = {"all": 3, "no confidence": 2, "counts": 1}
    sums = []
    for limit in (0, 4000, 12_000, 16_000, 2**22):
        made = log(tmp_path / str(limit), limit)
        made.clear()
        for position in range(T):
            made.add(row(position))
        sums.append(sum(grades[kept] for kept in holds(made)))
    assert sums == sorted(sums) and sums[0] == 0 and sums[-1] == 3 * T


def test_a_run_continues_after_the_rows_of_its_checkpoint(tmp_path):
    first = log(tmp_path)
    first.clear()
    first.add(row(0))
    mark = first.mark()
    first.add(row(1))
    (first.folder / ".row_002.npz.abcdefgh").write_bytes(b"half")
    (first.folder / "row_003.npz").mkdir()
    second = log(tmp_path)
    second.restore(mark, [0])
    assert sorted(path.name for path in second.folder.iterdir()) == ["row_000.npz"]
    second.add(row(1))
    assert second.mark() == first.mark()


@pytest.mark.parametrize("damage", ["gone", "changed", "longer", "shorter", "folder"])
def test_damaged_rows_are_said_and_nothing_more_is_stored(tmp_path, caplog, damage):
    first = log(tmp_path)
    first.clear()
    first.add(row(0))
    path = first.folder / "row_000.npz"
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        changed = {
            "changed": content[:-1] + b"x",
            "longer": content + b"x",
            "shorter": content[:-9],
        }
        path.write_bytes(changed[damage])
    second = log(tmp_path)
    second.restore(first.mark(), [0])
    assert second.problem and "no predictions are stored" in caplog.text
    second.add(row(1))
    assert not second.files and not second.folder.exists()
    third = log(tmp_path)
    third.restore(second.mark(), [0])
    assert third.problem == second.problem


@pytest.mark.parametrize("mark", [None, 3, {}, {"problem": ""}, {"problem": 3, "rows": 0}, "x"])
def test_a_mark_of_any_shape_is_no_crash(tmp_path, mark):
    made = log(tmp_path)
    made.restore(mark, [0])
    assert made.problem and not made.files


def test_rows_of_a_folder_elsewhere_are_not_continued(tmp_path):
    first = log(tmp_path)
    first.clear()
    first.add(row(0))
    first.folder.rename(tmp_path / "elsewhere")
    first.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        log(tmp_path).restore(first.mark(), [0])
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


def test_a_mark_has_the_same_size_after_many_rows(tmp_path):
    made = log(tmp_path)
    made.clear()
    sizes = []
    for position in range(T):
        made.add(row(position))
        sizes.append(len(str(made.mark())))
    assert len({*sizes}) == 1


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "predictions").symlink_to(tmp_path / "elsewhere")
    made = log(tmp_path)
    for act in (made.clear, lambda: made.add(row(0))):
        with pytest.raises(UserError, match="is a link"):
            act()
    assert not list((tmp_path / "elsewhere").iterdir())
