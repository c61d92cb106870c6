"""Every file of a run directory, cut short or with a byte changed: equal numbers, or its name."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
import torch

from cl_strategies.cli import main
from cl_strategies.experiment.state.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("undrawn")

LOGS = ("config.toml", "environment.json", "metrics.jsonl")
FILES = ("result.json", "checkpoint.pt", *LOGS)


@pytest.fixture(scope="module")
def states(tmp_path_factory, command, whole, numbers):
    """A finished comparison, and one whose first run was interrupted after an experience."""
    folder = tmp_path_factory.mktemp("states")
    assert main(command(folder / "finished")) == 0
    shutil.copytree(folder / "finished", folder / "interrupted")
    run = victim(folder / "interrupted")
    (run / "result.json").unlink()
    assert load_checkpoint(run / "checkpoint.pt")["rows"]["rows"] == 2
    interrupt(folder / "once", command)
    for name in ("checkpoint.pt", "metrics.jsonl"):
        shutil.copy(victim(folder / "once") / name, run / name)
    assert load_checkpoint(run / "checkpoint.pt")["rows"]["rows"] == 1
    return folder


def victim(out: Path) -> Path:
    return next(path for path in sorted(out.glob("runs/*")) if path.name.startswith("replay-"))


def interrupt(out, command):
    """One run that is stopped after its first experience."""
    from cl_strategies.experiment.engine import training

    save = training.save_checkpoint

    def save_and_stop(path, state):
        save(path, state)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "save_checkpoint", save_and_stop)
        arguments = [part if part != "si,replay" else "replay" for part in command(out)]
        assert main(arguments) == 130


def truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwritten(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    start = chance.randrange(len(changed))
    for position in range(start, min(start + 64, len(changed))):
        changed[position] = chance.randrange(256)
    return bytes(changed)


def check_recovery(out, damaged, command, numbers, whole, capsys):
    """The next call ends in equal numbers, or names the file and, without it, does the one after.

    The other run is never repeated.
    """
    other = next(path for path in out.glob("runs/*") if path.name.startswith("si-"))
    written = (other / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    code = main(command(out))
    said = capsys.readouterr().err
    if code != 0:
        assert code == 2 and str(damaged) in said, (code, said)
        assert "elete it" in said and "Traceback" not in said
        damaged.unlink()
        assert main(command(out)) == 0
    assert numbers(out) == whole
    assert (other / "result.json").stat().st_mtime_ns == written
    return code


@pytest.mark.parametrize(
    ("state", "damage"),
    [
        ("finished", truncated),
        ("interrupted", flipped),
        pytest.param("finished", flipped, marks=pytest.mark.slow),
        pytest.param("interrupted", truncated, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_costs_what_depends_on_it_and_no_more(
    state, damage, name, states, tmp_path, command, numbers, whole, capsys, damaged_times
):
    for attempt in range(damaged_times):
        out = tmp_path / str(attempt)
        shutil.copytree(states / state, out)
        file = victim(out) / name
        if not file.exists():
            assert (state, name) == ("interrupted", "result.json")
            return
        file.write_bytes(damage(file.read_bytes(), random.Random(f"{attempt}{name}{state}")))
        check_recovery(out, file, command, numbers, whole, capsys)


@pytest.fixture(params=[1, pytest.param(20, marks=pytest.mark.slow)])
def damaged_times(request):
    return request.param


@pytest.mark.parametrize("damage", [truncated, flipped, overwritten])
def test_no_damage_to_a_checkpoint_changes_what_it_says(damage, states, tmp_path):
    """Read with success, it says what it said; otherwise it is an error that names it."""
    from cl_strategies.errors import UserError

    source = victim(states / "interrupted") / "checkpoint.pt"
    expected = load_checkpoint(source)
    path, chance, refused = tmp_path / "checkpoint.pt", random.Random(damage.__name__), 0
    for _ in range(200):
        path.write_bytes(damage(source.read_bytes(), chance))
        try:
            loaded = load_checkpoint(path)
        except UserError as error:
            assert str(path) in str(error) and "delete it" in str(error)
            refused += 1
        else:
            assert same(loaded, expected)
    assert refused > 50


def same(left, right):
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def test_no_changed_byte_of_a_result_changes_what_it_says(states, tmp_path):
    from cl_strategies.errors import UserError
    from cl_strategies.results.record import load_result

    source = victim(states / "finished") / "result.json"
    expected, path, chance = load_result(source), tmp_path / "result.json", random.Random(0)
    for _ in range(500):
        path.write_bytes(flipped(source.read_bytes(), chance))
        try:
            assert load_result(path) == expected
        except UserError as error:
            assert str(path) in str(error)


def meaning(path):
    text = path.read_text()
    if path.suffix == ".toml":
        return tomllib.loads(text)
    return [json.loads(line) for line in ([text] if path.suffix == ".json" else text.splitlines())]


@pytest.mark.parametrize("damage", [truncated, flipped, overwritten])
@pytest.mark.parametrize("name", LOGS)
def test_no_change_of_a_log_goes_unnoticed(name, damage, states, tmp_path):
    """It is named as damaged, or it says what it said."""
    from cl_strategies.reports.reading.collection import collect

    shutil.copytree(victim(states / "finished"), tmp_path / "runs" / "run")
    path = tmp_path / "runs" / "run" / name
    source, expected = path.read_bytes(), meaning(path)
    chance, named = random.Random(damage.__name__), 0
    for _ in range(60):
        path.write_bytes(damage(source, chance))
        found = collect(tmp_path)
        assert len(found.runs) == 1
        if found.problems:
            (problem,) = found.problems
            assert problem.file == f"runs/run/{name}" and "Delete it" in problem.message
            named += 1
        else:
            assert meaning(path) == expected
    assert named > 30


def test_the_command_names_a_damaged_log_and_keeps_the_numbers(
    states, tmp_path, command, numbers, whole, capsys
):
    for name in LOGS:
        out = tmp_path / name
        shutil.copytree(states / "finished", out)
        path = victim(out) / name
        path.write_bytes(path.read_bytes()[:-5])
        assert check_recovery(out, path, command, numbers, whole, capsys) == 0
        capsys.readouterr()
        assert main(["report", str(out)]) == 0
        assert f"{path}: " in capsys.readouterr().err
        assert name in (out / "report.html").read_text()


def test_a_lock_that_leads_elsewhere_is_not_followed(states, tmp_path, command, capsys):
    """Else a colleague could have a file of mine emptied."""
    out, precious = tmp_path / "out", tmp_path / "precious"
    shutil.copytree(states / "interrupted", out)
    precious.write_text("mine")
    lock = victim(out) / ".lock"
    lock.unlink()
    lock.symlink_to(precious)
    assert main(command(out)) == 2
    assert f"cannot write to {victim(out)}" in capsys.readouterr().err
    assert precious.read_text() == "mine"


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def bare(path, state, trap):
    path.write_bytes(pickle.dumps(Malicious(trap)))


def hidden(path, state, trap):
    save_checkpoint(path, {**state, "strategy": {**state["strategy"], "model": Malicious(trap)}})


def compressed(path, state, trap):
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)


def without_rows(path, state, trap):
    save_checkpoint(path, {**state, "rows": []})


def with_itself_inside(path, state, trap):
    """Endless for who follows it."""
    inner = [1]
    inner.append(inner)
    torch.save({**state, "rows": inner, "tensors": torch.zeros(0, dtype=torch.uint8)}, path)


def with_parts_many_times(path, state, trap):
    """Two to the power of 60 parts in some hundred bytes."""
    inner = [1]
    for _ in range(60):
        inner = [inner, inner]
    torch.save({**state, "rows": inner, "tensors": torch.zeros(0, dtype=torch.uint8)}, path)


def shapeless(path, state, trap):
    save_checkpoint(path, {**state, "strategy": {"model": 3}})


def of_another_run(path, state, trap):
    save_checkpoint(path, {**state, "config_hash": "0" * 12})


@pytest.mark.parametrize(
    "attack",
    [
        bare,
        hidden,
        compressed,
        without_rows,
        with_itself_inside,
        with_parts_many_times,
        shapeless,
        of_another_run,
    ],
)
def test_a_hostile_checkpoint_is_named_and_runs_no_code(
    attack, states, tmp_path, command, numbers, whole, capsys
):
    out, trap = tmp_path / "out", tmp_path / "ran"
    shutil.copytree(states / "interrupted", out)
    path = victim(out) / "checkpoint.pt"
    attack(path, load_checkpoint(path), trap)
    assert check_recovery(out, path, command, numbers, whole, capsys) == 2
    assert not trap.exists()


@pytest.mark.parametrize("name", [*FILES, ".lock"])
def test_a_pickle_in_place_of_any_file_does_not_run(
    name, states, tmp_path, command, numbers, whole, capsys
):
    out, trap = tmp_path / "out", tmp_path / "ran"
    shutil.copytree(states / "finished", out)
    path = victim(out) / name
    path.write_bytes(pickle.dumps(Malicious(trap)))
    check_recovery(out, path, command, numbers, whole, capsys)
    assert not trap.exists()


def test_the_result_of_another_run_is_named(states, tmp_path, command, numbers, whole, capsys):
    out = tmp_path / "out"
    shutil.copytree(states / "finished", out)
    path = victim(out) / "result.json"
    other = next(p for p in out.glob("runs/*/result.json") if p != path)
    shutil.copy(other, path)
    assert check_recovery(out, path, command, numbers, whole, capsys) == 2
