"""Benchmarks that are given as Python objects: identity, other processes, results of before."""

from __future__ import annotations

import functools
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from torch.utils.data import TensorDataset
from torchvision import transforms as tv

from cl_strategies.benchmarks import from_avalanche, permute_dataset, split_dataset, split_digits
from cl_strategies.errors import DataMissingError, UserError
from cl_strategies.experiment import ExperimentConfig, compare
from cl_strategies.experiment.config.run_config import Named
from cl_strategies.experiment.identity import given_benchmarks as given
from cl_strategies.experiment.identity.content import content_of
from cl_strategies.experiment.identity.described import described
from cl_strategies.registry import registry

BYTES = np.random.RandomState(0).randint(0, 256, (200, 5, 4, 3)).astype(np.uint8)
LABELS = np.arange(200) % 4
SMALL = {"train.epochs": 1, "model.hidden": [4]}


def stream(x: Any = BYTES, **options: Any) -> Any:
    return split_dataset((x, LABELS), **{"n_experiences": 2, "name": "mine", **options})


def halved(x: Any) -> Any:
    return x / 2


def test_the_content_is_all_samples_labels_and_transforms():
    content = content_of(stream())
    assert content == content_of(stream())
    changed = {
        "labels": split_dataset((BYTES, (LABELS + 1) % 4), n_experiences=2, name="mine"),
        "name": stream(name="yours"),
        "scenario": stream(scenario="task"),
        "tasks": stream(n_experiences=4),
        "augmentation": stream(augmentation="flip"),
        "normalization": stream(normalize=False),
        "size": stream(image_size=4),
        "transforms": stream(transforms=(tv.ToTensor(), tv.ToTensor())),
    }
    for row in (0, 101, 199):
        x = BYTES.copy()
        x[row, 0, 0, 0] ^= 1
        changed[f"pixel of {row}"] = stream(x, mean=[0.5] * 3, std=[1.0] * 3)
    changed["no pixel"] = stream(mean=[0.5] * 3, std=[1.0] * 3)
    contents = {what: content_of(benchmark) for what, benchmark in changed.items()}
    assert len({content, *contents.values()}) == 1 + len(changed), contents


def test_order_is_beside_the_content():
    one, other = (stream(order=order, normalize=False) for order in (None, [1, 0]))
    assert content_of(one) == content_of(other)
    assert given.give(one)["order"] is None and given.give(other)["order"] == [1, 0]
    table = given.give(other)
    assert given.given_benchmark(content=table["content"], order=[1, 0]) is other


def test_permutations_and_parts_count():
    numbers = (BYTES[..., 0] / 255, LABELS)
    seeds = [permute_dataset(numbers, n_experiences=2, stream_seed=seed) for seed in (0, 0, 1)]
    first, again, other = map(content_of, seeds)
    assert first == again != other
    from cl_strategies.benchmarks import online_split_digits

    parts = [
        online_split_digits(n_experiences=2, fraction=0.05, experience_size=size)
        for size in (10, 10, 9)
    ]
    first, again, other = map(content_of, parts)
    assert first == again != other


def test_code_and_settings_are_described_alike_in_every_process():
    def scaled(by):
        return lambda x: x * by

    assert described(scaled(2)) == described(scaled(2)) != described(scaled(3))
    assert described(halved) != described(scaled(2))
    assert described(functools.partial(halved, x=1)) != described(functools.partial(halved, x=2))
    assert described({"a": 1, "b": {2, 3}}) == described({"b": {3, 2}, "a": 1})
    assert described(torch.ones(2)) != described(torch.zeros(2))
    circle: list[Any] = []
    circle.append(circle)
    assert described(circle).count("list") == 18
    assert "0x" not in described([tv.Normalize((0.5,), (1.0,)), halved, scaled(1), Path, np.sum])


def test_a_given_benchmark_is_found_by_its_name_and_not_listed():
    table = given.give(stream())
    assert table["name"] == "mine" and "mine" in registry("benchmarks")
    assert "mine" not in {entry.name for entry in registry("benchmarks")}
    assert given.give(split_digits(n_experiences=2, fraction=0.05))["name"] == "own-split-digits"
    config = ExperimentConfig.from_dict({"benchmark": table, "strategy": {"name": "naive"}})
    assert config.slug.startswith("naive-mine-s0-")
    with pytest.raises(DataMissingError, match="run the script again that makes it"):
        given.given_benchmark(content="0" * 16)


def test_results_are_read_and_one_changed_pixel_is_another_run(tmp_path):
    def compared(benchmark, **options):
        return compare(
            benchmarks=[benchmark],
            strategies=["naive", "replay"],
            settings=SMALL,
            out=tmp_path,
            executor_name="serial",
            **options,
        )

    first = compared(stream())
    assert [record.status for record in first.records] == ["finished", "finished"]
    assert first.records[0].benchmark == "mine" and not first.read
    given._GIVEN.clear()
    again = compared(stream())
    assert len(again.read) == 2 and set(again.read.values()) == {""}
    x = BYTES.copy()
    x[77, 0, 0, 0] ^= 1
    other = compared(stream(x))
    assert not other.read and len(list((tmp_path / "runs").iterdir())) == 4
    theirs = TensorDataset(torch.from_numpy(BYTES).float() / 255, torch.from_numpy(LABELS))
    theirs.targets = LABELS.tolist()
    wrapped = compared(nc_benchmark(theirs, theirs, n_experiences=2, task_labels=False, seed=0))
    assert {record.benchmark for record in wrapped.records} == {"avalanche"}


def test_what_cannot_be_sent_is_refused_before_any_run(tmp_path):
    benchmark = stream(transforms=(lambda image: tv.ToTensor()(image), tv.ToTensor()))
    options = {"benchmarks": [benchmark], "strategies": ["naive"], "out": tmp_path}
    with pytest.raises(UserError, match=r"mine cannot be sent .* or give executor_name='serial'"):
        compare(settings=SMALL, **options)
    assert not list(tmp_path.rglob("result.json"))


def test_a_parcel_brings_the_benchmark_and_nothing_else_is_sent():
    assert given.parcel_of(Named("split-digits", {"order": None})) is None
    table = given.give(from_avalanche(stream(image_size=4), name="mine"))
    named = Named(table.pop("name"), table)
    parcel = given.parcel_of(named)
    assert parcel is not None and Path(parcel.file).stat().st_mode & 0o77 == 0
    sent = given.packed(parcel)
    given._GIVEN.clear()
    given._WRITTEN.clear()
    given.receive(given.unpacked(sent))
    received = given.given_benchmark(**named.options)
    assert content_of(received) == table["content"]
    given._GIVEN.clear()
    given.receive(given.unpacked(sent))
    Path(given.unpacked(sent).file).write_bytes(b"no pickle")
    with pytest.raises(UserError, match="cannot be read here"):
        given.given_benchmark(**named.options)


SCRIPT = """
import numpy as np
from torch.utils.data import Dataset

from cl_strategies.benchmarks import split_dataset
from cl_strategies.experiment import compare


class Squares(Dataset):
    targets = [0, 1, 2, 3] * 20

    def __len__(self):
        return 80

    def __getitem__(self, index):
        return np.full((4, 4), 60 * self.targets[index], dtype=np.uint8), self.targets[index]


if __name__ == "__main__":
    benchmark = split_dataset(Squares(), n_experiences=2, cache_bytes=0, name="squares")
    settings = {"model.hidden": [4]}
    found = compare(benchmarks=[benchmark], strategies=["naive"], settings=settings, out="results")
    print(found.problems, found.reasons, len(found.records), len(found.read))
"""


@pytest.mark.slow  # the pages about own data do it, too, in shorter scripts
def test_worker_processes_get_the_object_and_another_process_reads_the_result(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "ignore", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "{} {} 1 0", done.stdout + done.stderr[-2000:]
    monkeypatch.chdir(tmp_path)
    runpy.run_path("script.py", run_name="__main__")
    assert capsys.readouterr().out.strip() == "{} {} 1 1"
