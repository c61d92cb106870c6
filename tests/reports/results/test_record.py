from __future__ import annotations

import copy
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.results.checksum import sealed
from cl_strategies.results.record import SCHEMA_VERSION, RunRecord, load_result, write_result


def _change(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    *parents, last = path.split(".")
    target = changed
    for key in parents:
        target = target[key]
    target[last] = value
    return changed


def test_a_record_survives_the_file(make_record, tmp_path: Path) -> None:
    record = make_record(metrics={"forgetting": 0.1 + 0.2})
    write_result(tmp_path / "result.json", record)
    loaded = load_result(tmp_path / "result.json")
    assert loaded.to_dict() == record.to_dict()
    assert loaded.metric("forgetting") == 0.1 + 0.2
    assert loaded.to_dict()["schema"] == SCHEMA_VERSION


def test_nan_becomes_null_in_the_file_and_nan_again_in_the_array(make_record, tmp_path) -> None:
    record = make_record(matrix=[[0.5, math.nan], [0.25, 0.75]], metrics={"forgetting": math.nan})
    path = tmp_path / "result.json"
    write_result(path, record)
    data = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert data["accuracy_matrix"] == [[0.5, None], [0.25, 0.75]]
    assert data["metrics"]["forgetting"] is None
    loaded = load_result(path)
    np.testing.assert_array_equal(loaded.matrix, [[0.5, np.nan], [0.25, 0.75]])
    assert math.isnan(loaded.metric("forgetting"))


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("schema", 3, "schema"),
        ("schema", "1", "schema"),
        ("status", "done", "status"),
        ("error", {"kind": "error"}, "error"),
        ("config.benchmark", {"n_experiences": 3}, "config.benchmark.name"),
        ("config.strategy.name", 7, "config.strategy.name"),
        ("config.run.seed", "0", "config.run.seed"),
        ("config.run.seed", True, "config.run.seed"),
        ("config_hash", None, "config_hash"),
        ("task_order", [0, 1, 1], "task_order"),
        ("task_order", [0, 1, 2.0], "task_order"),
        ("accuracy_matrix", [[0.5, None, None]], "accuracy_matrix"),
        ("accuracy_matrix", [[0.5], [0.5], [0.5]], "accuracy_matrix"),
        ("accuracy_matrix", [[0.5] * 3, [0.5, 1.5, 0.5], [0.5] * 3], "accuracy_matrix[1][1]"),
        ("accuracy_matrix", [[0.5] * 3, [0.5, -0.1, 0.5], [0.5] * 3], "accuracy_matrix[1][1]"),
        ("accuracy_matrix", [[0.5] * 3, [0.5, "x", 0.5], [0.5] * 3], "accuracy_matrix[1][1]"),
        ("seconds.train", [1.0, -1.0, 1.0], "seconds.train[1]"),
        ("seconds.train", [1.0] * 4, "seconds.train"),
        ("bytes", {"parameters": []}, "bytes.method_state"),
        ("memory", {}, "memory.peak"),
        ("memory.peak", [1.0, -1.0, 1.0], "memory.peak[1]"),
        ("metrics.forgetting", "low", "metrics.forgetting"),
        ("metrics.forgetting", float("inf"), "metrics.forgetting"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_wrong_field_is_named(make_record, path: str, value: Any, named: str) -> None:
    data = _change(make_record().to_dict(), path, value)
    with pytest.raises(UserError) as caught:
        RunRecord.from_dict(data, source="runs/x/result.json")
    assert "runs/x/result.json" in str(caught.value)
    assert f"'{named}'" in str(caught.value)


def test_a_record_of_version_1_is_read(make_record, tmp_path) -> None:
    data = make_record().to_dict()
    del data["memory"]
    old = RunRecord.from_dict({**data, "schema": 1})
    assert old.memory == {"peak": ()}
    assert {**old.to_dict(), "memory": None} == {**make_record().to_dict(), "memory": None}
    with pytest.raises(UserError, match="'memory' must be present"):
        RunRecord.from_dict(data)
    with pytest.raises(UserError, match="'memory' must be absent"):
        RunRecord.from_dict({**data, "schema": 1, "memory": {"peak": []}})
    path = tmp_path / "result.json"
    path.write_text(json.dumps(sealed({**data, "schema": 1})))
    assert load_result(path).to_dict() == old.to_dict()


def test_a_missing_field_is_named(make_record) -> None:
    data = make_record().to_dict()
    del data["metrics"]
    with pytest.raises(UserError, match="'metrics' must be present"):
        RunRecord.from_dict(data)


def test_a_failed_run_may_stop_anywhere(make_record) -> None:
    data = make_record(failed=True).to_dict()
    data |= {"task_order": [], "accuracy_matrix": [], "metrics": {}}
    data |= {"seconds": {"train": [], "evaluation": []}}
    data |= {"bytes": {"parameters": [], "method_state": []}, "memory": {"peak": []}}
    record = RunRecord.from_dict(data)
    assert not record.finished
    assert record.matrix.shape == (0, 0)


def test_a_failed_run_must_say_why(make_record) -> None:
    data = make_record(failed=True).to_dict() | {"error": None}
    with pytest.raises(UserError, match="'error'"):
        RunRecord.from_dict(data)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"text"', "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(UserError, match="result.json"):
        load_result(path)


def test_a_digit_that_changed_in_the_file_is_noticed(make_record, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, make_record(matrix=[[0.5]]))
    path.write_text(
        path.read_text().replace('"accuracy_matrix": [\n  [0.5]', '"accuracy_matrix": [\n  [0.7]')
    )
    with pytest.raises(UserError, match="result.json.*checksum"):
        load_result(path)


def test_the_checksum_does_not_depend_on_order_or_spacing(make_record, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, make_record())
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(fields.items())), indent=4))
    assert load_result(path) == load_result(path)


def test_json_without_end_is_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="not a JSON file"):
        load_result(path)


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        load_result(tmp_path / "nowhere" / "result.json")


def test_an_invalid_record_is_not_written(make_record, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(UserError, match=r"accuracy_matrix\[0\]\[0\]"):
        write_result(path, make_record(matrix=[[97.0]]))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file(make_record, tmp_path, monkeypatch) -> None:
    path = tmp_path / "result.json"
    write_result(path, make_record(seed=1))
    before = path.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_result(path, make_record(seed=2))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
