"""Configurations and commands that no one would write: never a traceback, always 0 or 2 and a
message."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from cl_strategies.registry import registry

sys.path.insert(0, str(Path(__file__).parent))
from fuzzing import AMOUNTS, PLAIN, TEXT, cases, outcome

pytestmark = pytest.mark.usefixtures("nothing_is_trained")

TABLES = ("benchmark", "model", "train", "strategy", "run")
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
