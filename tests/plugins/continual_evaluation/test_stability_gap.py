"""The stability gap (De Lange et al., ICLR 2023) of replay on the digits, which need no download.

What replay has of an old experience falls after the switch and comes back: it is nearly as good
at the end of the next experience, and the accuracies at the ends of experiences hide the gap.
"""

from __future__ import annotations

import pytest
import torch

from cl_strategies.plugins import ContinualEvaluationPlugin, ResidentDataPlugin
from cl_strategies.registry import registry
from cl_strategies.strategies import Replay


def traced(seed, **options):
    stream = registry("benchmarks")["split-digits"].load()(scenario="class", n_experiences=3)
    torch.manual_seed(seed)
    model = registry("models")["mlp"].load()(
        input_shape=stream.info.input_shape, n_classes=10, scenario="class", hidden=[64]
    )
    plugin = ContinualEvaluationPlugin(stream=stream.test_stream, samples=100, **options)
    strategy = Replay(
        mem_size=200,
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=32,
        train_epochs=3,
        plugins=[ResidentDataPlugin(), plugin],
        evaluator=None,
    )
    for experience in stream.train_stream:
        strategy.train(experience)
    return plugin


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gap_opens_and_closes(seed):
    plugin = traced(seed, every=1)
    found = plugin.metrics()
    assert found["stability_gap_mean_transient"] > 0.2
    assert found["stability_gap_mean_permanent"] < 0.1
    assert found["stability_gap_mean_drop"] > 2 * found["stability_gap_mean_permanent"]
    first, second, _ = plugin.trace.last_points
    during = plugin.trace.points[first + 1 : second + 1, 0]
    assert during.argmin() < 25  # soon after the switch


def test_the_ends_of_experiences_do_not_show_it():
    found = traced(0, every=10**6, dense=1).metrics()
    assert found["stability_gap_mean_transient"] < 0.05
