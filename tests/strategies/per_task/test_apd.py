"""APD on a stream: what learns on, what stays, what is stored, and the same training by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from cl_strategies.benchmarks.streams.permuted import permuted_digits
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.heads import MultiHeadModel
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
