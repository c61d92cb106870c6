"""SI, EWC and LwF against trainings of van de Ven's code in the same setting.

Stream: Fashion-MNIST, its pixels permuted in each of ten tasks, 1,000 training images each, one
head. ``regularizers.jsonl`` holds what the other code gave: ``final`` accuracies of the ten tasks,
their mean ``average``, ``bwt`` and ``learned``. Initial weights and mini-batches are drawn
otherwise, so that means over seeds are compared. ``pytest -s`` prints the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.errors import DataMissingError
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.metrics.accuracy_matrix import AccuracyMatrix
from cl_strategies.strategies import EWC, SI, LwF

SEEDS = (0, 1, 2)
#: Accuracy below the peer's that is noise between means.
MARGIN = 0.03
PEERS = [json.loads(line) for line in Path(__file__).with_name("regularizers.jsonl").open()]

BUILD: dict[str, Callable[..., Any]] = {
    "si": lambda strength, **common: SI(strength=strength, xi=0.1, **common),
    # Theirs has a factor 1/2.
    "ewc": lambda strength, **common: EWC(
        strength=strength / 2, fisher="sampled", fisher_samples=300, **common
    ),
    "lwf": lambda strength, **common: LwF(alpha=strength, temperature=2.0, **common),
}
CASES = [
    ("si", 1.0),
    ("si", 10.0),
    ("si", 100.0),
    ("ewc", 30.0),
    ("ewc", 300.0),
    ("ewc", 3000.0),
    ("lwf", 1.0),
    ("lwf", 3.0),
    ("lwf", 10.0),
]


def stream(data: LoadedDataset, seed: int) -> Any:
    generator = np.random.default_rng(seed)
    train, test = [], []
    for _ in range(10):
        pixels = generator.permutation(784)
        chosen = generator.choice(60_000, 1_000, replace=False)
        judged = generator.choice(10_000, 1_500, replace=False)
        for side, samples, rows in ((train, data.train, chosen), (test, data.test, judged)):
            x = samples.x[rows].flatten(1)[:, pixels].view(-1, 1, 28, 28)
            side.append((x, torch.as_tensor(samples.labels)[rows]))
    return build_benchmark(train, test, name="stream-p", scenario="domain")


def measured(method: str, strength: float, data: LoadedDataset, seed: int) -> dict[str, Any]:
    """Ours, as a row of the peers."""
    benchmark = stream(data, seed)
    torch.manual_seed(seed)
    layers = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
    model = nn.Sequential(nn.Flatten(), *layers)
    matrix = AccuracyMatrix()
    strategy = BUILD[method](
        strength,
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=3e-3),
        train_mb_size=64,
        train_epochs=8,
        plugins=[ResidentDataPlugin()],
        evaluator=EvaluationPlugin(matrix, loggers=[]),
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
    learned, final = matrix.matrix.diagonal(), matrix.matrix[-1]
    return {
        "seed": seed,
        "final": final.round(4).tolist(),
        "average": float(final.mean()),
        "bwt": float((final - learned)[:-1].mean()),
        "learned": float(learned.mean()),
    }


@pytest.fixture(scope="module")
def fashion() -> LoadedDataset:
    try:
        return load_dataset("fashion-mnist")
    except DataMissingError as error:
        pytest.skip(str(error))


def table_row(name: str, who: str, rows: list[dict[str, Any]]) -> str:
    """A line of the table in Markdown."""
    seeds = ", ".join(str(row["seed"]) for row in rows)
    columns = [100 * np.array([row[key] for row in rows]) for key in ("average", "bwt", "learned")]
    shown = " | ".join(f"{values.mean():.1f} ± {values.std():.1f}" for values in columns)
    return f"| {name} | {who} | {seeds} | {shown} |"


@pytest.mark.slow
@pytest.mark.parametrize(("method", "strength"), CASES)
def test_average_accuracy_is_not_below_that_of_the_other_code(
    method: str, strength: float, fashion: LoadedDataset
) -> None:
    theirs = [
        row for row in PEERS if row["method"] == method and row["setting"]["strength"] == strength
    ]
    ours = [measured(method, strength, fashion, seed) for seed in SEEDS]
    name = f"{method} {strength:g}"
    print(table_row(name, "peer", theirs), table_row(name, "ours", ours), *ours, sep="\n")
    means = [float(np.mean([row["average"] for row in rows])) for rows in (ours, theirs)]
    assert means[0] > means[1] - MARGIN
