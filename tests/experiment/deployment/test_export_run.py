"""A finished run as a file: what it computes, what the report shows, what is refused."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.deployment.export_run import export_run
from cl_strategies.experiment.deployment.restored import restore_run
from cl_strategies.experiment.deployment.runtime import speedup
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.reports import write_report
from cl_strategies.results.derived import fingerprint
from cl_strategies.results.export import Exported, read_export

pytestmark = pytest.mark.usefixtures("undrawn")

onnxruntime = pytest.importorskip("onnxruntime")


def config(scenario: str = "class", **quantization: Any) -> ExperimentConfig:
    tables = {
        "benchmark": {"name": "split-digits", "n_experiences": 2, "scenario": scenario},
        "model": {"name": "cnn", "channels": [4, 4]},
        "strategy": {"name": "replay", "mem_size": 50},
        "train": {"epochs": 1, "batch_size": 64},
    }
    if quantization:
        tables["quantization"] = {"weight_bits": 8, "activation_bits": 8, **quantization}
    return ExperimentConfig.from_dict(tables)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories of runs: calibrated from the memory, trained quantized, with a head per task,
    and at full precision."""
    out = tmp_path_factory.mktemp("runs")
    configs = {
        "calibrated": config(calibrate="memory", per_channel=True),
        "trained": config(quantizer="lsq"),
        "heads": config("task", calibrate="memory"),
        "plain": config(),
    }
    for name, made in configs.items():
        assert run(made, out / name).finished
    return {name: RunDirectory(out / name, made).path for name, made in configs.items()}


@pytest.mark.parametrize("name", ["calibrated", "trained"])
def test_the_file_computes_what_the_run_did(finished, name):
    folder = finished[name]
    exported = export_run(folder, check=True)
    found = exported.checked
    assert exported.file == folder / "model.onnx" and exported.file.stat().st_size == found.bytes
    assert found.agreement >= 0.99
    record = restore_run(folder).record
    assert abs(found.torch_accuracy - np.mean(record.accuracy_matrix[-1])) < 0.01
    assert found.seconds > 0 and found.speedups["float"] > 0
    assert set(found.twin_bytes) | set(found.missing) == {"float", "brevitas"}
    assert read_export(folder, fingerprint(record)) == found


def test_a_head_is_named_and_taken(finished):
    with pytest.raises(UserError, match="a head for each of the tasks"):
        export_run(finished["heads"])
    found = export_run(finished["heads"], task=1, check=True).checked
    assert found.task == 1 and 150 < found.samples < 200 and found.agreement >= 0.99
    with pytest.raises(UserError, match="no sample of task 7"):
        export_run(finished["heads"], task=7)


def test_the_command_prints_a_table_and_the_report_shows_it(finished, capsys):
    folder = finished["calibrated"]
    assert main(["export", str(folder), "--format", "onnx", "--check", "--batch", "4"]) == 0
    text = capsys.readouterr().out
    assert "equal predictions" in text and "batch 4" in text and str(folder / "model.onnx") in text
    paths = write_report(folder.parents[1])
    assert "Accuracy of the file" in paths.markdown.read_text()
    assert "Accuracy of the file" in paths.html.read_text()
    assert main(["export", str(folder)]) == 0  # without a check there is none any more
    assert not (folder / "export.json").exists()


def test_what_cannot_be_exported_ends_with_exit_code_2(finished, tmp_path, capsys):
    assert main(["export", str(finished["plain"]), "--check"]) == 2
    assert "trained at full precision" in capsys.readouterr().err
    assert main(["export", str(tmp_path)]) == 2
    assert "no directory of a finished run" in capsys.readouterr().err
    copied = tmp_path / "copied"
    copied.mkdir()
    (copied / "result.json").write_bytes((finished["trained"] / "result.json").read_bytes())
    assert main(["export", str(copied)]) == 2
    assert "--rerun" in capsys.readouterr().err


def test_a_check_without_onnxruntime_ends_before_anything_is_written(finished, monkeypatch, capsys):
    file = finished["trained"] / "model.onnx"
    file.unlink(missing_ok=True)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", str(file.parent), "--check"]) == 2
    assert "pip install onnxruntime, or leave --check out" in capsys.readouterr().err
    assert not file.exists()


def test_a_damaged_check_is_named_and_the_run_counts(finished):
    folder = finished["trained"]
    export_run(folder, check=True)
    path = folder / "export.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "accuracy": 1.0}))
    paths = write_report(folder.parents[1])
    (problem,) = paths.problems
    assert problem.file.endswith("export.json") and "export again" in problem.message
    assert "Accuracy of the file" not in paths.markdown.read_text()
    path.unlink()


def test_fields_of_a_check_are_read_as_they_were_written(tmp_path):
    made = Exported(
        result="x", file="model.onnx", task=None, samples=3, accuracy=1.0, torch_accuracy=1.0,
        agreement=1.0, bytes=5, runtime="onnxruntime 1", batch=1, seconds=0.1,
        twin_bytes={"float": 9}, twin_seconds={"float": 0.2}, speedups={"float": 2.0},
        missing={"brevitas": "not installed"},
    )  # fmt: skip
    assert read_export(tmp_path, "x") is None
    made.write(tmp_path)
    assert read_export(tmp_path, "x") == made
    with pytest.raises(UserError, match="another result"):
        read_export(tmp_path, "y")
    for wrong in ({"accuracy": float(-1)}, {"twin_bytes": {"other": 1}}, {"samples": "3"}):
        dataclasses.replace(made, **wrong).write(tmp_path)
        with pytest.raises(UserError, match=next(iter(wrong))):
            read_export(tmp_path, "x")


def test_a_speedup_is_the_median_of_pairs():
    assert speedup([2.0, 9.0, 4.0], [1.0, 3.0, 2.0]) == 2.0
