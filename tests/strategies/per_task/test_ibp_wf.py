"""IBP-WF on a stream: effect, protection, stages of a task, and a training written apart."""

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.nn import functional as F

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.benchmarks.streams.permuted import permuted_digits
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins import EWCPlugin, ResidentDataPlugin
from cl_strategies.strategies import IBPWF, Naive


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.3)


def learner(
    kind=IBPWF, optimizer=None, *, hidden=(24, 16), epochs=2, classes=10, plugins=(), **own
):
    network = mlp(input_shape=(1, 8, 8), n_classes=classes, scenario="task", hidden=list(hidden))
    make = optimizer or (lambda p: torch.optim.Adam(p, lr=0.005))
    return kind(
        model=network,
        optimizer=make(network.parameters()),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
        **own,
    )


def average(strategy, stream):
    values = [v for k, v in strategy.eval(stream).items() if "Top1_Acc_Exp" in k]
    assert len(values) == len(stream)
    return sum(values) / len(values)


def three_seeds(kind, benchmark, lr):
    found = []
    for seed in range(3):
        seed_everything(seed)
        strategy = learner(kind, lambda p: torch.optim.Adam(p, lr=lr), hidden=(64, 64), epochs=8)
        strategy.train(benchmark.train_stream)
        found.append(average(strategy, benchmark.test_stream))
    return sum(found) / 3


@pytest.fixture(scope="module")
def five_tasks():
    benchmark = split_digits(n_experiences=5, scenario="task", fraction=0.4)
    return benchmark, three_seeds(IBPWF, benchmark, 0.02)


@pytest.mark.slow
def test_it_beats_fine_tuning_in_five_tasks(five_tasks):
    benchmark, ours = five_tasks
    assert ours > three_seeds(Naive, benchmark, 0.02) + 0.03


@pytest.mark.slow
def test_it_beats_fine_tuning_at_a_better_rate_for_that(five_tasks):
    benchmark, ours = five_tasks
    assert ours > three_seeds(Naive, benchmark, 0.002) + 0.01


@pytest.mark.slow
def test_it_beats_fine_tuning_on_permutations_at_a_better_rate_for_that():
    benchmark = permuted_digits(n_experiences=5, scenario="task", fraction=0.3)
    ours, naive = three_seeds(IBPWF, benchmark, 0.02), three_seeds(Naive, benchmark, 0.002)
    assert ours > naive + 0.08


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.5),
    ],
)
def test_weight_decay_and_momentum_do_not_reach_factors_of_earlier_tasks(split, optimizer):
    seed_everything(0)
    strategy = learner(optimizer=optimizer)
    strategy.train(split.train_stream[0])
    layers = strategy.model.layers.values()
    used = [layer.tasks["2"].probability() >= 0.6 for layer in layers]
    before = [layer.weight.detach().clone() for layer in layers]
    x = torch.stack([x for x, *_ in split.test_stream[0].dataset])
    strategy.model.eval()
    with torch.no_grad():
        logits = [strategy.model(part, 2) for part in (x, x[:5])]
    strategy.train(split.train_stream[1:])
    strategy.model.eval()
    with torch.no_grad():
        for old, part in zip(logits, (x, x[:5]), strict=True):
            assert torch.equal(strategy.model(part, 2), old)
    for layer, mask, old in zip(layers, used, before, strict=True):
        assert mask.any() and torch.equal(layer.weight[mask], old[mask])
        assert not torch.equal(layer.weight[~mask], old[~mask])


class Stages(SupervisedPlugin):
    """Notes whether each epoch fine-tunes, and what the optimizer holds."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def before_training_epoch(self, strategy, *args, **kwargs):
        sticks = {id(layer.sticks) for layer in strategy.model.layers.values()}
        held = {id(p) for p in strategy.optimizer.param_groups[0]["params"]}
        assert len(sticks & held) == (0 if strategy.model.fine_tuning else 2)
        fresh = not strategy.optimizer.state
        self.seen.append((strategy.model.fine_tuning, fresh))


@pytest.mark.parametrize(
    ("share", "epochs", "expected"), [(0.25, 1, [0]), (0.25, 4, [0, 0, 0, 1]), (0.0, 2, [0, 0])]
)
def test_the_last_epochs_fine_tune_with_a_fresh_optimizer(split, share, epochs, expected):
    stages = Stages()
    strategy = learner(epochs=epochs, finetune_share=share, plugins=[stages])
    strategy.train(split.train_stream[:2])
    assert [tuning for tuning, _ in stages.seen] == [bool(x) for x in expected] * 2
    first = [n % epochs == 0 or expected[n % epochs] > 0 for n in range(2 * epochs)]
    assert [fresh for _, fresh in stages.seen] == first
    assert not strategy.model.fine_tuning


class Largest(SupervisedPlugin):
    def __init__(self):
        super().__init__()
        self.seen = []

    def before_update(self, strategy, *args, **kwargs):
        parameters = strategy.optimizer.param_groups[0]["params"]
        self.seen.append(max(float(p.grad.abs().max()) for p in parameters if p.grad is not None))


def test_gradients_are_clipped_entry_by_entry(split):
    found = {}
    for clip in (None, 0.01):
        seed_everything(0)
        largest = Largest()
        learner(clip=clip, plugins=[largest]).train(split.train_stream[0])
        found[clip] = largest.seen
    assert max(found[None]) > 0.02
    assert max(found[0.01]) == pytest.approx(0.01)


def test_sticks_belong_to_the_method_and_selections_to_the_model(split):
    strategy = learner()
    strategy.train(split.train_stream[:2])
    sticks = strategy.method_state_dict()["sticks"]
    assert {name: tuple(value.shape) for name, value in sticks.items()} == {
        "backbone.1": (2, 72),
        "backbone.3": (2, 48),
    }
    other = learner()
    other.load_state_dict(strategy.state_dict())
    assert all(torch.equal(other.model.sticks[name], value) for name, value in sticks.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finetune_share": 1.5}, "finetune_share is 1.5"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"factors": -1.0}, "factors is -1.0"),
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"plugins": [EWCPlugin(strength=1.0)]}, "EWCPlugin guards"),
    ],
)
def test_bad_input_is_refused_before_any_training(options, message):
    with pytest.raises(UserError, match=message):
        learner(**options)


# ---------------------------------------------------------------------- a training written apart


class Double(nn.Module):
    def forward(self, x):
        return x.double()


class Record(SupervisedPlugin):
    """Keeps what a task begins with, and the noise of every step."""

    def __init__(self):
        super().__init__()
        self.starts, self.noise = [], []

    def before_training_exp(self, strategy, *args, **kwargs):
        model, start = strategy.model, {}
        for name, layer in model.layers.items():
            entry = layer.tasks[model.current.name]
            tensors = (layer.weight, layer.sticks, entry.logits, entry.strength)
            start[name] = [t.detach().clone() for t in tensors]
        start["head"] = [
            p.detach().clone() for p in model.head.heads[model.current.name].parameters()
        ]
        self.starts.append(start)

    def before_backward(self, strategy, *args, **kwargs):
        noise = strategy.model._noise
        self.noise.append(None if noise is None else noise.clone())


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


ALPHA, KAPPA, HEAT, SD, CLIP = 0.7, 0.6, 2 / 3, 0.1, 0.5
EULER = 0.5772156649015329


def kumaraswamy(a, b, a0, b0):
    total = (a * b / (a0 * b0)).log() - (b - 1) / b
    total = total + (1 - a0 / a) * (-EULER - b.digamma() - 1 / b)
    for m in range(1, 16):
        z = m * a0 / a
        beta = (z.lgamma() + b.lgamma() - (z + b).lgamma()).exp()
        total = total + (b0 - 1) * a0 * b * beta / (m * a0 + a * b)
    return total


def logistic_log_density(y, p):
    odds = (p / (1 - p)).clamp(1e-3 / (1 - 1e-3), (1 - 1e-3) / 1e-3)
    e = odds * (-HEAT * y).exp()
    return (HEAT * e).log() - 2 * (1 + e).log()


def by_hand(streams, record, epochs, tuned, sizes):
    """Train as the equations say: a matrix of inputs x factors, one of factors x outputs."""
    noise = iter(record.noise)
    dictionary, frozen, prior, results = {}, {}, {}, []
    for (x, y), start in zip(streams, record.starts, strict=True):
        x = torch.cat([x.flatten(1).double(), torch.ones(len(x), 1)], dim=1)
        own = {}
        for name, (inputs, _) in sizes.items():
            weight, sticks, logits, strength = (t.clone() for t in start[name])
            if name not in dictionary:
                dictionary[name] = [
                    weight[:, : inputs + 1].t().clone(),
                    weight[:, inputs + 1 :].clone(),
                ]
                frozen[name] = torch.zeros(len(logits), dtype=torch.bool)
                prior[name] = [
                    torch.full_like(logits, ALPHA * len(logits)),
                    torch.ones(len(logits)),
                ]
            own[name] = [t.requires_grad_() for t in (logits, strength, sticks[0], sticks[1])]
            for t in dictionary[name]:
                t.requires_grad_()
        head = [t.clone().requires_grad_() for t in start["head"]]
        kept = {n: [t.detach().clone() for t in pair] for n, pair in dictionary.items()}
        for epoch in range(epochs):
            tuning = epoch >= epochs - tuned
            if epoch in (0, epochs - tuned):
                groups = [t for pair in dictionary.values() for t in pair] + head
                groups += [t for o in own.values() for t in (o[:2] if tuning else o)]
                optimizer = torch.optim.Adam(groups, lr=0.02, weight_decay=0.01)
            for at in range(0, len(x), 16):
                u, hidden, penalty, used = next(noise), x[at : at + 16], 0.0, 0
                for name in sizes:
                    left, right = dictionary[name]
                    logits, strength, log_c, log_d = own[name]
                    pi = 1 / (1 + (-logits).exp())
                    if tuning:
                        b = torch.where(pi >= KAPPA, pi, torch.zeros_like(pi))
                    else:
                        u1, u2 = u[:, used : used + len(pi)]
                        used += len(pi)
                        z = (logits + u1.log() - (1 - u1).log()) / HEAT
                        b = 1 / (1 + (-z).exp())
                        c, d = log_c.exp(), log_d.exp()
                        v = (1 - (1 - u2) ** (1 / d)) ** (1 / c)
                        p = torch.stack([v[: k + 1].prod() for k in range(len(v))])
                        penalty = (
                            penalty
                            + (logistic_log_density(z, pi) - logistic_log_density(z, p)).sum()
                        )
                        penalty = penalty + kumaraswamy(c, d, *prior[name]).sum()
                        normal = torch.distributions.Normal
                        penalty = (
                            penalty
                            + torch.distributions.kl_divergence(
                                normal(strength, SD), normal(torch.zeros_like(strength), SD)
                            ).sum()
                        )
                    matrix = torch.einsum("af,f,f,fj->aj", left, b, strength, right)
                    hidden = (hidden @ matrix).relu()
                    hidden = torch.cat([hidden, torch.ones(len(hidden), 1)], dim=1)
                logits = hidden[:, :-1] @ head[0].t() + head[1]
                optimizer.zero_grad()
                (F.cross_entropy(logits, y[at : at + 16]) + penalty / len(x)).backward()
                for name, (left, right) in dictionary.items():
                    left.grad[:, frozen[name]] = 0
                    right.grad[frozen[name]] = 0
                for t in groups:
                    if t.grad is not None:
                        t.grad.clamp_(-CLIP, CLIP)
                optimizer.step()
                with torch.no_grad():
                    for name, (left, right) in dictionary.items():
                        left[:, frozen[name]] = kept[name][0][:, frozen[name]]
                        right[frozen[name]] = kept[name][1][frozen[name]]
        results.append({"head": head, **own})
        for name in sizes:
            logits, _, log_c, log_d = (t.detach() for t in own[name])
            frozen[name] = frozen[name] | (logits.sigmoid() >= KAPPA)
            prior[name] = [log_c.exp(), log_d.exp()]
            dictionary[name] = [t.detach() for t in dictionary[name]]
    return dictionary, results


def test_a_training_written_apart_gives_the_same_network(float64):
    generator = torch.Generator().manual_seed(0)
    data = []
    for task in range(3):
        y = torch.arange(48) % 2
        noise = torch.rand(48, 1, 4, 4, generator=generator)
        data.append(((noise + 0.1 * y.view(-1, 1, 1, 1)).float(), y + 2 * task))
    benchmark = build_benchmark(data, data, name="small", scenario="task")
    torch.manual_seed(0)
    network = mlp(input_shape=(1, 4, 4), n_classes=6, scenario="task", hidden=[9, 7])
    network.backbone.insert(0, Double())
    record, epochs = Record(), 4
    strategy = IBPWF(
        model=network.double(),
        optimizer=torch.optim.Adam(network.parameters(), lr=0.02, weight_decay=0.01),
        train_mb_size=16,
        train_epochs=epochs,
        finetune_share=0.5,
        plugins=[record],
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience, shuffle=False)

    model = strategy.model
    names = list(model.layers)
    sizes = dict(zip(names, [(16, 9), (9, 7)], strict=True))
    streams = [(x, y - 2 * task) for task, (x, y) in enumerate(data)]
    dictionary, results = by_hand(streams, record, epochs, 2, sizes)
    assert len(record.noise) == 3 * epochs * 3 and record.noise.count(None) == 3 * 2 * 3

    def same(given, expected):
        torch.testing.assert_close(given.detach(), expected.detach(), rtol=1e-9, atol=1e-9)

    for name, layer in model.layers.items():
        left, right = dictionary[name]
        same(layer.weight, torch.cat([left.t(), right], dim=1))
        same(model.sticks[name], torch.stack(results[-1][name][2:]))
        for task, result in enumerate(results):
            same(layer.tasks[str(task)].logits, result[name][0])
            same(layer.tasks[str(task)].strength, result[name][1])
    for task, result in enumerate(results):
        for given, expected in zip(
            model.head.heads[str(task)].parameters(), result["head"], strict=True
        ):
            same(given, expected)
    with torch.no_grad():
        moved = (record.starts[0][names[0]][0] - model.layers[names[0]].weight).abs().max()
    assert moved > 0.1
