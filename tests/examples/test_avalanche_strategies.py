"""Avalanche's own examples of strategies, with ours and our streams in their place.

Each test has the name of an example and its course: what is built, the loop, what it shows.
"""

from __future__ import annotations

import pytest
import torch
from avalanche.benchmarks.scenarios.online import split_online_stream
from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
from avalanche.models import MTSimpleMLP
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised.joint_training import AlreadyTrainedError
from mlps import SMALL, accuracies, network, settings
from torch.optim import SGD, Adam

from cl_strategies.benchmarks import (
    online_split_digits,
    permuted_digits,
    rotated_digits,
    split_digits,
)
from cl_strategies.experiment import capture_state, load_checkpoint, restore_state, save_checkpoint
from cl_strategies.plugins import PrequentialAccuracy, evaluate_then_train
from cl_strategies.strategies import (
    AGEM,
    ALASSO,
    EWC,
    SI,
    CompressedReplay,
    Cumulative,
    Joint,
    LwF,
    SingleTask,
)


def test_naive(capsys):
    """A penalty in place of fine-tuning."""
    from avalanche.logging import InteractiveLogger

    benchmark, model = split_digits(**SMALL), network()
    which = {"minibatch": True, "epoch": True, "experience": True, "stream": True}
    evaluator = EvaluationPlugin(
        accuracy_metrics(**which), loss_metrics(**which), loggers=[InteractiveLogger()]
    )
    strategy = ALASSO(strength=3.0, **settings(model, evaluator=evaluator))
    for experience in benchmark.train_stream:
        strategy.train(experience)
        results = strategy.eval(benchmark.test_stream[:])
    assert len(accuracies(results)) == 3 and "Loss_Stream/eval_phase/test_stream" in str(results)
    assert capsys.readouterr().out.count("-- >> Start of training phase << --") == 3


def multihead(optimizer_of):
    benchmark = split_digits(scenario="task", **SMALL)
    torch.manual_seed(0)
    model = MTSimpleMLP(input_size=64, hidden_size=32)
    evaluator = EvaluationPlugin(accuracy_metrics(experience=True), loggers=[])
    strategy = EWC(strength=1.0, **settings(model, optimizer_of(model), evaluator=evaluator))
    for experience in benchmark.train_stream:
        strategy.train(experience)
        results = strategy.eval(benchmark.test_stream)
    return strategy, results


def test_multihead():
    """EWC with a head for each task label."""
    strategy, results = multihead(lambda model: Adam(model.parameters(), lr=0.01))
    assert set(strategy.model.classifier.classifiers) == {"0", "1", "2"}
    assert len(accuracies(results)) == 3 and min(accuracies(results)) > 0.5


def test_optimizer_param_groups():
    """Heads that come later join the parameter group of the classifier."""

    def two_groups(model):
        heads = list(model.classifier.parameters())
        return SGD([{"params": heads, "lr": 0.1}, {"params": model.features.parameters()}], lr=0.01)

    strategy, _ = multihead(two_groups)
    fast, slow = (set(map(id, group["params"])) for group in strategy.optimizer.param_groups)
    assert {id(p) for p in strategy.model.classifier.parameters()} <= fast
    assert {id(p) for p in strategy.model.features.parameters()} == slow


@pytest.mark.parametrize("stream", [split_digits, permuted_digits, rotated_digits])
def test_all_mnist(stream):
    """One script for three kinds of streams."""
    benchmark, model = stream(**SMALL), network()
    strategy = LwF(**settings(model, SGD(model.parameters(), lr=0.05, momentum=0.9)))
    seen = set()
    for experience in benchmark.train_stream:
        seen |= set(experience.classes_in_this_experience)
        strategy.train(experience)
    assert seen == set(range(10)) and strategy.clock.train_exp_counter == 3


def test_gem_agem_mnist():
    """A-GEM keeps some patterns of each experience, and none of the one that is to come."""
    benchmark, model = permuted_digits(**SMALL), network()
    strategy = AGEM(patterns_per_experience=40, sample_size=20, **settings(model))
    (plugin,) = (p for p in strategy.plugins if hasattr(p, "buffers"))
    for number, experience in enumerate(benchmark.train_stream, 1):
        strategy.train(experience)
        assert [len(buffer) for buffer in plugin.buffers] == [40] * number


def test_joint_training():
    """Train once, on the whole stream."""
    benchmark, model = permuted_digits(**SMALL), network()
    evaluator = EvaluationPlugin(accuracy_metrics(experience=True), loggers=[])
    strategy = Joint(**settings(model, evaluator=evaluator))
    strategy.train(benchmark.train_stream)
    assert min(accuracies(strategy.eval(benchmark.test_stream))) > 0.3
    with pytest.raises(AlreadyTrainedError):
        strategy.train(benchmark.train_stream)


def test_from_scratch_training():
    """Each task from the first weights: those of old ones stay what they were."""
    benchmark = split_digits(scenario="task", **SMALL)
    model = MTSimpleMLP(input_size=64, hidden_size=32)
    evaluator = EvaluationPlugin(accuracy_metrics(experience=True), loggers=[])
    strategy = SingleTask(**settings(model, evaluator=evaluator))
    first = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        first.append(accuracies(strategy.eval(benchmark.test_stream[:1])))
    assert first[0] == first[1] == first[2]


def test_online_replay():
    """Parts of a few samples, and a memory in bytes in place of one in samples."""
    benchmark, model = split_digits(**SMALL), network()
    strategy = CompressedReplay(mem_bytes=3_000, **settings(model, train_epochs=1))
    for experience in benchmark.train_stream:
        parts = split_online_stream([experience], experience_size=32, seed=0)
        for part in parts:
            strategy.train(part)
    (plugin,) = (p for p in strategy.plugins if hasattr(p, "memory"))
    report = plugin.memory.report()
    assert 0 < report["bytes_used"] <= 3_000 and len(report["exemplars_per_class"]) == 10


def test_online_naive():
    """Our online stream, each part tested before it is trained."""
    stream, model, metric = online_split_digits(**SMALL), network(), PrequentialAccuracy()
    evaluator = EvaluationPlugin(metric, loggers=[])
    strategy = SI(**settings(model, train_epochs=1, evaluator=evaluator))
    evaluate_then_train(strategy, stream.train_stream)
    assert 0.0 < metric.result() < 1.0 and metric.delay == 0


def test_checkpointing(tmp_path):
    """A script that is started again goes on to the same weights; our files in place of pickles."""
    benchmark, file = permuted_digits(**SMALL), tmp_path / "checkpoint.pt"

    def script(experiences):
        strategy, start = SI(strength=1.0, **settings(network())), 0
        if file.exists():
            saved = load_checkpoint(file)
            start = saved["next"]
            seen = benchmark.train_stream[:start]
            restore_state(strategy, saved["strategy"], experiences_seen=seen)
        for experience in benchmark.train_stream[start:experiences]:
            RNGManager.set_random_seeds(experience.current_experience)
            strategy.train(experience)
            state = {"strategy": capture_state(strategy), "next": experience.current_experience + 1}
            save_checkpoint(file, state)
        return start, [p.detach().clone() for p in strategy.model.parameters()]

    _, whole = script(3)
    file.unlink()
    assert script(2)[0] == 0
    start, weights = script(3)
    assert start == 2
    assert all(torch.equal(a, b) for a, b in zip(weights, whole, strict=True))


def test_dataloader():
    """A strategy of ours with a data loader of the user's."""
    from avalanche.benchmarks.utils.data_loader import TaskBalancedDataLoader

    class Balanced(Cumulative):
        def make_train_dataloader(self, shuffle=True, **kwargs):
            self.dataloader = TaskBalancedDataLoader(self.adapted_dataset, batch_size=24)

    benchmark = split_digits(scenario="task", **SMALL)
    model, counts = MTSimpleMLP(input_size=64, hidden_size=32), []
    strategy = Balanced(**settings(model, train_epochs=1))
    for experience in benchmark.train_stream:
        strategy.train(experience)
        batch = next(iter(TaskBalancedDataLoader(strategy.dataset, batch_size=24)))
        counts.append(torch.unique(batch[-1], return_counts=True)[1].tolist())
    assert counts == [[24], [12, 12], [8, 8, 8]]
