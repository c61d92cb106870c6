"""The Fisher information of single samples, as an option of EWC."""

import pytest
import torch
from avalanche.models import MTSimpleMLP
from torch import nn

from cl_strategies.benchmarks import permuted_digits, split_digits
from cl_strategies.errors import UserError
from cl_strategies.plugins import EWCPlugin
from cl_strategies.plugins.regularization import fisher
from cl_strategies.strategies import EWC

SAMPLES, CLASSES = 10, 3


def network():
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, CLASSES)]
    model = nn.Sequential(*layers).double()
    model[0].bias.requires_grad_(False)
    return model.eval()


def batch():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, 6, generator=generator, dtype=torch.float64)
    return x, torch.arange(SAMPLES) % CLASSES, torch.zeros(SAMPLES, dtype=torch.long)


def by_hand(model, weight_of):
    """Sum of the squared gradients of each sample's log-probabilities, each with its weight."""
    x, y, _ = batch()
    totals = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for sample, label in zip(x, y, strict=True):
        logs = model(sample[None]).log_softmax(1)[0]
        for c, log in enumerate(logs):
            found = torch.autograd.grad(log, list(trained.values()), retain_graph=True)
            for name, gradient in zip(trained, found, strict=True):
                totals[name] += weight_of(c, label, logs.detach().exp()) * gradient**2 / SAMPLES
    return totals


WEIGHTS = {
    "true": lambda c, label, p: float(c == label),
    "expected": lambda c, label, p: p[c],
}


@pytest.mark.parametrize("labels", WEIGHTS)
@pytest.mark.parametrize("numbers", [2**24, 100, 1])
def test_it_is_the_mean_squared_gradient_of_single_samples(labels, numbers, monkeypatch):
    monkeypatch.setattr(fisher, "_NUMBERS", numbers)  # group by group, down to single samples
    model, (x, y, task) = network(), batch()
    parts = [(x[:4], y[:4], task[:4]), (x[4:], y[4:], task[4:])]
    found = fisher.sample_fisher(model, parts, labels, nn.CrossEntropyLoss())
    for name, expected in by_hand(model, WEIGHTS[labels]).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-10, atol=1e-14)
    assert not found["0.bias"].any()
    assert all(p.grad is None for p in model.parameters())


def test_sampled_labels_average_to_the_expectation():
    model, (x, y, task) = network(), batch()
    torch.manual_seed(0)
    draws = [(x, y, task)] * 400
    sampled = fisher.sample_fisher(model, draws, "sampled", nn.CrossEntropyLoss())
    exact = fisher.sample_fisher(model, [(x, y, task)], "expected", nn.CrossEntropyLoss())
    one, other = (torch.cat([t.flatten() for t in f.values()]) for f in (sampled, exact))
    assert (one - other).norm() < 0.1 * other.norm()


def test_layers_that_cannot_be_vectorised_give_the_same_sample_by_sample():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = network()

        def forward(self, x):
            return self.layer(x) if float(x.sum()) > -1e9 else x

    model, plain = Branching(), network()
    parts = [batch()]
    found = fisher.sample_fisher(model.eval(), parts, "true", nn.CrossEntropyLoss())
    expected = fisher.sample_fisher(plain, parts, "true", nn.CrossEntropyLoss())
    for name, value in expected.items():
        torch.testing.assert_close(found[f"layer.{name}"], value, rtol=1e-10, atol=1e-14)


def trained(**options):
    benchmark = permuted_digits(n_experiences=2, fraction=0.2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    strategy = EWC(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=32,
        train_epochs=3,
        evaluator=None,
        **options,
    )
    strategy.train(benchmark.train_stream[0])
    return strategy, benchmark


def importance(strategy):
    named = strategy.plugin.surrogate.named("importance")
    return torch.cat([t.flatten() for t in named.values()])


def test_a_batch_divides_the_fisher_information_by_its_size():
    """What the page says of how strengths convert: near an optimum, where means vanish."""
    sums = {}
    for kind in ("batch", "empirical"):
        strategy, _ = trained(fisher=kind, strength=0.0)
        sums[kind] = float(importance(strategy).sum())
    assert 1 < sums["empirical"] / sums["batch"] < 32


@pytest.mark.parametrize("kind", ["empirical", "sampled", "exact"])
def test_the_number_of_samples_bounds_what_is_read(kind, monkeypatch):
    seen = []
    original = fisher._gradients

    def counted(model, parameters, x, *rest):
        seen.append(len(x))
        return original(model, parameters, x, *rest)

    monkeypatch.setattr(fisher, "_gradients", counted)
    strategy, benchmark = trained(fisher=kind, fisher_samples=7)
    assert sum(seen) == 7 * (10 if kind == "exact" else 1)
    before = importance(strategy)
    strategy.train(benchmark.train_stream[1])
    assert (importance(strategy) >= before).all()


def test_heads_per_task_are_estimated_with_the_head_of_the_task():
    benchmark = split_digits(n_experiences=2, scenario="task", fraction=0.2)

    class Flat(MTSimpleMLP):
        def forward(self, x, task_labels):
            return super().forward(x.flatten(1), task_labels)

    model = Flat(input_size=64, hidden_size=8)
    strategy = EWC(
        fisher="exact",
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=32,
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    named = strategy.plugin.surrogate.named("importance")
    heads = [value for name, value in named.items() if name.startswith("classifier")]
    assert len(heads) == 4
    assert all(value.any() for value in heads)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fisher": "sample"}, "unknown fisher 'sample'"),
        ({"fisher_samples": 0}, "fisher_samples is 0"),
        ({"fisher_samples": 1.5}, "fisher_samples is 1.5"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        EWCPlugin(strength=1.0, **options)
