"""L2, SI, ALASSO and online EWC: construction, and what they do for forgetting."""

from functools import cache, partial

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate
from sklearn.datasets import load_digits
from torch import nn

from cl_strategies import ALASSO, L2, SI
from cl_strategies.errors import UserError
from cl_strategies.plugins import ALASSOPlugin, L2Plugin, SIPlugin
from cl_strategies.strategies import EWC
from cl_strategies.validation.hyperparameters import parameters_of

STRATEGIES = [(L2, L2Plugin), (SI, SIPlugin), (ALASSO, ALASSOPlugin)]
SEEDS = range(3)


def network(width=256):
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def dataset(x, y):
    return AvalancheDataset(
        [torch.utils.data.TensorDataset(x, y)],
        data_attributes=[
            DataAttribute(y.tolist(), "targets"),
            DataAttribute([0] * len(y), "targets_task_labels", use_in_getitem=True),
        ],
    )


@cache
def permuted_digits(seed, tasks):
    """Digits of 64 pixels, each task but the first with the pixels in another order."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randperm(len(y), generator=generator)
    train, test = samples[:1300], samples[1300:]
    orders = [torch.arange(64), *(torch.randperm(64, generator=generator) for _ in range(tasks))]
    orders = orders[:tasks]
    benchmark = benchmark_from_datasets(
        train=[dataset(x[train][:, order], y[train]) for order in orders],
        test=[dataset(x[test][:, order], y[test]) for order in orders],
    )
    tensors = [(x[train][:, order], y[train]) for order in orders]
    return benchmark, tensors, [(x[test][:, order], y[test]) for order in orders]


class Batches(SupervisedPlugin):
    """Hands out shuffled batches of tensors: the same for every strategy, and fast."""

    def __init__(self, seed, tensors):
        super().__init__()
        self.generator, self.tensors = torch.Generator().manual_seed(seed), tensors

    def before_training_epoch(self, strategy, *args, **kwargs):
        x, y = self.tensors[strategy.clock.train_exp_counter]
        parts = torch.randperm(len(y), generator=self.generator).split(64)
        strategy.dataloader = [[x[i], y[i], torch.zeros_like(y[i])] for i in parts]


def average_accuracies(make, tasks=6, epochs=4):
    """Mean test accuracy over all tasks after the last, for each seed."""
    results = []
    for seed in SEEDS:
        benchmark, train, test = permuted_digits(seed, tasks)
        torch.manual_seed(seed)
        model = network()
        strategy = make(
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
            train_mb_size=64,
            train_epochs=epochs,
            plugins=[Batches(seed, train)],
            evaluator=EvaluationPlugin(),
        )
        for experience in benchmark.train_stream:
            strategy.train(experience)
        with torch.no_grad():
            scores = [(model(x).argmax(1) == y).float().mean().item() for x, y in test]
        results.append(sum(scores) / tasks)
    return torch.tensor(results)


@cache
def naive_accuracies():
    return average_accuracies(partial(SupervisedTemplate, criterion=nn.CrossEntropyLoss()))


@pytest.mark.parametrize(
    ("strategy", "c", "margin"),
    [
        pytest.param(L2, 0.03, 0.02, marks=pytest.mark.slow),
        pytest.param(SI, 30.0, 0.06, marks=pytest.mark.slow),
        pytest.param(ALASSO, 20.0, 0.04, marks=pytest.mark.slow),
        pytest.param(partial(EWC, mode="online"), 1000.0, 0.06, marks=pytest.mark.slow),
    ],
)
def test_permuted_digits_are_forgotten_less_than_by_fine_tuning(strategy, c, margin):
    gain = average_accuracies(partial(strategy, strength=c)) - naive_accuracies()
    assert (gain > 0).all()
    assert gain.mean() > margin


def test_the_ablation_without_exact_importances_has_those_of_si():
    """With a symmetric surrogate nothing else is left of ALASSO."""
    benchmark, train, _ = permuted_digits(0, 2)
    weights = []
    for method in (partial(ALASSO, a=1.0, eps=0.0, estimate="accumulated"), SI):
        torch.manual_seed(0)
        model = network(32)
        strategy = method(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            strength=3.0,
            plugins=[Batches(0, train)],
            evaluator=EvaluationPlugin(),
        )
        strategy.train(benchmark.train_stream)
        weights.append(model[0].weight)
    assert torch.equal(*weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("c", "ablation", "margin"), [(1.0, {"a": 1.0}, 0.01), (3.0, {"monotone": False}, 0.03)]
)
def test_alasso_is_better_than_without_one_of_its_parts(c, ablation, margin):
    long = partial(average_accuracies, tasks=12, epochs=8)
    gain = long(partial(ALASSO, strength=c)) - long(partial(ALASSO, strength=c, **ablation))
    assert gain.mean() > margin


@pytest.mark.parametrize(("strategy", "plugin"), STRATEGIES)
def test_a_strategy_is_its_plugin_in_avalanches_template(strategy, plugin):
    benchmark, train, _ = permuted_digits(0, 2)
    weights = []
    for make, plugins in (
        (partial(strategy, strength=2.0), []),
        (partial(SupervisedTemplate, criterion=nn.CrossEntropyLoss()), [plugin(strength=2.0)]),
    ):
        torch.manual_seed(0)
        model = network(width=16)
        running = make(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            plugins=[*plugins, Batches(0, train)],
            evaluator=EvaluationPlugin(),
        )
        for experience in benchmark.train_stream:
            running.train(experience)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


@pytest.mark.parametrize(("strategy", "plugin"), STRATEGIES)
def test_a_strategy_leaves_the_callers_plugins_alone_and_comes_before_them(strategy, plugin):
    model, plugins = network(width=4), [SupervisedPlugin()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    running = strategy(model=model, optimizer=optimizer, plugins=plugins)
    assert len(plugins) == 1
    assert isinstance(running.plugins[0], plugin)
    assert any(mine is plugins[0] for mine in running.plugins[1:])
    assert running.plugins[0] is running.plugin


@pytest.mark.parametrize(("strategy", "plugin"), STRATEGIES)
def test_a_strategy_and_its_plugin_have_the_same_options_and_defaults(strategy, plugin):
    ours, theirs = parameters_of(strategy), parameters_of(plugin)
    assert {name: ours[name] for name in theirs} == theirs


def test_every_option_reaches_the_method():
    options = {
        "strength": 2.0,
        "a": 3.0,
        "c_prime": 4.0,
        "a_prime": 5.0,
        "eps": 0.6,
        "eps_prime": 0.7,
        "xi": 0.8,
        "monotone": False,
        "exclude": ["x"],
    }
    model = network(width=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    surrogate = ALASSO(model=model, optimizer=optimizer, **options).plugin.surrogate
    assert (surrogate.strength, surrogate.a, surrogate.eps, surrogate.xi) == (2.0, 3.0, 0.6, 0.8)
    assert surrogate.decoupled == {"c": 4.0, "a": 5.0, "eps": 0.7}
    assert (surrogate.monotone, surrogate.exclude) == (False, ("x",))


def test_arguments_of_the_template_are_passed_on_and_unknown_ones_refused():
    model = network(width=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    running = SI(model=model, optimizer=optimizer, train_mb_size=32, train_epochs=3)
    assert (running.train_mb_size, running.train_epochs, running.eval_mb_size) == (32, 3, 256)
    with pytest.raises(TypeError):
        SI(model=model, optimizer=optimizer, stength=3)
    with pytest.raises(UserError, match="strength is -1"):
        SI(model=model, optimizer=optimizer, strength=-1)
