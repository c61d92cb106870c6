"""VCL on streams: against a loop written apart, the mechanism, coresets, and its effect."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state, state_bytes
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins import ResidentDataPlugin
from cl_strategies.strategies import VCL

RATE, EPOCHS, BATCH, DRAWS, SAMPLES, SEED = 0.01, 3, 16, 4, 64, 5


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.double()


def tasks() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for shift in range(3):
        y = torch.arange(SAMPLES) % 2
        x = torch.rand(SAMPLES, 1, 4, 4, generator=generator)
        x[y == 1, 0, shift] += 0.5
        made.append((x, y))
    return made


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2)]
    return nn.Sequential(Double(), *layers).double()


def alone(model: nn.Module, pretrain: bool, deviation: float, prior: float) -> list[Tensor]:
    """The algorithm from its equations: means and variances after three tasks."""
    noise = torch.Generator().manual_seed(SEED)
    means = [p.detach().clone().requires_grad_() for p in model.parameters()]
    logs = [torch.full_like(p, deviation).requires_grad_() for p in means]

    def run(x: Tensor, y: Tensor, loss: Any, trained: list[Tensor]) -> None:
        optimizer = torch.optim.Adam(trained, lr=RATE)
        for _ in range(EPOCHS):
            for rows in torch.arange(SAMPLES).split(BATCH):
                optimizer.zero_grad()
                loss(x[rows], y[rows]).backward()
                optimizer.step()

    def plain(x: Tensor, y: Tensor) -> Tensor:
        hidden = (x @ means[0].T + means[1]).relu()
        return F.cross_entropy(hidden @ means[2].T + means[3], y)

    def drawn(x: Tensor, layer: int) -> Tensor:
        (weight, bias), (v, b) = means[layer : layer + 2], logs[layer : layer + 2]
        deviation = ((x**2) @ v.exp().T + b.exp()).sqrt()
        shape = (len(x), len(bias))
        epsilon = torch.randn(shape, generator=noise, dtype=torch.float64)
        return x @ weight.T + bias + deviation * epsilon

    old = [(torch.zeros_like(m), torch.full_like(m, prior).log()) for m in means]

    def bound(x: Tensor, y: Tensor) -> Tensor:
        outputs = drawn(drawn(torch.cat([x] * DRAWS), 0).relu(), 2)
        likelihood = -F.cross_entropy(outputs, torch.cat([y] * DRAWS))
        divergence = 0.0
        for m, log, (m0, log0) in zip(means, logs, old, strict=True):
            ratio = log.exp() / log0.exp()
            terms = ratio - ratio.log() + (m - m0) ** 2 / log0.exp() - 1
            divergence = divergence + 0.5 * terms.sum()
        return divergence / SAMPLES - likelihood

    for number, (images, labels) in enumerate(tasks()):
        x = images.flatten(1).double()
        if number == 0 and pretrain:
            run(x, labels, plain, means)
        run(x, labels, bound, [*means, *logs])
        old = [
            (m.detach().clone(), log.detach().clone()) for m, log in zip(means, logs, strict=True)
        ]
    return [*means, *logs]


@pytest.mark.parametrize("pretrain", [True, False])
def test_the_weights_are_those_of_a_loop_written_from_the_equations(pretrain):
    model = network()
    expected = alone(model, pretrain, -5.0, 0.5)
    strategy = VCL(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=RATE),
        pretrain=pretrain,
        train_samples=DRAWS,
        initial_log_variance=-5.0,
        prior_variance=0.5,
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        evaluator=None,
    )
    strategy.model.noise.generator = torch.Generator().manual_seed(SEED)
    stream = build_benchmark(tasks(), tasks(), name="small", scenario="domain")
    for experience in stream.train_stream:
        strategy.train(experience, shuffle=False)
    layers = strategy.model.layers.values()
    pairs = [pair for layer in layers for pair in layer.pairs()]
    found = [mean for mean, _ in pairs] + [log for _, log in pairs]
    assert (found[0] - next(model.parameters())).abs().max() > 0.01
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def learner(kind: Any, info: Any, plugins: Any = (), **options: Any) -> Any:
    shape, classes = info.input_shape, info.n_classes
    model = mlp(input_shape=shape, n_classes=classes, scenario=info.scenario, hidden=(50, 50))
    settings = {"train_mb_size": 64, "train_epochs": 2, "lr": 0.01, **options}
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
