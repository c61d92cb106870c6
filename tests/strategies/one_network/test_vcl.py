"""VCL on streams: the mechanism, coresets, and its effect."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor

from cl_strategies.benchmarks.streams.permuted import permuted_digits
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state, state_bytes
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins import (
    CoresetPlugin,
    ResidentDataPlugin,
    VariationalModel,
    VariationalPlugin,
)
from cl_strategies.strategies import VCL, Naive


def learner(kind: Any, info: Any, plugins: Any = (), **options: Any) -> Any:
    shape, classes = info.input_shape, info.n_classes
    settings = {"train_mb_size": 64, "train_epochs": 2, "lr": 0.01, "hidden": (50, 50), **options}
    hidden = settings.pop("hidden")
    model = mlp(input_shape=shape, n_classes=classes, scenario=info.scenario, hidden=hidden)
    return kind(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=settings.pop("lr")),
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=None,
        **settings,
    )


class Accuracy(SupervisedPlugin):
    """Counts what an evaluation gets right."""

    def __init__(self) -> None:
        super().__init__()
        self.right: list[bool] = []

    def after_eval_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.right += (strategy.mb_output.argmax(1) == strategy.mb_y).tolist()


def accuracy(kind: Any, benchmark: Any, seed: int, **options: Any) -> float:
    """Over all tasks, after the last."""
    torch.manual_seed(seed)
    counts = Accuracy()
    strategy = learner(kind, benchmark.info, [counts], **options)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    return sum(counts.right) / len(counts.right)


@pytest.mark.slow
def test_it_forgets_less_than_fine_tuning_and_coresets_help_over_three_seeds():
    benchmark = permuted_digits(n_experiences=5, fraction=0.5)
    settings = {"hidden": (100, 100), "train_epochs": 10, "lr": 0.005}
    vcl = {"initial_log_variance": -4.0, "train_samples": 2, "test_samples": 20}
    coreset = {"coreset": "random", "coreset_size": 40}
    fine_tuned, alone, helped = (
        sum(accuracy(kind, benchmark, seed, **settings, **options) for seed in range(3)) / 3
        for kind, options in ((Naive, {}), (VCL, vcl), (VCL, vcl | coreset))
    )
    assert alone > fine_tuned + 0.12
    assert helped > alone + 0.03


@pytest.fixture(scope="module")
def split() -> Any:
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.3)


def test_heads_of_earlier_tasks_stay_what_they_are(split):
    strategy = learner(VCL, split.info, train_samples=1)
    strategy.train(split.train_stream[0])
    heads = strategy.model.head.heads
    before = [tensor.clone() for tensor in heads["2"].state_dict().values()]
    strategy.train(split.train_stream[1])
    after = list(heads["2"].state_dict().values())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert {name: bool(head.classifier.learned.all()) for name, head in heads.items()} == {
        "2": True,
        "0": True,
    }


def test_nothing_is_kept_between_experiences_but_the_model(split):
    strategy = learner(VCL, split.info, train_samples=1)
    strategy.train(split.train_stream[0])
    assert state_bytes(strategy) == 0
    sizes = {name: tensor.numel() for name, tensor in strategy.model.named_parameters()}
    logs = sum(size for name, size in sizes.items() if name.endswith("_log_variance"))
    assert 2 * logs == sum(sizes.values())


def test_a_smaller_variance_holds_weights_back(split):
    moved = []
    for log_variance in (-9.0, -4.0):
        torch.manual_seed(0)
        strategy = learner(VCL, split.info, train_samples=1, initial_log_variance=log_variance)
        strategy.train(split.train_stream[0])
        layer = next(iter(strategy.model.layers.values()))
        before = layer.weight.detach().clone()
        strategy.train(split.train_stream[1])
        moved.append((layer.weight - before).abs().mean().item())
    assert moved[0] < moved[1] / 2


def test_outputs_of_classes_to_come_are_not_drawn_to_the_prior():
    benchmark = split_digits(n_experiences=5, scenario="class", fraction=0.2)
    strategy = learner(VCL, benchmark.info, train_samples=1)
    head = strategy.model.head
    before = head.weight_log_variance.detach().clone()
    strategy.train(benchmark.train_stream[0])
    assert head.learned.tolist() == [True, True] + [False] * 8
    same = (head.weight_log_variance == before).all(1).tolist()
    assert same == [False, False] + [True] * 8


@pytest.mark.parametrize("coreset", ["random", "k-center"])
def test_a_coreset_is_taken_out_of_training_and_only_predicted_with(split, coreset):
    sizes: list[int] = []

    class Sizes(SupervisedPlugin):
        def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            sizes.append(len(strategy.adapted_dataset))

        def after_eval_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            refined.append(strategy.model is not model)
            logits.append(strategy.mb_output)

    options = {"coreset": coreset, "coreset_size": 10, "train_samples": 2, "test_samples": 5}
    strategy = learner(VCL, split.info, [Sizes()], **options)
    refined: list[bool] = []
    logits: list[Tensor] = []
    model = strategy.model
    for experience in split.train_stream[:2]:
        strategy.train(experience)
    full = [len(experience.dataset) for experience in split.train_stream[:2]]
    assert sizes == [size - 10 for size in full]

    before = {name: t.clone() for name, t in model.state_dict().items()}
    for seed in (1, 2):
        torch.manual_seed(seed)
        strategy.eval(split.test_stream)
        assert strategy.model is model
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert refined == 2 * [True, True, False]  # in order of task labels; 1 was not learned
    assert all(torch.equal(one, other) for one, other in zip(logits, logits[3:], strict=False))
    assert state_bytes(strategy) > 0


@pytest.mark.parametrize("scenario", ["task", "domain"])
def test_a_resumed_training_with_coresets_is_the_same(scenario):
    options = {"coreset": "random", "coreset_size": 8, "train_samples": 2, "test_samples": 5}
    results = []
    for interrupted in (False, True):
        benchmark = split_digits(n_experiences=5, scenario=scenario, fraction=0.2)
        torch.manual_seed(0)
        strategy = learner(VCL, benchmark.info, **options)
        for position, experience in enumerate(benchmark.train_stream[:3]):
            if interrupted and position == 2:
                state = capture_state(strategy)
                torch.manual_seed(9)
                strategy = learner(VCL, benchmark.info, **options)
                seen = benchmark.train_stream[:2]
                restore_state(strategy, state, experiences_seen=list(seen))
            torch.manual_seed(position)
            strategy.train(experience)
        logits: list[Tensor] = []

        class Keep(SupervisedPlugin):
            def after_eval_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
                logits.append(strategy.mb_output)  # noqa: B023

        strategy.plugins.append(Keep())
        strategy.eval(benchmark.test_stream[:3])
        results.append([*strategy.model.state_dict().values(), *logits])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_its_parts_work_in_a_plain_avalanche_strategy():
    benchmark = permuted_digits(n_experiences=2, fraction=0.2)
    network = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="domain", hidden=(20,))
    model = VariationalModel(network, train_samples=2, test_samples=5)
    counts, variational = Accuracy(), VariationalPlugin(prior_variance=0.1)
    strategy = SupervisedTemplate(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        train_mb_size=32,
        train_epochs=8,
        plugins=[variational, CoresetPlugin(coreset="random", coreset_size=10), counts],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        assert all(layer.learned.all() for layer in model.layers.values())
    strategy.eval(benchmark.test_stream)
    assert strategy.model is model and sum(counts.right) / len(counts.right) > 0.3


def test_impossible_options_and_models_are_refused_before_any_training(split):
    for options, message in (
        ({"prior_variance": 0.0}, "prior_variance is 0"),
        ({"coreset": "herding"}, "k-center, none, random"),
        ({"coreset_size": 0}, "coreset_size is 0"),
        ({"test_samples": 0}, "test_samples is 0"),
        ({"initial_log_variance": float("nan")}, "initial_log_variance is nan"),
    ):
        with pytest.raises(UserError, match=message):
            learner(VCL, split.info, **options)
    strategy = learner(VCL, split.info)
    with pytest.raises(UserError, match="Gaussian weights already"):
        VCL(model=strategy.model, optimizer=strategy.optimizer)
    strategy = learner(VCL, split.info, coreset="random", coreset_size=1_000)
    with pytest.raises(UserError, match="coreset_size is 1000, and the experience has"):
        strategy.train(split.train_stream[0])
