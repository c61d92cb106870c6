"""APD on a stream: what learns on, what stays, what is stored, and the same training by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.nn import functional as F

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.benchmarks.streams.permuted import permuted_digits
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.heads import MultiHeadModel, fresh_linear
from cl_strategies.plugins import EWCPlugin, L2Plugin
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.metrics.accuracy_matrix import AccuracyMatrix
from cl_strategies.plugins.metrics.resources import parameter_bytes
from cl_strategies.plugins.task_layers.sparse_tensor import SparseTensor
from cl_strategies.strategies import APD, APDFixed, Naive

KINDS = {"apd": APD, "apd-fixed": APDFixed}


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=4, scenario="task", order=[2, 0, 3, 1], fraction=0.2)


def learner(kind: Any = APD, plugins: Any = (), epochs: int = 2, **options: Any) -> Any:
    seed_everything(0)
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=(24, 16))
    return kind(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.005),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


@torch.no_grad()
def weights(strategy: Any, label: int) -> list[Any]:
    layers = strategy.model.layers.values()
    return [layer.weight_of(layer.tasks[str(label)]).clone() for layer in layers]


# ---------------------------------------------------------------------- what learns, what stays


def test_shared_weights_and_old_residuals_learn_on_and_the_rest_of_an_old_task_does_not(split):
    strategy = learner(consolidate_every=0)
    strategy.train(split.train_stream[0])
    before = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    residuals = [layer.tasks["2"].residual.dense() for layer in strategy.model.layers.values()]
    strategy.train(split.train_stream[1])
    after = strategy.model.state_dict()
    for layer, residual in zip(strategy.model.layers.values(), residuals, strict=True):
        assert not torch.equal(layer.tasks["2"].residual.dense(), residual)
    moving = [name for name in before if name.endswith(("backbone.1.weight", "backbone.3.weight"))]
    assert len(moving) == 2 and not any(torch.equal(before[n], after[n]) for n in moving)
    own = [n for n in before if n.endswith((".mask_logits", ".bias")) or ".heads." in n]
    assert len(own) >= 6 and all(torch.equal(before[name], after[name]) for name in own)
    assert not any(p.requires_grad for p in strategy.model.parameters())
    assert strategy.optimizer.param_groups[0]["params"] == [] and not strategy.optimizer.state
    assert strategy.fixed_tasks is False


def test_a_large_drift_leaves_the_weights_of_old_tasks(split):
    moved = {}
    for drift in (0.0, 1.0, 1e4):
        strategy = learner(drift=drift, l1=1e-6, consolidate_every=0)
        strategy.train(split.train_stream[0])
        before = weights(strategy, 2)
        shared = [layer.weight.detach().clone() for layer in strategy.model.layers.values()]
        strategy.train(split.train_stream[1:])
        pairs = zip(before, weights(strategy, 2), strict=True)
        moved[drift] = max(float((a - b).abs().max()) for a, b in pairs)
        layers = strategy.model.layers.values()
        steps = [float((x.weight - y).abs().max()) for x, y in zip(layers, shared, strict=True)]
        assert min(steps) > 0.01  # though what all tasks share has moved
    assert moved[1e4] < moved[1.0] < moved[0.0] and moved[1e4] < moved[0.0] / 5


def test_an_open_mask_and_no_residual_is_the_network_itself():
    body = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Flatten(), nn.Linear(192, 6))
    given = MultiHeadModel(body, 6)
    strategy = APD(
        model=given, optimizer=torch.optim.SGD(given.parameters(), lr=0.0), train_epochs=1
    )
    strategy.train(split_digits(n_experiences=2, scenario="task", fraction=0.1).train_stream[0])
    for layer in strategy.model.layers.values():
        entry = layer.tasks["0"]
        entry.put(SparseTensor(torch.zeros_like(layer.weight)))
        nn.init.constant_(entry.mask_logits, 1e3)
    given.head.heads["0"] = strategy.model.head.heads["0"]
    x = torch.rand(40, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(strategy.model.eval()(x, 0), given.eval()(x, 0))


# ---------------------------------------------------------------------- the training by hand


class Double(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.double()


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


OPTIONS = {"l1": 2e-3, "weight_decay": 0.02}
RATE, MOMENTUM, SIZE, EPOCHS = 0.1, 0.5, 16, 3


def tasks() -> list[Any]:
    generator = torch.Generator().manual_seed(3)
    made = []
    for task in range(3):
        y = torch.arange(48) % 2
        x = torch.rand(48, 1, 3, 3, generator=generator) + 0.2 * y.view(-1, 1, 1, 1)
        made.append((x.float(), y + 2 * task))
    return made


def trained(kind: Any, **options: Any) -> Any:
    """Weights and biases of each task on a network of two layers."""
    torch.manual_seed(0)
    network = MultiHeadModel(
        nn.Sequential(Double(), nn.Flatten(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 5)), 5
    )
    strategy = kind(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM),
        train_mb_size=SIZE,
        train_epochs=EPOCHS,
        evaluator=EvaluationPlugin(loggers=[]),
        **OPTIONS,
        **options,
    )
    data = tasks()
    stream = build_benchmark(data, data, name="small", scenario="task").train_stream
    for number, experience in enumerate(stream):
        torch.manual_seed(number)
        strategy.train(experience, shuffle=False)
    found = []
    for task in strategy.model.tasks:
        head = strategy.model.head.heads[task.name]
        biases = [layer.tasks[task.name].bias for layer in strategy.model.layers.values()]
        found += [*weights(strategy, task.label), *biases, *head.parameters()]
    return [tensor.detach() for tensor in found]


def by_hand(*, drift: float, every: int, fixed: bool = False, spread: float = 0.0) -> Any:
    """The same from the equations: one group of tasks, everything in full."""
    torch.manual_seed(0)
    network = MultiHeadModel(
        nn.Sequential(Double(), nn.Flatten(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 5)), 5
    )
    sigma = [network.backbone[n].weight.detach().clone() for n in (2, 4)]
    first_biases = [network.backbone[n].bias.detach().clone() for n in (2, 4)]
    l1, decay = OPTIONS["l1"], OPTIONS["weight_decay"]
    done: list[Any] = []  # of each task: v, tau, common part, bias for both layers, and the head

    def theta(task: Any, n: int) -> Any:
        v, tau, common = (task[key][n] for key in ("v", "tau", "common"))
        return sigma[n] * (1 / (1 + torch.exp(-v)))[:, None] + tau + common

    for number, (x, y) in enumerate(tasks()):
        torch.manual_seed(number)
        head = fresh_linear(5, 2)
        new = {
            "v": [torch.zeros(7), torch.zeros(5)],
            "tau": [s.detach().clone() for s in sigma],
            "common": [torch.zeros(7, 9), torch.zeros(5, 7)],
            "bias": [b.clone() for b in (done[0]["bias"] if done else first_biases)],
            "head": [p.detach().clone() for p in head.parameters()],
        }
        learning = [*new["v"], *new["tau"], *new["bias"], *new["head"]]
        if not (fixed and done):
            learning += sigma
        if not fixed:
            learning += [tau for task in done for tau in task["tau"]]
        for tensor in learning:
            tensor.requires_grad_()
        goals = [[theta(task, n).detach() for n in (0, 1)] for task in done]
        momenta = [torch.zeros_like(tensor) for tensor in learning]
        for _ in range(EPOCHS):
            for start in range(0, 48, SIZE):
                h = x[start : start + SIZE].double().flatten(1)
                h = torch.tanh(h @ theta(new, 0).T + new["bias"][0])
                h = h @ theta(new, 1).T + new["bias"][1]
                loss = F.cross_entropy(
                    h @ new["head"][0].T + new["head"][1], y[start : start + SIZE] % 2
                )
                for n in (0, 1):
                    loss = loss + l1 * new["tau"][n].abs().sum()
                    loss = loss + decay / 2 * (new["tau"][n] ** 2).sum()
                    loss = loss + decay / 2 * (new["v"][n] ** 2).sum()
                    loss = loss + (0 if done else decay / 2 * (sigma[n] ** 2).sum())
                    for task, goal in [] if fixed else zip(done, goals, strict=True):
                        loss = loss + l1 * task["tau"][n].abs().sum()
                        loss = loss + drift / 2 * ((goal[n] - theta(task, n)) ** 2).sum()
                gradients = torch.autograd.grad(loss, learning)
                with torch.no_grad():
                    for p, m, g in zip(learning, momenta, gradients, strict=True):
                        m.mul_(MOMENTUM).add_(g)
                        p.sub_(RATE * m)
        done.append(new)
        for tensor in learning:
            tensor.requires_grad_(False)
        for task in done:
            task["tau"] = [torch.where(t.abs() > l1, t, 0.0) for t in task["tau"]]
        if every and len(done) % every == 0:
            for n in (0, 1):
                full = torch.stack([task["tau"][n] + task["common"][n] for task in done])
                near = full.max(0).values - full.min(0).values <= spread
                for task, tau in zip(done, full, strict=True):
                    task["common"][n] = torch.where(near, full.mean(0), 0.0)
                    task["tau"][n] = torch.where(near, 0.0, tau)
    return [
        tensor
        for task in done
        for tensor in (*(theta(task, n) for n in (0, 1)), *task["bias"], *task["head"])
    ]


@pytest.mark.parametrize(
    ("drift", "every", "spread"), [(2.0, 0, 0.0), (0.0, 0, 0.0), (2.0, 2, 0.15), (2.0, 3, 1e9)]
)
def test_training_is_that_of_a_loop_written_from_the_equations(float64, drift, every, spread):
    found = trained(APD, drift=drift, consolidate_every=every, groups=1, spread=spread)
    expected = by_hand(drift=drift, every=every, spread=spread)
    if every:  # something was near enough to become one
        assert not torch.equal(expected[0], by_hand(drift=drift, every=0)[0])
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


def test_training_with_fixed_weights_is_that_of_such_a_loop_too(float64):
    found, expected = trained(APDFixed), by_hand(drift=0.0, every=0, fixed=True)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


# ---------------------------------------------------------------------- what is stored


def test_grouping_stores_what_residuals_have_in_common_once(split):
    both = []
    for every in (0, 4):
        both.append(learner(l1=5e-3, consolidate_every=every, groups=1, spread=0.05))
        both[-1].train(split.train_stream)
    alone, grouped = both
    layers = grouped.model.layers.values()
    for layer, single in zip(layers, alone.model.layers.values(), strict=True):
        (component,) = layer.components.values()
        assert 0 < component.count < layer.weight.numel()
        for task in grouped.model.tasks:
            own = layer.tasks[task.name].residual
            assert not (own.dense() * component.dense()).any()
            before, after = (part.weight_of(part.tasks[task.name]) for part in (single, layer))
            assert (before - after).abs().max() <= 0.05 + 1e-6
    assert parameter_bytes(grouped.model) < parameter_bytes(alone.model)
    assert grouped.model.growth() < alone.model.growth()


def test_bytes_are_a_bit_for_each_weight_and_the_values_that_are_not_zero(split):
    strategy = learner(l1=5e-3, consolidate_every=0)
    strategy.train(split.train_stream[:2])
    model = strategy.model
    counts = {t.label: [e.residual.count for e in model.entries(t).values()] for t in model.tasks}
    bits = (64 * 24 + 24 * 16) // 8
    for label, found in model.stored_bytes().items():
        head = 16 * 3 + 3 if label == 2 else 16 * 4 + 4 if label == 0 else 0
        values = sum(counts[label]) + 2 * (24 + 16) + head
        assert 0 < sum(counts[label]) < 64 * 24 + 24 * 16
        assert abs(found - (bits + 4 * values)) < 100  # ids of classes, where a head has them
    shared = 4 * (64 * 24 + 24 * 16)
    stored = parameter_bytes(model)
    assert 0 <= stored - shared - sum(model.stored_bytes().values()) < 600  # tasks, as text
    assert model.growth() == pytest.approx(
        model.stored_bytes()[0] / (shared + model.stored_bytes()[2]), rel=1e-6
    )


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_training_is_the_uninterrupted_one_across_groups(split, stop):
    def train(strategy, stream, first):
        for place, experience in enumerate(stream, first):
            torch.manual_seed(place)
            strategy.train(experience)
        return strategy

    def make():
        return learner(consolidate_every=2, groups=1, spread=0.05, epochs=1)

    whole = train(make(), split.train_stream, 0)
    cut = train(make(), split.train_stream[:stop], 0)
    state = capture_state(cut)
    resumed = make()
    restore_state(resumed, state, experiences_seen=list(split.train_stream[:stop]))
    train(resumed, split.train_stream[stop:], stop)
    mine, other = whole.model.state_dict(), resumed.model.state_dict()
    assert mine.keys() == other.keys() and any(".components." in name for name in mine)
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    loaded = make().model
    loaded.load_state_dict(mine)
    x = torch.rand(40, 1, 8, 8)
    with torch.no_grad():
        assert all(
            torch.equal(loaded.eval()(x, label), whole.model.eval()(x, label)) for label in range(4)
        )


def test_the_same_seed_groups_alike(split):
    states = []
    for _ in range(2):
        strategy = learner(consolidate_every=3, groups=2, spread=0.1)
        strategy.train(split.train_stream)
        states.append(strategy.model.state_dict())
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


# ---------------------------------------------------------------------- beside others, bad input


@pytest.mark.parametrize(
    "guard", [lambda: EWCPlugin(strength=10.0), lambda: L2Plugin(strength=1.0)]
)
def test_a_guard_of_what_can_be_forgotten_is_welcome(split, guard):
    strategy = learner(plugins=[guard()], epochs=1)
    strategy.train(split.train_stream[:2])
    plain = learner(epochs=1)
    plain.train(split.train_stream[:2])
    assert not torch.equal(weights(strategy, 0)[0], weights(plain, 0)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1": -1.0}, "l1 is -1.0"),
        ({"drift": float("nan")}, "drift is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"consolidate_every": -1}, "consolidate_every is -1"),
        ({"groups": 0}, "groups is 0"),
        ({"spread": -1e-3}, "spread is -0.001"),
        ({"start": "ones"}, "unknown start 'ones'"),
    ],
)
def test_options_out_of_range_are_refused_when_the_strategy_is_made(options, message):
    with pytest.raises(UserError, match=message):
        learner(**options)


def test_a_task_that_was_learned_before_is_refused(split):
    strategy = learner(epochs=1)
    strategy.train(split.train_stream[0])
    with pytest.raises(UserError, match="task label 2 was already learned: apd"):
        strategy.train(split.train_stream[0])


# ---------------------------------------------------------------------- effect


def accuracies(kind: Any, benchmark: Any, lr: float, **options: Any) -> list[float]:
    """The average over tasks at the end, for three seeds."""
    found = []
    for seed in range(3):
        seed_everything(seed)
        model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=(64, 64))
        matrix = AccuracyMatrix()
        strategy = kind(
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=lr),
            train_mb_size=32,
            train_epochs=4,
            plugins=[ResidentDataPlugin()],
            evaluator=EvaluationPlugin(matrix, loggers=[]),
            **options,
        )
        strategy.train(benchmark.train_stream)
        strategy.eval(benchmark.test_stream)
        found.append(sum(matrix.latest.values()) / len(benchmark.test_stream))
    return found


@pytest.fixture(scope="module", params=["split", "permuted"])
def stream(request):
    """A stream, and fine-tuning at the better of two learning rates."""
    make, tasks = {"split": (split_digits, 5), "permuted": (permuted_digits, 4)}[request.param]
    benchmark = make(n_experiences=tasks, scenario="task", fraction=0.3)
    return benchmark, max((accuracies(Naive, benchmark, lr) for lr in (0.002, 0.005)), key=sum)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_method_beats_fine_tuning(name, stream):
    benchmark, naive = stream
    ours = accuracies(KINDS[name], benchmark, 0.005)
    assert sum(ours) / 3 > sum(naive) / 3 + 0.02
