"""The plugin in scripts: which points it has, its logs, its state, what it refuses."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
import torch
from avalanche.benchmarks.scenarios.online import split_online_stream
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import TextLogger
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive, Replay

from cl_strategies.cli.describing.parameter_table import markdown_table
from cl_strategies.errors import UserError
from cl_strategies.plugins import ContinualEvaluationPlugin
from cl_strategies.plugins.continual_evaluation.options import TraceOptions
from cl_strategies.registry import registry
from cl_strategies.validation.hyperparameters import parameters_of


def script(strategy=Naive, *, plugin=None, epochs=2, loggers=(), **options):
    """A plain Avalanche script on the digits."""
    stream = registry("benchmarks")["split-digits"].load()(scenario="class", fraction=0.2)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    plugin = plugin or ContinualEvaluationPlugin(stream=stream.test_stream, samples=20, every=2)
    learner = strategy(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_epochs=epochs,
        eval_mb_size=50,
        plugins=[plugin],
        criterion=torch.nn.CrossEntropyLoss(),
        evaluator=EvaluationPlugin(accuracy_metrics(stream=True), loggers=[*loggers]),
        **{"train_mb_size": 10, **options},
    )
    return stream, learner, plugin


def test_points_lie_where_the_schedule_has_them():
    stream, learner, plugin = script()
    plugin.options.__dict__["dense"] = 3
    for experience in stream.train_stream[:2]:
        learner.train(experience)
    trace = plugin.trace
    steps = 2 * -(-len(stream.train_stream[0].dataset) // 10)
    own = trace.column("iteration")[trace.column("experience") == 0].tolist()
    assert own == [0, 1, 2, 3, *range(5, steps, 2), steps]
    assert trace.column("step")[trace.column("experience") == 1][0] == steps
    assert trace.column("samples")[len(own)] == 2 * len(stream.train_stream[0].dataset)
    assert set(trace.column("epoch")) == {0, 1}
    first_of_second = trace.table()[len(own)].tolist()
    assert first_of_second[0] == -1 and first_of_second[1] >= 0  # the new test set alone


def test_accuracies_and_metrics_reach_the_loggers():
    written = io.StringIO()
    stream, learner, plugin = script(Replay, mem_size=20, loggers=[TextLogger(written)])
    for experience in stream.train_stream[:2]:
        learner.train(experience)
    learner.eval(stream.test_stream[:1])
    logged = learner.evaluator.get_all_metrics()
    steps, values = logged["Continual_Evaluation/Accuracy/Exp000"]
    column = plugin.trace.table()[:, 0]
    assert values == (column[column >= 0] / 20).tolist()
    assert steps == plugin.trace.column("step")[column >= 0].tolist()
    last = learner.evaluator.get_last_metrics()
    assert last["Continual_Evaluation/min_acc"] == plugin.metrics()["min_acc"]
    assert any(name.startswith("Top1_Acc_Stream/eval_phase") for name in last)
    assert "Continual_Evaluation/wc_acc" in written.getvalue()


def test_several_experiences_of_one_call_and_parts_of_online_streams_have_all_points():
    stream, learner, plugin = script()
    learner.train(stream.train_stream[:2])
    apart, other, second = script()
    for experience in apart.train_stream[:2]:
        other.train(experience)
    assert plugin.trace == second.trace
    stream, learner, plugin = script(epochs=1)
    online = split_online_stream(stream.train_stream[:2], experience_size=10)
    for part in online:
        learner.train(part)
    assert plugin.trace.order == [0, 1]
    assert plugin.trace.column("iteration")[plugin.trace.last_points[0] + 1] > 5
    assert len(plugin.trace.last_points) == 2


def test_a_restored_trace_goes_on_with_the_same_numbers():
    stream, learner, plugin = script()
    learner.train(stream.train_stream[0])
    state = plugin.state_dict()
    assert all(isinstance(value, str) for value in state.values())
    again = ContinualEvaluationPlugin(stream=stream.test_stream, samples=20, every=2)
    again.load_state_dict(state)
    assert again.state_dict() == state
    learner.plugins[learner.plugins.index(plugin)] = again
    learner.train(stream.train_stream[1])
    whole, other, expected = script()
    for experience in whole.train_stream[:2]:
        other.train(experience)
    assert again.trace == expected.trace
    assert again.metrics() == pytest.approx(expected.metrics(), nan_ok=True)


def test_the_default_costs_a_tenth_of_training_and_says_so(caplog):
    stream, learner, plugin = script(epochs=12, plugin=None)
    plugin = ContinualEvaluationPlugin(stream=stream.test_stream)
    learner.plugins[0] = plugin
    with caplog.at_level(logging.WARNING):
        for experience in stream.train_stream[:3]:
            learner.train(experience)
    assert 0 < plugin.cost <= 0.1
    assert not caplog.records
    assert plugin.trace.totals == [30] * 3  # as a training step, the least that is counted


def test_experiences_that_cannot_be_followed():
    stream, learner, _ = script(
        plugin=ContinualEvaluationPlugin(
            stream=registry("benchmarks")["split-digits"].load()(fraction=0.2).test_stream[:1]
        )
    )
    learner.train(stream.train_stream[0])
    with pytest.raises(UserError, match="experience 1 has no test set"):
        learner.train(stream.train_stream[1])
    stream, learner, _plugin = script()
    for position in (0, 1):
        learner.train(stream.train_stream[position])
    with pytest.raises(UserError, match="experience 0 was trained before"):
        learner.train(stream.train_stream[0])


@pytest.mark.parametrize(
    "options", [{"cost": 0}, {"every": 0}, {"samples": -1}, {"beta": 0}, {"nonsense": 1}]
)
def test_bad_options(options):
    stream = registry("benchmarks")["split-digits"].load()(fraction=0.2)
    with pytest.raises((UserError, TypeError)):
        ContinualEvaluationPlugin(stream=stream.test_stream, **options)


def test_a_state_of_another_stream_is_refused():
    stream, learner, plugin = script()
    learner.train(stream.train_stream[0])
    other = ContinualEvaluationPlugin(stream=[], samples=20, every=2)
    with pytest.raises(UserError, match="give the stream that it was recorded on"):
        other.load_state_dict(plugin.state_dict())


def test_an_experience_of_one_iteration_has_one_point():
    stream = registry("benchmarks")["split-digits"].load()(scenario="class", fraction=0.1)
    _, learner, plugin = script(
        epochs=1, plugin=ContinualEvaluationPlugin(stream=stream.test_stream), train_mb_size=500
    )
    for experience in stream.train_stream[:3]:
        learner.train(experience)
    assert plugin.trace.column("experience").tolist() == [0, 1, 2]
    assert plugin.trace.column("iteration").tolist() == [1, 1, 1]


def test_training_that_stops_early_ends_with_one_point():
    class Stop(SupervisedPlugin):
        def after_training_iteration(self, strategy, **kwargs):
            if strategy.clock.train_exp_iterations == 4:
                strategy.stop_training()

    stream, learner, plugin = script()
    learner.plugins.insert(0, Stop())
    learner.train(stream.train_stream[0])
    assert plugin.trace.column("iteration").tolist() == [0, 1, 2, 3, 4, 5]


def test_the_page_has_the_table_of_options():
    page = Path(__file__).parents[3] / "docs" / "continual-evaluation.md"
    assert markdown_table([*parameters_of(TraceOptions).values()]).strip() in page.read_text()
