"""ALASSO in an Avalanche script: one more plugin, and metrics that need no logger.

Trains three permutations of scikit-learn's digits twice, without the plugin and with it.
"""

import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive
from torch import nn

from cl_strategies.benchmarks import permuted_digits  # before Avalanche: see the README
from cl_strategies.plugins import ALASSOPlugin, cl_metrics


def train(plugins):
    """Return the metrics after the last of three tasks."""
    torch.manual_seed(0)
    benchmark = permuted_digits(n_experiences=3, fraction=0.5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.001),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=6,
        eval_mb_size=256,
        plugins=plugins,
        evaluator=EvaluationPlugin(accuracy_metrics(stream=True), cl_metrics()),
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        results = strategy.eval(benchmark.test_stream)
    return results


def main():
    runs = {"naive": train([]), "with ALASSO": train([ALASSOPlugin(strength=10.0)])}
    for name, results in runs.items():
        values = {key.partition("/")[0]: value for key, value in results.items()}
        print(
            f"{name:12} average accuracy {values['Average_Accuracy']:.3f}, "
            f"forgetting {values['Forgetting']:.3f}"
        )


if __name__ == "__main__":
    main()
