"""Accuracy on the next parts of an online stream, against a count by hand."""

from __future__ import annotations

import math

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from cl_strategies.benchmarks import build_benchmark, load
from cl_strategies.benchmarks.core.parts import cut_into_parts
from cl_strategies.errors import UserError
from cl_strategies.plugins import PrequentialAccuracy, evaluate_then_train
from cl_strategies.plugins.metrics.functional import blind_accuracy
from cl_strategies.strategies import Naive


def learner(metric, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    evaluator = EvaluationPlugin(metric)
    return Naive(model=model, optimizer=optimizer, evaluator=evaluator, train_mb_size=8, **options)


@pytest.fixture
def stream():
    return load("online-split-digits", n_experiences=2, fraction=0.06, experience_size=8)


@pytest.mark.parametrize("delay", [0, 3])
def test_predictions_before_training_equal_those_of_a_loop_by_hand(stream, delay):
    metric = PrequentialAccuracy()
    evaluate_then_train(learner(metric), stream.train_stream, delay=delay)

    strategy, expected, labels, blind = learner(PrequentialAccuracy()), [], [], []
    parts = list(stream.train_stream)
    for position, part in enumerate(parts):
        if position and position + delay < len(parts):
            data = parts[position + delay].dataset.eval()
            x = torch.stack([data[i][0] for i in range(len(data))])
            with torch.no_grad():
                logits = strategy.model.eval()(x)
            seen = strategy.seen_classes.seen()
            ruled_out = [c for c in range(10) if c not in seen]
            logits[:, ruled_out] = -math.inf
            expected += logits.argmax(1).tolist()
            labels += list(data.targets)
            blind += [parts[position - 1].dataset.targets[-1]] * len(data)
        strategy.train(part)

    records = metric.records
    assert records == {"labels": labels, "predictions": expected, "blind": blind}
    right = sum(a == b for a, b in zip(labels, expected, strict=True))
    assert metric.result() == right / len(labels) and metric.delay == delay


def test_testing_does_not_change_the_training(stream):
    tested, plain = learner(PrequentialAccuracy()), learner(PrequentialAccuracy())
    torch.manual_seed(1)
    evaluate_then_train(tested, stream.train_stream)
    torch.manual_seed(1)
    for part in stream.train_stream:
        plain.train(part)
    weights = zip(tested.model.parameters(), plain.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_the_blind_baseline_of_single_samples_is_that_of_the_function(delay):
    x, y = torch.rand(9, 1, 8, 8), torch.arange(9) // 3
    whole = build_benchmark([(x, y)], [(x, y)], name="t", scenario="class")
    benchmark = cut_into_parts(whole, "online-t", experience_size=1)
    metric = PrequentialAccuracy()
    evaluate_then_train(learner(metric), benchmark.train_stream, delay=delay)
    order = [label for part in benchmark.train_stream for label in part.dataset.targets]
    assert metric.blind == blind_accuracy(order, delay)


def test_values_are_emitted_beside_the_baseline_under_their_own_names(stream):
    for delay, name in ((0, "Online_Accuracy"), (2, "Near_Future_Accuracy_2_parts")):
        metric = PrequentialAccuracy()
        strategy = learner(metric)
        evaluate_then_train(strategy, stream.train_stream, delay=delay)
        logged = strategy.evaluator.get_last_metrics()
        assert logged[f"{name}/train_stream"] == metric.result()
        assert logged[f"Blind_{name}/train_stream"] == metric.blind


def test_other_evaluations_are_ignored_and_before_the_first_test_it_is_undefined(stream):
    metric = PrequentialAccuracy()
    strategy = learner(metric)
    strategy.eval([stream.train_stream[0]])
    strategy.train(stream.train_stream[0])
    strategy.eval(stream.test_stream)
    strategy.eval(stream.whole_stream)
    assert math.isnan(metric.result()) and math.isnan(metric.blind) and metric.delay is None


def test_testing_what_was_trained_or_another_distance_is_refused(stream):
    strategy, parts = learner(PrequentialAccuracy()), stream.train_stream
    strategy.train(parts[0])
    with pytest.raises(UserError, match="a delay of -1; it must be at least 0"):
        strategy.eval([parts[0]])
    strategy.eval([parts[1]])
    with pytest.raises(UserError, match="a delay of 1; it must be 0 as before"):
        strategy.eval([parts[2]])
