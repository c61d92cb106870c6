"""Replay from a memory of so many bytes: the same budget, with images stored in two ways."""

import torch
from avalanche.training.supervised import Naive
from torch import nn

from cl_strategies.benchmarks import split_digits  # before Avalanche: see the README
from cl_strategies.models import mlp
from cl_strategies.plugins import CompressedReplayPlugin, LeanEvaluationPlugin, cl_metrics

BYTES = 4_000


def train(codec):
    """Return the memory and the average accuracy after five tasks of two digits."""
    torch.manual_seed(0)
    benchmark = split_digits(n_experiences=5, fraction=0.5)
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="class", hidden=[100])
    replay = CompressedReplayPlugin(mem_bytes=BYTES, codec=codec)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.002),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=4,
        eval_mb_size=256,
        plugins=[replay],
        evaluator=LeanEvaluationPlugin(cl_metrics()),
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        results = strategy.eval(benchmark.test_stream)
    accuracy = next(value for key, value in results.items() if key.startswith("Average_Accuracy"))
    return replay.memory, accuracy


def main():
    for codec in ("raw", "quantized:bits=2"):
        memory, accuracy = train(codec)
        report = memory.report()
        print(
            f"{codec:16} {report['exemplars']:3} exemplars in {report['bytes_used']} bytes "
            f"of {report['budget']}, average accuracy {accuracy:.3f}"
        )


if __name__ == "__main__":
    main()
