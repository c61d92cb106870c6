"""Configurations and commands that no one would write: never a traceback, always 0 or 2 and a
message."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.quantization import QuantizationConfig, quantizes_itself
from cl_strategies.experiment.config.run_config import RunConfig
from cl_strategies.experiment.config.train_config import TrainConfig
from cl_strategies.experiment.engine import runner, training
from cl_strategies.registry import registry

sys.path.insert(0, str(Path(__file__).parent))
from fuzzing import AMOUNTS, PLAIN, TEXT, cases, outcome

pytestmark = pytest.mark.usefixtures("nothing_is_trained")

REAL_RUN = runner.run  # as it is before the fixture
QUANTIZERS = [entry.name for entry in registry("quantizers")]
TABLES = ("benchmark", "model", "train", "strategy", "run")
#: Values that TOML has and Python code cannot hand to a writer of TOML: dates, integers of any
#: size, lists in lists; and texts that are nearly values.
RAW = [
    *("1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", "[1979-05-27]", "{ a = 07:32:00 }"),
    *("1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 5000, "0x" + "f" * 4500, "0b1" + "0" * 70),
    *("[0x" + "f" * 4500 + "]", "9223372036854775808", "-9223372036854775809", "99999999999"),
    *("nan", "-nan", "inf", "-inf", "1e999", "-0.0", "0", "true", "{}", "[]", "[{}]", "[[[[1]]]]"),
    *("[nan]", "[inf, 1]", "[[], [1]]", "[" * 30 + "]" * 30, "[" * 5000, "''", "'None'", "'null'"),
    *(f"'{'a' * 300}'", f"'{'a' * 100_000}'", f"['{'a' * 300}']", "'0-99999999999'", "'\\u0000'"),
]
MARKED = re.compile('"@@([0-9]+)@@"')
ODD = st.integers(0, len(RAW) - 1).map(lambda place: f"@@{place}@@")
VALUES = st.one_of(PLAIN, ODD, st.lists(ODD, min_size=1, max_size=2))

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
            tables[table] = draw(VALUES)
        elif isinstance(tables.setdefault(table, {}), dict):
            tables[table][draw(st.one_of(st.sampled_from(known), TEXT))] = draw(VALUES)
    return tables


def fitting(default: Any) -> Any:
    """Values of the type of ``default``, at the ends of their range and beyond any sense."""
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, int):
        return st.sampled_from([-(2**63), -1, 0, 1, 2, 7, 100, 2**31, 2**63 - 1])
    if isinstance(default, float):
        ends = ["nan", "inf", "-inf", "-1", "-0.0", "0", "1e-320", "0.5", "1", "1.5", "1e308"]
        return st.sampled_from([float(end) for end in ends])
    if isinstance(default, str):
        return TEXT
    return PLAIN if default is None else st.lists(PLAIN, max_size=2)


@st.composite
def fitting_tables(draw: Any) -> dict[str, Any]:
    """Tables that can be built but for one value or two, whose types are right."""
    entry = draw(st.sampled_from(list(registry("strategies"))))
    tables: dict[str, Any] = {
        "benchmark": {"name": "split-digits", "scenario": entry.scenarios[0], "fraction": 0.2},
        "strategy": {"name": entry.name},
        "model": {"name": "mlp", "hidden": [4]},
        "train": {},
        "run": {},
    }
    known = {
        "benchmark": registry("benchmarks")["split-digits"].defaults(),
        "strategy": entry.defaults(),
        "model": registry("models")["mlp"].defaults(),
        "train": vars(TrainConfig()),
        "run": dict(vars(RunConfig())),
    }
    known["model"].pop("hidden")
    del known["run"]["portable"]  # another process, whose answer is not heard here
    if not quantizes_itself(entry.name) and draw(st.integers(0, 4)) == 4:
        tables["quantization"] = {"quantizer": draw(st.sampled_from(QUANTIZERS))}
        known["quantization"] = QuantizationConfig().to_table()
    for _ in range(draw(st.integers(1, 2))):
        table = draw(st.sampled_from([table for table in known if known[table]]))
        key = draw(st.sampled_from(sorted(known[table])))
        tables[table][key] = draw(fitting(known[table][key]))
    return tables


def as_toml(tables: dict[str, Any]) -> str:
    text = tomli_w.dumps(json.loads(json.dumps(tables), parse_constant=float))
    return MARKED.sub(lambda mark: RAW[int(mark[1])], text)


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
    if choice > 9:
        return as_toml(draw(fitting_tables())).encode("utf-8", "surrogatepass")
    return damaged_text(draw, as_toml(draw(config_tables())))


@st.composite
def suite_files(draw: Any) -> bytes:
    def row(name: str) -> dict[str, Any]:
        layer = {"name": draw(st.one_of(st.just(name), TEXT))}
        for _ in range(draw(st.integers(0, 2))):
            layer[
                draw(st.one_of(st.sampled_from(["train", "model", "run", "strategies"]), TEXT))
            ] = draw(VALUES)
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
            head = st.sampled_from(["name", "seeds", "orders", "bits", "mem_bytes"])
            tables[table][draw(st.one_of(TEXT, head))] = draw(VALUES)
        else:
            tables[table] = draw(VALUES)
    return damaged_text(draw, as_toml(tables))


@st.composite
def tuning_files(draw: Any) -> bytes:
    """A suite with a ``[tuning]`` of which one thing or two are odd."""
    grid: dict[str, Any] = {"train.lr": [0.1], "strength": [1.0]}
    tuning: dict[str, Any] = {"seeds": [7], "validation": 0.2, "grid": grid}
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            tuning[draw(st.sampled_from(["seeds", "validation", "grid", "x"]))] = draw(VALUES)
        else:
            keys = ["train.lr", "strength", "strategy.c", "run.seed", "benchmark.name", "train"]
            odd = draw(st.one_of(VALUES, st.lists(VALUES, min_size=1, max_size=2)))
            grid[draw(st.one_of(st.sampled_from(keys), TEXT))] = odd
    return damaged_text(
        draw,
        as_toml(
            {
                "benchmarks": [{"name": "split-digits", "n_experiences": 2, "fraction": 0.2}],
                "strategies": [{"name": "naive"}, {"name": "si", "strength": "c"}],
                "tuning": draw(VALUES) if draw(st.integers(0, 9)) == 9 else tuning,
            }
        ),
    )


def run_file(raw: bytes) -> None:
    Path("run.toml").write_bytes(raw)
    outcome(["run", "run.toml", "--out", "runs-of-fuzz"])


def run_suite(raw: bytes) -> None:
    Path("suite.toml").write_bytes(raw)
    outcome(["compare", "suite.toml", "--executor", "serial"])
    stray = {path.name for path in Path().iterdir()} - {"run.toml", "suite.toml", "comparison"}
    assert stray <= {"runs-of-fuzz", "results", "data", ".avalanche"}, stray


def run_tuning(raw: bytes) -> None:
    Path("suite.toml").write_bytes(raw)
    outcome(["tune", "suite.toml", "--executor", "serial"])


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


KEYS = [
    *("benchmark.order", "benchmark.fraction", "benchmark.validation", "benchmark.data_root"),
    *("benchmark.normalize", "model.hidden", "model.name", "strategy.c", "strategy.exclude"),
    *("strategy.name", "train.lr", "train.epochs", "train.batch_size", "train.optimizer"),
    *("train.schedule", "train.milestones", "train.gamma", "train.momentum", "run.seed"),
    *("train.lr_factors", "train.bits_before", "train.lr_before"),
    *("run.threads", "run.device", "quantization.step_lr", "quantization.weight_bits"),
    *("quantization.skip", "quantization.quantizer", "train", "run.x", "x.y"),
]
NUMBERED = [
    *("9" * 5000, "0-" + "9" * 5000, "0-99999999999", "0-9999,5-20000", "1/" + "9" * 5000),
    *("9" * 5000 + "/2", "0/1", "1/1", "-1/2", "0-1", "1,1", "A-Z,A", "٣", "²", "1e3", "nan", ""),
    *("0x10", " 1 ", "1-", "-", "," * 5000, "A" * 300, "\x00", "1979-05-27"),
]


@st.composite
def odd_arguments(draw: Any) -> list[str]:
    """A command that would be right but for one argument."""
    name = draw(st.sampled_from(["run", "compare"]))
    method = draw(st.sampled_from(["naive", "si", "replay"]))
    command = [name, "--benchmark", "split-digits", "--set", "benchmark.n_experiences=2"]
    command += ["--strategy", method] if name == "run" else ["--strategies", method]
    command += [] if name == "run" else ["--executor", "serial"]
    if name == "run" or draw(st.booleans()):
        value = draw(st.one_of(st.sampled_from(RAW), TEXT))
        return [*command, "--set", f"{draw(st.sampled_from(KEYS))}={value}"]
    flag = draw(st.sampled_from(["--seeds", "--orders", "--shard", "--jobs", "--data-root"]))
    return [*command, f"{flag}={draw(st.one_of(st.sampled_from(NUMBERED), TEXT))}"]


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
def test_tuning_tables(amount):
    cases(amount)(given(tuning_files())(run_tuning))()


@AMOUNTS
def test_one_odd_argument(amount):
    cases(amount)(given(odd_arguments())(run_command))()


@AMOUNTS
def test_values_of_the_right_type_in_a_run_that_is_recorded(amount, monkeypatch):
    """The run itself, which checks less beforehand than a comparison does, and writes results."""

    def stopped(training: Any, *watchers: Any) -> None:
        raise UserError("stopped before training")

    def recorded(config: Any, out: Any, **options: Any) -> None:
        record = REAL_RUN(config, out, **options)
        assert "stopped before training" in record.error["message"], record.error["traceback"]
        raise UserError(record.error["message"])

    monkeypatch.setattr(runner, "run", recorded)
    monkeypatch.setattr(training.Training, "proceed", stopped)
    files = fitting_tables().map(lambda tables: as_toml(tables).encode("utf-8", "surrogatepass"))
    cases(amount)(given(files)(run_file))()


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
