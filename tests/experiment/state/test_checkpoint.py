"""Checkpoints are whole or refused, and never run code."""

import os
import pickle
import random

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import derive_seed, seed_everything
from cl_strategies.experiment.state.checkpoint import load_checkpoint, save_checkpoint
from cl_strategies.io.atomic import atomic_write, write_text
from cl_strategies.plugins.features.generators import isolated_rng


def test_tensors_and_plain_data_come_back(tmp_path):
    path = tmp_path / "checkpoint.pt"
    state = {"weights": torch.arange(6.0).reshape(2, 3), "rows": [{"a": 1, "b": [0.5, None]}]}
    save_checkpoint(path, state)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["weights"], state["weights"])
    assert loaded["rows"] == state["rows"]


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_truncated_checkpoint_is_named(tmp_path, keep):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"weights": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"checkpoint.pt .*delete it"):
        load_checkpoint(path)


def test_a_flipped_byte_in_a_tensor_is_noticed(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"weights": torch.full((1000,), 3.0)})
    content = bytearray(path.read_bytes())
    position = content.index(np.float32(3.0).tobytes() * 8) + 100
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(path)


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def test_a_pickled_object_is_refused_and_does_not_run(tmp_path):
    trap = tmp_path / "ran"
    for name, save in (
        ("zip.pt", torch.save),
        ("bare.pt", lambda o, p: p.write_bytes(pickle.dumps(o))),
    ):
        path = tmp_path / name
        save(Malicious(trap), path)
        with pytest.raises(UserError, match="delete it"):
            load_checkpoint(path)
    assert not trap.exists()


def test_another_format_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": 99}, path)
    with pytest.raises(UserError, match="another version"):
        load_checkpoint(path)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "file" / "inside", "x")


def test_purposes_draw_from_seeds_of_their_own():
    seeds = {derive_seed(s, *p) for s in (0, 1) for p in (("a",), ("b",), ("a", 0), ("a", 1))}
    assert len(seeds) == 8
    assert derive_seed(3, "experience", 2) == derive_seed(3, "experience", 2)


def test_the_callers_generators_are_given_back():
    seed_everything(1)
    expected = (random.random(), np.random.rand(), torch.rand(()).item())
    seed_everything(1)
    with isolated_rng():
        seed_everything(99)
        torch.rand(5)
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_a_file_has_the_mode_that_the_umask_asks_for(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
