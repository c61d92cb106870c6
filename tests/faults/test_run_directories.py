"""Run directories that are not what they seem, and file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
from pathlib import Path

import pytest
import torch

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.state.checkpoint import load_checkpoint, save_checkpoint
from cl_strategies.results.checksum import sealed

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def made() -> ExperimentConfig:
    return ExperimentConfig.from_dict(
        {
            "benchmark": {"name": "split-digits", "n_experiences": 3, "fraction": 0.1},
            "model": {"name": "mlp", "hidden": [4]},
            "strategy": {"name": "si"},
            "train": {"epochs": 1},
        }
    )


def interrupted(made: ExperimentConfig, out: Path) -> RunDirectory:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(made, out, progress=stop)
    return RunDirectory(out, made)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(made, tmp_path, monkeypatch, code):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match="has no locks: mount it with locks"):
        run(made, tmp_path)
    assert not RunDirectory(tmp_path, made).result.exists()


def test_a_link_in_the_place_of_a_run_directory_is_not_followed(made, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.toml").write_text("mine = 1\n")
    directory = RunDirectory(tmp_path / "out", made)
    directory.path.parent.mkdir(parents=True)
    directory.path.symlink_to(elsewhere)
    with pytest.raises(UserError, match="is a link"):
        run(made, tmp_path / "out")
    assert [path.name for path in elsewhere.iterdir()] == ["config.toml"]
    assert (elsewhere / "config.toml").read_text() == "mine = 1\n"


def test_a_result_with_our_hash_and_another_configuration_is_named(made, tmp_path, capsys, command):
    assert main(command(tmp_path)) == 0
    path = sorted(tmp_path.glob("runs/si-*/result.json"))[0]
    result = json.loads(path.read_text())
    result["config"]["train"]["epochs"] = None
    del result["checksum"]
    path.write_text(json.dumps(sealed(result)))
    capsys.readouterr()
    assert main(command(tmp_path)) == 2
    said = capsys.readouterr().err
    assert str(path) in said and "another configuration" in said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train_seconds", "x"),
        ("train_seconds", float("nan")),
        ("parameter_bytes", -1),
        ("peak_memory_bytes", "a"),
        ("method_state_bytes", 10**400),
        ("accuracy", ["a"]),
        ("accuracy", [5.0]),
        ("accuracy", 3),
        ("experience", -1),
        ("experience", True),
        ("exemplars", 5),
        ("evaluated", 5),
        ("evaluated", [7]),
        ("evaluated", []),
    ],
)
def test_rows_that_are_none_are_named(made, tmp_path, key, value):
    """Even if the checkpoint says that it continues them."""
    directory = interrupted(made, tmp_path)
    rows = [json.loads(line) for line in directory.metrics.read_text().splitlines()]
    content = b"".join(
        f"{json.dumps({**row, key: value} if at == 0 else row)}\n".encode()
        for at, row in enumerate(rows)
    )
    directory.metrics.write_bytes(content)
    state = load_checkpoint(directory.checkpoint)
    mark = {"bytes": len(content), "rows": 2, "sha256": hashlib.sha256(content).hexdigest()}
    save_checkpoint(directory.checkpoint, {**state, "rows": mark})
    with pytest.raises(UserError, match=r"metrics\.jsonl does not fit this run .*delete it"):
        run(made, tmp_path)
    assert not directory.result.exists()


@pytest.mark.parametrize(
    "mark",
    [None, [], {}, {"bytes": 1, "rows": 1}, {"bytes": "a", "rows": 2, "sha256": "0" * 64}],
)
def test_a_checkpoint_that_continues_no_rows_is_named(made, tmp_path, mark):
    directory = interrupted(made, tmp_path)
    state = load_checkpoint(directory.checkpoint)
    save_checkpoint(directory.checkpoint, {**state, "rows": mark})
    with pytest.raises(UserError, match="delete it, and the run starts again"):
        run(made, tmp_path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(10**12),
        torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.long), torch.ones(1), (10**12,)),
        torch.empty(10**12, device="meta"),
    ],
    ids=["expanded", "sparse", "meta"],
)
def test_a_tensor_larger_than_what_is_stored_is_refused(tmp_path, tensor):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"deep": [{"in": (tensor,)}]})
    with pytest.raises(UserError, match="a tensor is not dense"):
        load_checkpoint(path)


def test_a_state_replaces_no_method(made, tmp_path):
    directory = interrupted(made, tmp_path)
    state = load_checkpoint(directory.checkpoint)
    state["strategy"]["attributes"]["train"] = 5
    save_checkpoint(directory.checkpoint, state)
    with pytest.raises(UserError, match=r"would replace .*train\(\)"):
        run(made, tmp_path)


def test_a_run_that_continues_elsewhere_says_where_it_was_before(made, tmp_path, monkeypatch):
    from cl_strategies.experiment.engine import training
    from cl_strategies.experiment.setup import environment

    here = environment.describe_environment("cpu")
    monkeypatch.setattr(training, "describe_environment", lambda device: {**here, "cores": 77})
    directory = interrupted(made, tmp_path)
    monkeypatch.setattr(training, "describe_environment", lambda device: here)
    assert run(made, tmp_path).finished
    written = json.loads((directory.path / "environment.json").read_text())
    assert written["cores"] == here["cores"]
    assert [earlier["cores"] for earlier in written["earlier"]] == [77]


@pytest.mark.parametrize("environments", [5, [5], [{"torch": torch.zeros(1)}]])
def test_a_checkpoint_with_environments_that_are_none_is_named(made, tmp_path, environments):
    directory = interrupted(made, tmp_path)
    state = load_checkpoint(directory.checkpoint)
    save_checkpoint(directory.checkpoint, {**state, "environments": environments})
    with pytest.raises(UserError, match=r"checkpoint\.pt does not fit this run"):
        run(made, tmp_path)


def test_a_folder_with_too_long_a_name_is_one_message(tmp_path, command, capsys):
    assert main(command(tmp_path / ("x" * 300))) == 2
    assert "name too long" in capsys.readouterr().err
