"""Input that no one would write: never a traceback, always 0, 1 or 2 and a message."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.registry import registry

RELAXED = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


def cases(amount: int) -> Any:
    return settings(max_examples=amount, **RELAXED)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_trained(tmp_path_factory):
    """Runs end where training would begin, in a folder of their own."""
    from cl_strategies.experiment import checks, executors, ray_executor, runner

    checked = set()

    def stopped(config, out, **options):
        if (key := config.with_seed(0)).hash not in checked:
            checks.check_configs([key])
            checked.add(key.hash)
        raise UserError("stopped before training")

    def here(executor, configs, out, *, jobs=None):
        return executors.serial(configs, out)

    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run", stopped)
        patch.setitem(executors.EXECUTORS, "process", executors.serial)
        patch.setattr(ray_executor.RayExecutor, "__call__", here)
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        patch.delenv("CL_STRATEGIES_DATA", raising=False)
        yield folder


def outcome(arguments: list[str]) -> tuple[int, str]:
    """Exit code and what was said; an exception is a failure of the test."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    said = out.getvalue() + error.getvalue()
    assert code in (0, 1, 2), (code, arguments)
    assert said.strip(), arguments
    assert code == 0 or error.getvalue().strip(), arguments
    assert "Traceback (most" not in said, said
    return code, said


TABLES = ("benchmark", "model", "train", "strategy", "run")
WORDS = [
    *(entry.name for kind in ("strategies", "benchmarks", "models") for entry in registry(kind)),
    *("name", "epochs", "lr", "seed", "device", "optimizer", "sgd", "auto", "cuda", "fraction"),
    *("order", "n_experiences", "data_root", "hidden", "c", "suite", "seeds", "orders", "..", "~"),
    *("../../etc/passwd", "/", "/dev/null", "\x00", "a" * 300, "<script>", "'", "--", "", "ü", "∞"),
]
TEXT = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
NUMBERS = st.one_of(
    st.integers(-3, 12), st.sampled_from([2**31, 2**63 - 1, -(2**63), 10**400]), st.floats(width=32)
)
PLAIN = st.recursive(
    st.one_of(st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)
#: Options that decide how much is computed stay small: a large stream is no error.
SMALL = st.integers(-2, 5)


@st.composite
def config_tables(draw: Any) -> dict[str, Any]:
    """Tables that are nearly right: real names, real keys, and one thing or more that is not."""
    names = {
        "benchmark": draw(st.sampled_from(["split-digits", "permuted-digits", "split-mnist"])),
        "strategy": draw(st.sampled_from([entry.name for entry in registry("strategies")])),
        "model": "mlp",
    }
    tables: dict[str, Any] = {table: {"name": name} for table, name in names.items()}
    tables["benchmark"] |= {"fraction": 0.2, "n_experiences": draw(SMALL)}
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from([*TABLES, "surprise"]))
        kind = {"benchmark": "benchmarks", "strategy": "strategies", "model": "models"}.get(table)
        known = list(registry(kind)[names[table]].defaults()) if kind else []
        known = [key for key in known if key not in ("n_experiences", "hidden", "image_size")]
        known += ["name", "lr", "epochs", "seed", "device", "threads", "momentum", "batch_size"]
        if draw(st.integers(0, 9)) == 9:
            tables[table] = draw(PLAIN)
        elif isinstance(tables.setdefault(table, {}), dict):
            tables[table][draw(st.one_of(st.sampled_from(known), TEXT))] = draw(PLAIN)
    return tables


def as_toml(tables: dict[str, Any]) -> str:
    return tomli_w.dumps(json.loads(json.dumps(tables), parse_constant=float))


def damaged_text(draw: Any, text: str) -> bytes:
    """The text, as it is or with some bytes changed, cut or doubled."""
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw)


@st.composite
def config_files(draw: Any) -> bytes:
    choice = draw(st.integers(0, 19))
    if choice == 18:
        return draw(st.binary(max_size=60))
    if choice == 19:
        return b"a = " + b"[" * draw(st.integers(1, 5000))
    return damaged_text(draw, as_toml(draw(config_tables())))


@st.composite
def suite_files(draw: Any) -> bytes:
    def row(name: str) -> dict[str, Any]:
        layer = {"name": draw(st.one_of(st.just(name), TEXT))}
        for _ in range(draw(st.integers(0, 2))):
            layer[
                draw(st.one_of(st.sampled_from(["train", "model", "run", "strategies"]), TEXT))
            ] = draw(PLAIN)
        return layer

    tables: dict[str, Any] = {
        "suite": {"name": "fuzz", "seeds": [0]},
        "benchmarks": [{**row("split-digits"), "n_experiences": 2, "fraction": 0.2}],
        "strategies": [row("naive"), row("si")],
    }
    for _ in range(draw(st.integers(0, 2))):
        table = draw(
            st.sampled_from(["suite", "train", "model", "run", "tuning", "benchmarks", "x"])
        )
        if isinstance(tables.setdefault(table, {}), dict) and draw(st.booleans()):
            tables[table][draw(TEXT)] = draw(PLAIN)
        else:
            tables[table] = draw(PLAIN)
    return damaged_text(draw, as_toml(tables))


FEW, MANY = 30, 2000


def run_file(raw: bytes) -> None:
    Path("run.toml").write_bytes(raw)
    outcome(["run", "run.toml", "--out", "runs-of-fuzz"])


def run_suite(raw: bytes) -> None:
    Path("suite.toml").write_bytes(raw)
    outcome(["compare", "suite.toml", "--executor", "serial"])
    stray = {path.name for path in Path().iterdir()} - {"run.toml", "suite.toml", "comparison"}
    assert stray <= {"runs-of-fuzz", "results", "data", ".avalanche"}, stray


COMMANDS = ["list", "show", "run", "compare", "tune", "report", "datasets", "", "-x", "lst"]
FLAGS = [
    *("--json", "--set", "--seeds", "--orders", "--shard", "--executor", "--jobs"),
    *("--benchmark", "--strategies", "--strategy", "--data-root", "--address", "--help"),
    *("--gpus-per-run", "--version", "check", "quickstart", "split-digits", "naive", "si,replay"),
    *("0-3", "3-0", "0/2", "1e9", "-1", "serial", "ray", "process", "benchmark.n_experiences=2"),
    *("train.lr=nan", "strategy.c=-1", "run.device=tpu", "benchmark=3", "a.b.c=[", "digits"),
]
ARGUMENTS = st.lists(st.one_of(st.sampled_from(FLAGS), TEXT), max_size=6)


def run_command(arguments: list[str]) -> None:
    if "fetch" not in arguments and "doctor" not in arguments:
        outcome(arguments)


@pytest.fixture(scope="module")
def record(nothing_is_trained):
    """A valid result.json, as plain data."""
    rows = [[0.9, None], [0.5, 0.8]]
    return {
        "schema": 1,
        "status": "finished",
        "error": None,
        "config": {
            "benchmark": {"name": "b"},
            "strategy": {"name": "s"},
            "run": {"seed": 0},
            "train": {"epochs": 1},
            "model": {"name": "mlp"},
        },
        "config_hash": "0" * 12,
        "task_order": [0, 1],
        "accuracy_matrix": rows,
        "seconds": {"train": [1.0, 1.0], "evaluation": [0.1, 0.1]},
        "bytes": {"parameters": [8, 8], "method_state": [0, 0]},
        "metrics": {"average_accuracy": 0.65, "forgetting": 0.4, "train_seconds": 2.0},
    }


DAMAGE = st.sampled_from([b""] * 9 + [b"[", b"\xff", b"[" * 100_000])
RAW = st.one_of(st.binary(max_size=40), st.sampled_from([b"{}", b"3", b"[" * 100_000]))
RUN_CHANGES = st.lists(st.tuples(st.integers(0, 30), PLAIN), max_size=3)


def changed_somewhere(data: Any, at: int, value: Any) -> Any:
    """A copy of ``data`` in which one place, counted from 0, holds ``value``."""
    copy = json.loads(json.dumps(data))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(copy)
    node, key = places[at % len(places)]
    node[key] = value
    return copy


def run_report(
    record: dict[str, Any], changes: list[tuple[int, Any]], seal: bool, damage: bytes, raw: bytes
) -> None:
    from cl_strategies.reports.sealing import checksum

    folder = Path("results/runs/one")
    folder.mkdir(parents=True, exist_ok=True)
    data = record
    for at, value in changes:
        data = changed_somewhere(data, at, value)
    if seal and isinstance(data, dict):
        data = {**data, "checksum": checksum(data)}
    text = json.dumps(data).encode()
    (folder / "result.json").write_bytes(damage + text[len(damage) :] if damage else text)
    (folder / "environment.json").write_bytes(raw)
    (folder / "config.toml").write_bytes(raw)
    outcome(["report", "results"])


def idx(shape: list[int], size: int) -> bytes:
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + b"\1" * size


@st.composite
def data_files(draw: Any) -> bytes:
    choice = draw(st.integers(0, 4))
    if choice == 0:
        return draw(st.binary(max_size=60))
    if choice == 1:
        return gzip.compress(draw(st.binary(max_size=60)))[: draw(st.integers(0, 60))]
    if choice == 2:
        import pickle

        return pickle.dumps(draw(PLAIN), protocol=2)[: draw(st.integers(0, 80))]
    if choice == 3:
        return draw(
            st.sampled_from([b"cos\nsystem\n(S'touch ran'\ntR.", b"\x80\x04.", b"n01\nn02\n"])
        )
    shape = draw(st.lists(st.sampled_from([0, 1, 2, 28, 2**32 - 1]), min_size=1, max_size=3))
    return idx(shape, draw(st.integers(0, 60)))


LAYOUTS = {
    "split-mnist": [
        f"MNIST/raw/{part}-{kind}"
        for part in ("train", "t10k")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ],
    "split-cifar10": [
        f"cifar-10-batches-py/{name}"
        for name in ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    ],
    "split-tiny-imagenet": [
        f"tiny-imagenet-200/{name}"
        for name in (
            "wnids.txt",
            "val/val_annotations.txt",
            "train/n01/images/a.JPEG",
            "val/images/b.JPEG",
        )
    ],
}


def run_data(benchmark: str, files: list[bytes]) -> None:
    shutil.rmtree("data", ignore_errors=True)
    for place, raw in zip(LAYOUTS[benchmark], files, strict=False):
        path = Path("data") / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    assert outcome(["datasets", "check", "--data-root", "data"])[0] == 0
    code, _ = outcome(
        ["run", "--benchmark", benchmark, "--strategy", "naive", "--data-root", "data"]
    )
    assert code == 2 and not Path("ran").exists()


AMOUNTS = pytest.mark.parametrize("amount", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])


@AMOUNTS
def test_configs(amount):
    cases(amount)(given(config_files())(run_file))()


@AMOUNTS
def test_suites(amount):
    cases(amount)(given(suite_files())(run_suite))()


@AMOUNTS
def test_command_lines(amount):
    arguments = st.tuples(st.sampled_from(COMMANDS), ARGUMENTS).map(lambda t: [t[0], *t[1]])
    cases(amount)(given(arguments)(run_command))()


@AMOUNTS
def test_run_directories(amount, record):
    cases(amount)(
        given(RUN_CHANGES, st.sampled_from([True] * 5 + [False]), DAMAGE, RAW)(
            lambda changes, seal, damage, raw: run_report(record, changes, seal, damage, raw)
        )
    )()


@AMOUNTS
def test_data_folders(amount):
    cases(amount)(
        given(st.sampled_from(list(LAYOUTS)), st.lists(data_files(), min_size=7, max_size=7))(
            run_data
        )
    )()


def test_the_name_of_a_suite_leads_nowhere(nothing_is_trained):
    for name in ("../outside", "/tmp/outside", "a/b", "..", "", "a\x00b", ".hidden"):
        tables = {
            "suite": {"name": name},
            "benchmarks": [{"name": "split-digits"}],
            "strategies": [{"name": "naive"}],
        }
        Path("suite.toml").write_text(tomli_w.dumps(tables))
        code, said = outcome(["compare", "suite.toml", "--executor", "serial"])
        assert code == 2 and "suite.name" in said
