"""Avalanche's own examples of evaluation and data, with our metrics, memories and streams.

Each test has the name of an example and its course: what is built, the loop, what it shows.
"""

from __future__ import annotations

import csv
import io

import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.benchmarks.scenarios import class_incremental_benchmark
from avalanche.benchmarks.utils import (
    DataAttribute,
    make_avalanche_dataset,
)
from avalanche.evaluation.metrics import (
    StreamConfusionMatrix,
    accuracy_metrics,
    forgetting_metrics,
    labels_repartition_metrics,
    loss_metrics,
)
from avalanche.logging import CSVLogger, TensorboardLogger, TextLogger
from avalanche.models import pytorchcv_wrapper
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.plugins.early_stopping import EarlyStoppingPlugin
from avalanche.training.supervised import Naive
from mlps import SMALL, accuracies, network, settings
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, TensorDataset

from cl_strategies.benchmarks import contract_violations, from_avalanche, split_digits
from cl_strategies.plugins import ByteBudgetBuffer, CompressedReplayPlugin, cl_metrics
from cl_strategies.strategies import MAS, Replay


def results_of(strategy, benchmark):
    """Train on the stream, and evaluate after the last experience."""
    for experience in benchmark.train_stream:
        strategy.train(experience)
    return strategy.eval(benchmark.test_stream)


def test_eval_plugin(tmp_path):
    """Our metrics beside Avalanche's, in the same loggers, with the same numbers."""
    benchmark, model, text = split_digits(**SMALL), network(), io.StringIO()
    loggers = [TextLogger(text), CSVLogger(str(tmp_path / "csv"))]
    evaluator = EvaluationPlugin(
        accuracy_metrics(epoch=True, experience=True, stream=True),
        loss_metrics(epoch=True, experience=True),
        forgetting_metrics(experience=True, stream=True),
        cl_metrics(),
        loggers=loggers,
    )
    strategy = MAS(strength=0.1, **settings(model, evaluator=evaluator))
    for experience in benchmark.train_stream:
        strategy.train(experience)
        results = strategy.eval(benchmark.test_stream)
    loggers[1].close()
    ours = {key.partition("/")[0]: value for key, value in results.items()}
    assert ours["Average_Accuracy"] == pytest.approx(sum(accuracies(results)) / 3)
    theirs = results["StreamForgetting/eval_phase/test_stream"]
    assert ours["Forgetting"] == pytest.approx(theirs)
    assert "Average_Accuracy" in text.getvalue()
    with open(tmp_path / "csv" / "eval_results.csv", newline="") as rows:
        assert len(list(csv.DictReader(rows))) == 9


def test_tensorboard_logger(tmp_path):
    """Metrics of ours in TensorBoard's files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    benchmark, model = split_digits(**SMALL), network()
    logger = TensorboardLogger(str(tmp_path / "tensorboard"))
    evaluator = EvaluationPlugin(cl_metrics(), loggers=[logger])
    results_of(Replay(mem_size=30, **settings(model, evaluator=evaluator)), benchmark)
    logger.writer.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert any(tag.startswith("Average_Accuracy") for tag in events.Tags()["scalars"])


def test_confusion_matrix():
    """Every test sample stands in the confusion matrix of a strategy of ours."""
    benchmark, model = split_digits(**SMALL), network()
    confusion = StreamConfusionMatrix(num_classes=10, save_image=False)
    evaluator = EvaluationPlugin(accuracy_metrics(stream=True), confusion, loggers=[])
    strategy = Replay(mem_size=60, **settings(model, evaluator=evaluator))
    results = results_of(strategy, benchmark)
    counts, n = confusion.result(), sum(len(e.dataset) for e in benchmark.test_stream)
    assert counts.sum() == n
    assert counts.diag().sum() / n == pytest.approx(
        results["Top1_Acc_Stream/eval_phase/test_stream/Task000"]
    )


def test_all_mnist_early_stopping():
    """Training ends when nothing is learned any more, and goes on with the next experience."""
    benchmark, model, patience = split_digits(**SMALL), network(), 2
    evaluator = EvaluationPlugin(accuracy_metrics(stream=True), loggers=[])
    options = settings(model, SGD(model.parameters(), lr=0.0), evaluator=evaluator)
    options |= {"train_epochs": 50, "eval_every": 1}
    stop = EarlyStoppingPlugin(patience, "test_stream")
    strategy = MAS(strength=0.1, plugins=[stop], **options)
    for task, test in zip(benchmark.train_stream, benchmark.test_stream, strict=True):
        strategy.train(task, eval_streams=[[test]])
        # one more at most: new classes are ruled out until they have come
        assert strategy.clock.train_exp_epochs <= patience + 1
    assert strategy.clock.train_exp_counter == 3


def test_dataset_inspection():
    """What is trained is seen: the samples of the memory beside those of the experience."""
    benchmark, model = split_digits(**SMALL), network()
    (metric,) = labels_repartition_metrics(on_train=True, on_eval=False)
    evaluator = EvaluationPlugin(metric, loggers=[])
    strategy = Replay(mem_size=24, **settings(model, train_epochs=1, evaluator=evaluator))
    seen = set()
    for experience in benchmark.train_stream:
        strategy.train(experience)
        seen |= set(experience.classes_in_this_experience)
        (counts,) = metric.result().values()
        assert {label for label, count in counts.items() if count} == seen


def pictures(n=24):
    torch.manual_seed(0)
    return torch.rand(n, 3, 32, 32), torch.arange(n) % 4


def test_pytorchcv_models():
    """A network of pytorchcv, and bytes in place of samples in Avalanche's own strategy."""
    data = TensorDataset(*pictures())
    data.targets = data.tensors[1].tolist()
    benchmark = nc_benchmark(
        data, data, 2, task_labels=False, seed=1, fixed_class_order=[0, 1, 2, 3]
    )
    model = pytorchcv_wrapper.resnet("cifar10", depth=20, pretrained=False)
    replay = CompressedReplayPlugin(mem_bytes=30_000, codec="jpeg")
    criterion = torch.nn.CrossEntropyLoss()
    options = settings(model, SGD(model.parameters(), lr=0.01), train_epochs=1)
    strategy = Naive(criterion=criterion, plugins=[replay], **options)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    report = replay.memory.report()
    assert report["bytes_used"] <= 30_000 and len(report["exemplars_per_class"]) == 4


def test_custom_datasets():
    """A data set of one's own, cut by Avalanche, with a method of ours and as a stream of ours."""
    x, y = torch.rand(40, 1, 8, 8), (torch.arange(40) % 4).tolist()
    attribute = DataAttribute(y, "targets")
    data = make_avalanche_dataset(TensorDataset(x, torch.tensor(y)), data_attributes=[attribute])
    theirs = class_incremental_benchmark({"train": data, "test": data}, num_experiences=2)
    model = network()
    strategy = MAS(strength=0.1, **settings(model))
    for task, _ in zip(theirs.train_stream, theirs.test_stream, strict=True):
        strategy.train(task)
    ours = from_avalanche(theirs, name="mine")
    assert not contract_violations(ours)
    assert ours.info.scenario == "class" and ours.info.n_experiences == 2


def test_updatable_objects():
    """No strategy at all: our memory in an agent, in a loop of one's own."""
    from avalanche.core import Agent
    from avalanche.training.losses import MaskedCrossEntropy

    benchmark = split_digits(**SMALL)
    agent = Agent()
    agent.replay = ByteBudgetBuffer(mem_bytes=3_000)
    agent.loss = MaskedCrossEntropy()
    agent.model = network()
    optimizer = Adam(agent.model.parameters(), lr=0.01)
    for experience in benchmark.train_stream:
        agent.pre_adapt(experience)
        data = experience.dataset.train()
        if len(agent.replay.buffer):
            data = data.concat(agent.replay.buffer)
        for x, labels, *_ in DataLoader(data, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            agent.loss(agent.model(x), labels).backward()
            optimizer.step()
        agent.post_adapt(experience)
    labels = {int(label) for _, label, *_ in agent.replay.buffer}
    assert labels == set(range(10)) and agent.replay.bytes_used <= 3_000
