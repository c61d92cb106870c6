"""Numbers that no run records, under checksums that fit: named or reported, never a traceback."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.errors import UserError
from cl_strategies.reports import write_report
from cl_strategies.reports.reading.collection import collect
from cl_strategies.results.checksum import checksum
from cl_strategies.results.json_text import decoded
from cl_strategies.results.record import RunRecord, load_result, write_result

RECORD: dict[str, Any] = {
    "schema": 2,
    "status": "finished",
    "error": None,
    "config": {
        "benchmark": {"name": "b", "n_experiences": 2},
        "model": {"name": "mlp", "hidden": [8]},
        "train": {"epochs": 1, "lr": 0.1},
        "strategy": {"name": "s", "mem_bytes": 4096, "weight_bits": 4, "activation_bits": 4},
        "run": {"seed": 0},
    },
    "config_hash": "odd",
    "task_order": [0, 1],
    "accuracy_matrix": [[0.9, None], [0.5, 0.8]],
    "seconds": {"train": [1.0, 1.0], "evaluation": [0.1, 0.1]},
    "bytes": {"parameters": [8, 8], "method_state": [0, 4]},
    "memory": {"peak": [1, 2]},
    "exemplars": {
        "count": [4, 8],
        "bytes": [100, 200],
        "raw_bytes": [300, 600],
        "classes": [2, 4],
    },
    "metrics": {
        "average_accuracy": 0.65,
        "average_incremental_accuracy": 0.7,
        "forgetting": 0.4,
        "relative_forgetting": 0.4,
        "backward_transfer": -0.4,
        "learning_accuracy": 0.85,
        "train_seconds": 2.0,
        "parameter_bytes": 8.0,
        "method_state_bytes": 4.0,
        "weight_bytes": 2.0,
        "packed_bytes": 3.0,
        "of_a_plugin": 1.0,
    },
}
ODD: dict[str, Any] = {
    "nan": float("nan"),
    "inf": float("inf"),
    "-inf": float("-inf"),
    "1.7e308": 1.7e308,
    "-1.7e308": -1.7e308,
    "1e200": 1e200,
    "1e99": 1e99,
    "5e-324": 5e-324,
    "0": 0,
    "-1": -1,
    "2**63": 2**63,
    "10**400": 10**400,
}
NEVER = ("nan", "inf", "-inf", "10**400")
Place = tuple[Any, ...]


def numbers(node: Any, path: Place = ()) -> Iterator[Place]:
    """Where ``node`` has numbers."""
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield from numbers(node[key], (*path, key))
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield path


def dotted(path: Place) -> str:
    return ".".join(map(str, path))


def changed(path: Place, value: Any, **more: Any) -> dict[str, Any]:
    """A copy of the record with another value at ``path``."""
    copy = {**json.loads(json.dumps(RECORD)), **more}
    node = copy
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return copy


@pytest.fixture
def folder(tmp_path: Path, make_record: Callable[..., Any]) -> Path:
    """A comparison with two runs that nothing is wrong with."""
    for seed in (0, 1):
        run = tmp_path / "runs" / f"whole-{seed}"
        run.mkdir(parents=True)
        write_result(run / "result.json", make_record("s", benchmark="b", seed=seed, tasks=2))
    return tmp_path


def put(folder: Path, data: dict[str, Any], name: str = "odd") -> None:
    run = folder / "runs" / name
    run.mkdir(exist_ok=True)
    (run / "result.json").write_text(json.dumps({**data, "checksum": checksum(data)}))


def check_report(folder: Path) -> list[str]:
    """The files that the report names as damaged; every number in it is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = write_report(folder)
    data = json.loads(paths.json.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert {"whole-0", "whole-1"} <= {run["directory"] for run in data["runs"]}
    damaged = [problem["file"] for problem in data["damaged"]]
    assert len(data["runs"]) + len(damaged) == len(list((folder / "runs").iterdir()))
    assert "inf" not in paths.csv.read_text()
    return damaged


PATHS = list(numbers(RECORD))
KNOWN = [
    ("metrics.average_accuracy", "1e200"),
    ("metrics.forgetting", "1.7e308"),
    ("metrics.forgetting", "-1.7e308"),
    ("metrics.relative_forgetting", "-1.7e308"),
    ("metrics.train_seconds", "1.7e308"),
    ("metrics.train_seconds", "5e-324"),
    ("metrics.parameter_bytes", "1e99"),
    ("metrics.of_a_plugin", "1.7e308"),
    ("seconds.train.0", "5e-324"),
    ("bytes.parameters.0", "5e-324"),
    ("exemplars.raw_bytes.1", "5e-324"),
    ("config.strategy.mem_bytes", "10**400"),
    ("config.strategy.mem_bytes", "1.7e308"),
    ("config.strategy.mem_bytes", "-1"),
    ("config.train.lr", "nan"),
    ("config.train.lr", "inf"),
]
EVERY = [(dotted(path), name) for path in PATHS for name in ODD]


def put_twice(folder: Path, path: str, name: str, run: str = "odd") -> None:
    place = next(found for found in PATHS if dotted(found) == path)
    put(folder, changed(place, ODD[name], config_hash=run), run)
    put(folder, changed(place, ODD[name], config_hash=f"{run}2"), f"{run}2")


@pytest.mark.parametrize("first", range(4))
def test_odd_numbers_that_once_did_harm_are_named_or_reported(folder: Path, first: int) -> None:
    """Several in a report; each has one of its own below."""
    never = []
    for number, (path, name) in enumerate(KNOWN[first::4]):
        put_twice(folder, path, name, f"odd{number}-")
        never += [f"runs/odd{number}-{end}/result.json" for end in ("", "2") if name in NEVER]
    assert {*never} <= {*check_report(folder)}


@pytest.mark.slow
@pytest.mark.parametrize(("path", "name"), EVERY)
def test_an_odd_number_is_named_or_reported(folder: Path, path: str, name: str) -> None:
    put_twice(folder, path, name)
    damaged = check_report(folder)
    if name in NEVER:
        assert damaged == ["runs/odd/result.json", "runs/odd2/result.json"]


@pytest.mark.parametrize("path", PATHS, ids=dotted)
def test_what_is_not_finite_is_refused_wherever_it_stands(folder: Path, path: Place) -> None:
    for name in NEVER:
        put(folder, changed(path, ODD[name]))
        with pytest.raises(UserError, match=r"odd/result\.json"):
            load_result(folder / "runs" / "odd" / "result.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("average_accuracy", 1.01),
        ("forgetting", -1.01),
        ("relative_forgetting", 1.01),
        ("parameter_bytes", -1),
        ("of_a_plugin", 1e101),
    ],
)
def test_a_metric_outside_its_definition_is_named(path: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"'metrics\.{path}' must be a number in \["):
        RunRecord.from_dict(changed(("metrics", path), value))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("depth", [60, 300, 985, 5000])
@pytest.mark.parametrize("place", ["config", "environment"])
def test_deep_nests_are_named(folder: Path, depth: int, place: str) -> None:
    text = "[" * depth + "]" * depth
    run = folder / "runs" / "odd"
    put(folder, RECORD)
    if place == "config":
        written = (run / "result.json").read_text()
        (run / "result.json").write_text(written.replace('"lr": 0.1', f'"lr": {text}'))
    else:
        (run / "environment.json").write_text(f'{{"a": {text}}}')
    file = "result" if place == "config" else "environment"
    (problem,) = collect(folder).problems
    assert problem.file == f"runs/odd/{file}.json" and "nested more than 50 deep" in problem.message
    write_report(folder)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 5000])
def test_an_environment_without_finite_numbers_is_named(folder: Path, number: str) -> None:
    put(folder, RECORD)
    (folder / "runs" / "odd" / "environment.json").write_text(f'{{"a": {number}}}')
    (problem,) = collect(folder).problems
    assert problem.file == "runs/odd/environment.json" and "no finite number" in problem.message
    write_report(folder)


def test_numbers_are_read_as_they_are_written() -> None:
    text = b"[0, -7, 9007199254740993, 0.1, -1e-300, 1.7976931348623157e308, 5e-324, 2.0]"
    assert [repr(value) for value in decoded(text)] == [repr(value) for value in json.loads(text)]


@pytest.mark.parametrize("name", NEVER)
def test_what_could_not_be_read_again_is_not_written(
    make_record: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    with pytest.raises(UserError, match="cannot be kept as JSON"):
        write_result(tmp_path / "result.json", make_record(options={"c": ODD[name]}))
    assert not list(tmp_path.iterdir())
