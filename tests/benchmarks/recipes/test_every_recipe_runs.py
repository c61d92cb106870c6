"""Every recipe of a paper trains each of its strategies on two tasks of small files in the real
format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.cli.describing.names import recipe_titles
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.config.suite import Suite
from cl_strategies.experiment.engine.runner import run
from cl_strategies.registry import registry

PAPERS = ("ALASSO,", "HALRP,", "CIM,", "AlignQ,", "LifeQuant,")
OF_PAPERS = [name for name, title in recipe_titles().items() if title.startswith(PAPERS)]
#: Those that take seconds; other tests run one strategy of each paper every day.
DAILY = {"alasso-decoupling", "alignq-cifar10"}
#: What is taken for networks that are too large; the others are those of the recipe.
NETWORKS: Mapping[str, dict[str, Any]] = {
    **{
        name: {"name": "small-resnet", "channels": [4, 8]}
        for name in ("resnet18", "resnet20", "resnet50", "mobilenet-v2", "reduced-resnet18")
    },
    **{
        name: {"name": "cnn", "channels": [4, 8], "hidden": 16}
        for name in ("wide-lenet", "omniglot-lenet", "small-alexnet")
    },
    "mlp": {"name": "mlp", "hidden": [16]},
    "dropout-cnn": {"name": "dropout-cnn", "channels": [4, 4], "hidden": 8},
}
#: Options of methods that say how long something takes, or how much of it there is.
FEWER: Mapping[str, Any] = {
    **dict.fromkeys(("compress_epochs", "finetune_epochs", "balance_epochs", "warmup_epochs"), 1),
    **dict.fromkeys(("iterations", "image_iterations", "batches", "warmup", "student_steps"), 1),
    "images": 4,
    "importance_samples": 8,
    "importance_batch": 4,
    "mask_steps": 0.01,
    "mask_batch_size": 4,
    "samples": 16,
    "test_samples": 2,
    "classes": 2,
}


def small_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A strategy with little to do beside the training of two epochs."""
    known = registry("strategies")[row["name"]].parameters()
    return with_small_host({**row, **{key: FEWER[key] for key in FEWER.keys() & known.keys()}})


def with_small_host(row: dict[str, Any]) -> dict[str, Any]:
    """The same, with a host that has little to do."""
    if "host" in row:
        row["host"] = re.sub(r"_epochs=\d+", "_epochs=1", row["host"])
    quantization = {k: v for k, v in row.get("quantization", {}).items() if k != "skip"}
    # The small networks have no layer below the classifier to leave at full precision.
    row = {key: value for key, value in row.items() if key != "skip"}
    return row | ({"quantization": quantization} if quantization else {})


def small_benchmark(row: Mapping[str, Any], data_root: str) -> dict[str, Any]:
    """A stream of two tasks out of all that there is, with budgets that hold few images."""
    known = registry("benchmarks")[row["name"]].parameters()
    small: dict[str, Any] = {**row, "data_root": data_root}
    if "n_experiences" in known and "source" not in row and "domains" not in row:
        small["n_experiences"] = 1 if row.get("protocol") == "half" else 2
    if "domains" in row:
        small["domains"] = "-".join(row["domains"].split("-")[:2])
    if "image_size" in known:
        small["image_size"] = 32
    small |= {"fraction": 1.0} if "fraction" in row else {}
    if row["name"] in ("omniglot-rotation", "task-tiny-imagenet"):  # which have many classes
        small["fraction"] = 0.25
    if "model" in row:
        small["model"] = NETWORKS.get(row["model"]["name"], row["model"])
    special = row.get("strategies", {})
    small["strategies"] = {
        name: with_small_host({**table, **({"mem_bytes": 20_000} if "mem_bytes" in table else {})})
        for name, table in special.items()
    }
    return small


def small_configs(name: str, data_root: str) -> list[ExperimentConfig]:
    """A run of each strategy on the first benchmark of each kind, made small."""
    suite = Suite.from_toml(name)
    kinds = {
        (row["name"], row.get("protocol"), str(row.get("model"))): row
        for row in reversed(suite.benchmarks)
    }
    shared = dict(suite.shared)
    if "model" in shared:
        shared["model"] = NETWORKS.get(shared["model"]["name"], shared["model"])
    train = dict(shared.get("train", {}))
    if "lr_factors" in train:
        train["lr_factors"] = {"backbone.*": 0.1}
    if "bits_before" in train:
        train["bits_before"] = train["bits_before"][:2]
    shared["train"] = train
    part = replace(
        suite,
        benchmarks=[small_benchmark(row, data_root) for row in reversed(kinds.values())],
        strategies=[small_row(row) for row in suite.strategies],
        seeds=suite.seeds[:1],
        orders=(),
        bits=suite.bits[-1:],
        mem_bytes=[2_000_000] if suite.mem_bytes else (),
        shared=shared,
        published=(),
        source=None,
    )
    return part.configs({"train.epochs": 2, "train.batch_size": 64})


@pytest.mark.parametrize(
    "name",
    [name if name in DAILY else pytest.param(name, marks=pytest.mark.slow) for name in OF_PAPERS],
)
def test_every_strategy_of_a_recipe_trains_on_two_tasks(
    name: str, data_root: str, tmp_path: Path
) -> None:
    configs = small_configs(name, data_root)
    suite = Suite.from_toml(name)
    assert {one.strategy.name for one in configs} == {row["name"] for row in suite.strategies}
    assert {one.benchmark.name for one in configs} == {row["name"] for row in suite.benchmarks}
    failed = {}
    for config in configs:
        record = run(config, tmp_path)
        adapts = config.benchmark.name.startswith("adaptation")  # one domain with labels
        if record.status != "finished" or len(record.accuracy_matrix) != (1 if adapts else 2):
            failed[config.slug] = record.error
    assert not failed
