"""Every registered strategy, stopped after any experience, resumed in a process of its own."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import small

from cl_strategies.experiment.sweep.executors import _context
from cl_strategies.registry import registry

STOPPED = str(Path(__file__).with_name("stopped.py"))
NAMES = [entry.name for entry in registry("strategies")]


def tables(name):
    entry = registry("strategies")[name]
    stream = {"name": "split-digits", "n_experiences": 3}
    if "target" in entry.fixed:  # of a domain without labels
        stream = {"name": "adaptation-digits", "targets": "inverted-photo-noisy"}
    return {
        "benchmark": {**stream, "fraction": 0.2, "scenario": entry.scenarios[0]},
        "strategy": {"name": name, **small.OPTIONS.get(name, {})},
        "train": {"epochs": 1},
        "model": small.network(name),
    }


def in_a_new_process(name, out, stop=None):
    options = {"TABLES": tables(name), "OUT": str(out), "STOP": stop}
    child = _context().Process(
        target=runpy.run_path, args=(STOPPED, options), kwargs={"run_name": "stopped"}, daemon=True
    )
    child.start()
    child.join(900)
    assert child.exitcode == (0 if stop is None else 3)


def numbers(out):
    (path,) = Path(out).glob("runs/*/result.json")
    result = json.loads(path.read_text())
    assert result["status"] == "finished", result["error"]
    for field in ("seconds", "memory", "checksum"):
        del result[field]
    del result["metrics"]["train_seconds"]
    return result


@pytest.mark.parametrize(
    "name",
    ["replay", *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name != "replay")],
)
def test_a_strategy_resumes_in_a_new_process_with_the_same_numbers(name, tmp_path):
    in_a_new_process(name, tmp_path / "whole")
    stops = [stop for stop in (1, 2) if name != "joint"]
    for stop in stops or [3]:
        out = tmp_path / f"stopped-{stop}"
        in_a_new_process(name, out, stop)
        assert not list(out.glob("runs/*/result.json"))
        in_a_new_process(name, out)
        assert numbers(out) == numbers(tmp_path / "whole")
