"""Every registered strategy, stopped after any experience, resumed in a process of its own."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from cl_strategies.experiment.sweep.executors import _context
from cl_strategies.registry import registry

STOPPED = str(Path(__file__).with_name("stopped.py"))
NAMES = [entry.name for entry in registry("strategies")]

#: Small memories, and updates often enough for experiences of a few steps.
OPTIONS = {
    "agem": {"patterns_per_experience": 20, "sample_size": 16},
    "cim": {"masks": "centre", "mem_bytes": 5_000},
    "compressed-replay": {"mem_bytes": 5_000},
    "icarl": {"mem_bytes": 5_000},
    "lucir": {"mem_bytes": 5_000, "balance_epochs": 1},
    "wa": {"mem_bytes": 5_000},
    "bic": {"mem_bytes": 5_000},
    "podnet": {"mem_bytes": 5_000, "balance_epochs": 1},
    "der-expandable": {"mem_bytes": 5_000},
    "foster": {"mem_bytes": 5_000},
    "aanets": {"mem_bytes": 5_000},
    "mnemonics": {"mem_bytes": 5_000},
    "mrdc": {"mem_bytes": 5_000, "tolerance": 1e9},
    "dark-er": {"mem_size": 31},
    "gdumb": {"mem_size": 31},
    "replay": {"mem_size": 31},
    "rwalk": {"delta_t": 2},
    "zeroq": {"iterations": 3},
    "zaq": {"iterations": 1, "student_steps": 2, "images": 8},
    "qimera": {"iterations": 2, "warmup": 2, "images": 8},
    "intraq": {"image_iterations": 2, "batches": 2, "iterations": 2, "images": 8},
}


def network(name):
    if "BatchNorm layers" in registry("strategies")[name].needs:
        return {"name": "small-resnet", "channels": [4, 6], "stem_stride": 1}
    return {"hidden": [16]}


def tables(name):
    return {
        "benchmark": {
            "name": "split-digits",
            "n_experiences": 3,
            "fraction": 0.2,
            "scenario": registry("strategies")[name].scenarios[0],
        },
        "strategy": {"name": name, **OPTIONS.get(name, {})},
        "train": {"epochs": 1},
        "model": network(name),
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
