"""IMM: what an evaluation sees, what training goes on with, and what is remembered."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import IncrementalClassifier
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn

from cl_strategies.benchmarks import build_benchmark, permuted_digits, split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state, state_bytes
from cl_strategies.models.heads import GrowingClassifier, SingleHeadModel
from cl_strategies.plugins import (
    AccuracyMatrix,
    IMMMeanPlugin,
    IMMModePlugin,
    LeanEvaluationPlugin,
    QuantizationPlugin,
    ResidentDataPlugin,
    export_onnx,
    pack_model,
    quantize_strategy,
)
from cl_strategies.strategies import IMMMean, IMMMode, Naive

KINDS = [IMMMean, IMMMode]


def images(seed: int = 0) -> Tensor:
    return torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def stream(tasks: int = 3, scenario: str = "domain") -> Any:
    y = torch.arange(24) % 2
    shift = 2 if scenario == "class" else 0
    parts = [(images(task), y + shift * task) for task in range(tasks)]
    return build_benchmark(parts, parts, name="small", scenario=scenario)


def network(head: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    return SingleHeadModel(body, nn.Linear(12, 2) if head is None else head)


def learner(kind: Any, model: nn.Module, plugins: Any = (), **options: Any) -> Any:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return kind(
        model=model,
        optimizer=torch.optim.SGD(trained, lr=0.1, momentum=0.5),
        train_mb_size=8,
        train_epochs=2,
        plugins=list(plugins),
        evaluator=options.pop("evaluator", None),
        **options,
    )


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


class Seen(SupervisedPlugin):
    """What the model is in each evaluation, and after each training."""

    def __init__(self) -> None:
        super().__init__()
        self.evaluated: list[dict[str, Tensor]] = []
        self.trained: list[dict[str, Tensor]] = []

    def after_eval_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.evaluated.append(copied(strategy.model))

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.trained.append(copied(strategy.model))


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_sees_the_merged_network_and_training_goes_on_with_its_own(kind: Any) -> None:
    seen, benchmark = Seen(), stream()
    strategy = learner(kind, network(), [seen])
    for position, experience in enumerate(benchmark.train_stream):
        strategy.train(experience)
        own, merged = copied(strategy.model), copied(strategy.merged_model())
        strategy.eval(benchmark.test_stream)
        assert same(seen.evaluated[-1], merged)
        assert same(copied(strategy.model), own) and same(own, seen.trained[-1])
        assert same(merged, own) == (position == 0)
    assert strategy.plugin.networks == 3


def test_the_mean_is_that_of_all_networks_and_of_their_running_statistics() -> None:
    seen = Seen()
    strategy = learner(IMMMean, network(), [seen], alpha=0.5)
    strategy.train(stream().train_stream)
    merged = strategy.merged_model().state_dict()
    for name, value in merged.items():
        networks = [
            float(a) * own[name] for a, own in zip((0.25, 0.25, 0.5), seen.trained, strict=True)
        ]
        if value.is_floating_point():
            torch.testing.assert_close(value, sum(networks), rtol=1e-5, atol=1e-6)
        else:  # the number of batches that were tracked
            assert torch.equal(value, seen.trained[-1][name])


def test_alpha_one_is_the_last_network_in_every_bit() -> None:
    strategy = learner(IMMMean, network(), alpha=1.0)
    strategy.train(stream().train_stream)
    assert same(copied(strategy.merged_model()), copied(strategy.model))


@pytest.mark.parametrize("kind", KINDS)
def test_evaluations_within_an_experience_are_of_the_network_in_training(kind: Any) -> None:
    seen, benchmark = Seen(), stream()
    strategy = learner(kind, network(), [seen], eval_every=1)
    for experience in benchmark.train_stream[:2]:
        seen.evaluated.clear()
        strategy.train(experience, eval_streams=[benchmark.test_stream[:1]])
    before, *_, last_epoch = seen.evaluated
    assert same(before, seen.trained[0])  # before the second experience: a single network
    assert same(last_epoch, seen.trained[1])
    assert not same(last_epoch, copied(strategy.merged_model()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_evaluation_that_ends_an_experience_is_of_the_merged_network(kind: Any) -> None:
    seen, benchmark = Seen(), stream()
    strategy = learner(kind, network(), [seen], eval_every=0)
    strategy.train(benchmark.train_stream[:2], eval_streams=[benchmark.test_stream[:1]])
    assert same(seen.evaluated[-1], copied(strategy.merged_model()))
    assert same(copied(strategy.model), seen.trained[1])


def test_an_evaluation_that_fails_leaves_the_network_its_own() -> None:
    class Fail(SupervisedPlugin):
        def before_eval_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            raise KeyboardInterrupt

    benchmark = stream()
    strategy = learner(IMMMean, network(), [Fail()])
    strategy.train(benchmark.train_stream)
    own = copied(strategy.model)
    with pytest.raises(KeyboardInterrupt):
        strategy.eval(benchmark.test_stream)
    assert same(copied(strategy.model), own)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_earlier_networks_did_not_have_are_merged_among_those_that_had_them(
    kind: Any,
) -> None:
    seen, benchmark = Seen(), stream(scenario="class")
    strategy = learner(kind, network(GrowingClassifier(12)), [seen], alpha=0.2)
    strategy.train(benchmark.train_stream)
    merged = strategy.merged_model().head.classifier.weight
    first, second, third = (own["head.classifier.weight"] for own in seen.trained)
    assert torch.equal(merged[4:], third[4:])
    if kind is IMMMean:
        torch.testing.assert_close(merged[2:4], (0.4 * second[2:] + 0.2 * third[2:4]) / 0.6)
        torch.testing.assert_close(merged[:2], 0.4 * (first + second[:2]) + 0.2 * third[:2])
    strategy.eval(benchmark.test_stream)
    assert torch.equal(strategy.model.head.classifier.weight, third)


def test_a_head_that_avalanche_grows_in_an_evaluation_keeps_its_own_rows() -> None:
    benchmark = stream(scenario="class")
    strategy = learner(IMMMean, network(IncrementalClassifier(12, 2)))
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    own = copied(strategy.model)["head.classifier.weight"]
    strategy.eval(benchmark.test_stream)
    grown = strategy.model.head.classifier.weight
    assert len(grown) == 6 and torch.equal(grown[: len(own)], own)
    strategy.train(benchmark.train_stream[2])
    strategy.eval(benchmark.test_stream)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_or_never_changes_stays_in_every_bit(kind: Any) -> None:
    model = network()
    model.backbone[0].weight.requires_grad_(False)
    strategy = learner(kind, model)
    strategy.train(stream(5).train_stream[:2])
    model.head.weight.requires_grad_(False)  # frozen later: as it is now
    strategy.train(stream(5).train_stream[2:])
    merged = strategy.merged_model()
    assert torch.equal(merged.backbone[0].weight, model.backbone[0].weight)
    assert torch.equal(merged.head.weight, model.head.weight)
    assert not torch.equal(merged.backbone[0].bias, model.backbone[0].bias)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_number_of_tasks(kind: Any) -> None:
    benchmark, strategy, sizes = stream(6), learner(kind, network()), []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        sizes.append(state_bytes(strategy))
    assert sizes[1:] == [sizes[1]] * 5
    numbers = sum(p.numel() for p in strategy.model.parameters())
    statistics = 4 * 6
    assert sizes[-1] == 4 * numbers * (1 if kind is IMMMean else 3) + statistics


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_merges_the_same_networks(kind: Any) -> None:
    options = {"l2_transfer": 0.01, "drop_transfer": 0.5, "input_dropout": 0.2, "alpha": 0.4}
    benchmark, merged = stream(scenario="class"), []
    for interrupted in (False, True):
        strategy = learner(kind, network(GrowingClassifier(12)), **options)
        for position, experience in enumerate(benchmark.train_stream):
            if interrupted and position:
                state = capture_state(strategy)
                strategy = learner(kind, network(GrowingClassifier(12)), **options)
                seen = list(benchmark.train_stream[:position])
                restore_state(strategy, state, experiences_seen=seen)
            torch.manual_seed(position)
            strategy.train(experience)
        merged.append(copied(strategy.merged_model()))
    assert same(*merged)


def test_a_state_of_the_other_method_and_another_model_are_refused() -> None:
    mean, mode = (learner(kind, network()) for kind in KINDS)
    mean.train(stream().train_stream)
    mode.train(stream().train_stream)
    for one, other in ((mean, mode), (mode, mean)):
        with pytest.raises(UserError, match="precisions"):
            one.plugin.load_state_dict(other.plugin.state_dict())
    mean.model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(UserError, match="none of the"):
        mean.train(stream().train_stream[0])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (IMMMean, {"alpha": 1.5}, "alpha is 1.5"),
        (IMMMean, {"alpha": float("nan")}, "alpha is nan"),
        (IMMMean, {"l2_transfer": -1.0}, "l2_transfer is -1"),
        (IMMMean, {"drop_transfer": 1.0}, "drop_transfer is 1"),
        (IMMMode, {"input_dropout": -0.1}, "input_dropout is -0.1"),
        (IMMMode, {"eps": 0.0}, "eps is 0"),
        (IMMMode, {"fisher": "diagonal"}, "diagonal"),
        (IMMMode, {"fisher_samples": 0}, "fisher_samples is 0"),
    ],
)
def test_bad_options_are_refused_when_the_strategy_is_made(kind, options, message) -> None:
    with pytest.raises(UserError, match=message):
        learner(kind, network(), **options)


def test_a_quantized_network_is_merged_packed_and_exported(tmp_path: Any) -> None:
    benchmark = stream()
    strategy = quantize_strategy(learner(IMMMean, network()), QuantizationPlugin(weight_bits=4))
    strategy.train(benchmark.train_stream)
    strategy.eval(benchmark.test_stream)
    merged = strategy.merged_model().eval()
    assert pack_model(merged)
    plain = learner(IMMMean, network())
    plain.train(benchmark.train_stream)
    assert export_onnx(plain.merged_model().eval(), tmp_path / "m.onnx", input_shape=(1, 4, 4))


@pytest.mark.parametrize(("kind", "plugin"), [(IMMMean, IMMMeanPlugin), (IMMMode, IMMModePlugin)])
def test_the_plugin_does_the_same_in_a_strategy_of_avalanche(kind: Any, plugin: Any) -> None:
    found = []
    for strategy_kind, plugins in ((kind, []), (SupervisedTemplate, [plugin()])):
        seen, benchmark = Seen(), stream()
        options = {} if strategy_kind is kind else {"criterion": nn.CrossEntropyLoss()}
        strategy = learner(strategy_kind, network(), [*plugins, seen], **options)
        torch.manual_seed(1)
        strategy.train(benchmark.train_stream)
        strategy.eval(benchmark.test_stream)
        found.append((seen.evaluated[-1], copied(strategy.model)))
    (evaluated, own), (theirs, their_own) = found
    assert same(evaluated, theirs) and same(own, their_own)
    assert not same(evaluated, own)


def average_accuracy(kind: Any, benchmark: Any, seed: int, **options: Any) -> float:
    """Mean accuracy on all tasks after the last."""
    torch.manual_seed(seed)
    classes = benchmark.info.n_classes
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, classes))
    matrix = AccuracyMatrix()
    strategy = kind(
        model=model,
        optimizer=options.pop("optimizer")(model.parameters()),
        train_mb_size=64,
        train_epochs=5,
        plugins=[ResidentDataPlugin()],
        evaluator=LeanEvaluationPlugin(matrix),
        **options,
    )
    strategy.train(benchmark.train_stream)
    strategy.eval(benchmark.test_stream)
    return sum(matrix.latest.values()) / len(benchmark.test_stream)


@cache
def on_split_digits(kind: Any) -> Tensor:
    """The same for each seed on pairs of classes, told apart by one head of two outputs."""
    benchmark = split_digits(n_experiences=5, scenario="domain")
    sgd = partial(torch.optim.SGD, lr=0.1)
    return torch.tensor(
        [average_accuracy(kind, benchmark, seed, optimizer=sgd) for seed in range(3)]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_split_digits_are_forgotten_less_than_by_fine_tuning(kind: Any) -> None:
    gain = on_split_digits(kind) - on_split_digits(Naive)
    assert gain.mean() > 0.015


@pytest.mark.slow
def test_permuted_digits_are_forgotten_less_where_the_last_network_counts_more() -> None:
    rows: dict[Any, dict[str, Any]] = {
        IMMMean: {},
        IMMMode: {"drop_transfer": 0.5, "fisher_samples": 200},
    }
    adam = partial(torch.optim.Adam, lr=2e-3)
    gains: dict[Any, list[float]] = {kind: [] for kind in rows}
    for seed in range(3):
        benchmark = permuted_digits(n_experiences=5, stream_seed=seed)
        naive = average_accuracy(Naive, benchmark, seed, optimizer=adam)
        for kind, options in rows.items():
            ours = average_accuracy(kind, benchmark, seed, optimizer=adam, alpha=0.5, **options)
            gains[kind].append(ours - naive)
    assert all(sum(gain) / 3 > 0.03 for gain in gains.values())
