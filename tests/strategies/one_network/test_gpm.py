"""GPM on a stream: orthogonal gradients and steps, what is frozen, what is remembered."""

import itertools

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from torch import nn

from cl_strategies.benchmarks.streams.permuted import permuted_digits
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.lenet import wide_lenet
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.projection.plugin import GPMPlugin
from cl_strategies.registry import registry
from cl_strategies.strategies.gpm import GPM
from cl_strategies.strategies.naive import Naive

OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.005, weight_decay=1e-4),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
}


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.3)


def network(hidden=(24, 16)):
    return mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=hidden)


def convolutional():
    return wide_lenet(
        input_shape=(1, 8, 8), n_classes=10, scenario="task", channels=(3, 4), hidden=(12, 8)
    )


def learner(kind, model, optimizer="adam", plugins=(), epochs=2, **options):
    return kind(
        model=model,
        optimizer=OPTIMIZERS[optimizer](model.parameters()),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


class Watch(SupervisedPlugin):
    """The part of each gradient and each step that lies in the memory, relative to all of it."""

    def __init__(self):
        super().__init__()
        self.gradients, self.steps = [], []

    def _layers(self, strategy):
        modules = dict(strategy.model.named_modules())
        bases = strategy.plugin.bases.items()
        return [(modules[name].weight, basis.double()) for name, basis in bases]

    def _share(self, tensor, basis):
        flat = tensor.detach().double().flatten(1)
        return float((flat @ basis).norm() / flat.norm())

    def before_update(self, strategy, **kwargs):
        layers = self._layers(strategy)
        self.gradients += [self._share(weight.grad, basis) for weight, basis in layers]
        self.before = [weight.detach().clone() for weight, _ in layers]

    def after_update(self, strategy, **kwargs):
        pairs = zip(self._layers(strategy), self.before, strict=True)
        self.steps += [self._share(w.double() - b.double(), basis) for (w, basis), b in pairs]


@pytest.mark.parametrize("make", [network, convolutional])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gradients_and_steps_of_later_tasks_are_orthogonal_to_the_memory(split, optimizer, make):
    watch = Watch()
    strategy = learner(GPM, make(), optimizer, [watch], threshold=0.9)
    strategy.train(split.train_stream)
    assert len(watch.gradients) > 20
    assert max(watch.gradients) < 1e-5
    assert max(watch.steps) < 1e-3  # rounding of weights that are larger than the step


def test_bases_are_orthonormal_and_grow(split):
    strategy = learner(GPM, convolutional(), threshold=0.9)
    sizes = []
    for experience in split.train_stream:
        strategy.train(experience)
        for basis in strategy.plugin.bases.values():
            identity = torch.eye(basis.shape[1])
            torch.testing.assert_close(basis.T @ basis, identity, rtol=0, atol=1e-5)
        sizes.append([basis.shape[1] for basis in strategy.plugin.bases.values()])
    for earlier, later in itertools.pairwise(sizes):
        assert all(a <= b for a, b in zip(earlier, later, strict=True))
    assert sizes[2] != sizes[0]


def test_later_tasks_change_neither_biases_nor_normalizations_nor_old_heads(split):
    strategy = learner(GPM, convolutional())
    strategy.train(split.train_stream[0])
    first = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    strategy.train(split.train_stream[1:])
    last = strategy.model.state_dict()
    weights = {f"backbone.{n}.weight" for n in (0, 4, 9, 12)}
    changed = {name for name in first if not torch.equal(first[name], last[name])}
    assert changed == weights


def test_old_answers_move_far_less_than_with_fine_tuning():
    benchmark = permuted_digits(n_experiences=3, scenario="task", fraction=0.3)
    x = torch.stack([image for image, *_ in benchmark.test_stream[0].dataset.eval()])
    drifts = {Naive: [], GPM: []}
    for kind, found in drifts.items():
        for seed in range(3):
            seed_everything(seed)
            strategy = learner(kind, network((48, 32)), epochs=3)
            strategy.train(benchmark.train_stream[0])
            before = strategy.model.eval()(x, 0).detach()
            strategy.train(benchmark.train_stream[1:])
            moved = strategy.model.eval()(x, 0).detach() - before
            found.append(float(moved.norm() / before.norm()))
    assert max(drifts[GPM]) < 0.5 * min(drifts[Naive])


def test_a_memory_of_everything_leaves_nothing_to_learn_in_the_layers(split):
    strategy = learner(GPM, network((8,)), threshold=1.0, samples=10_000)
    strategy.train(split.train_stream[0])
    x = torch.stack([image for image, *_ in split.train_stream[0].dataset.eval()])
    before = strategy.model.eval()(x, 2).detach()
    strategy.train(split.train_stream[1:])
    torch.testing.assert_close(strategy.model.eval()(x, 2), before, rtol=0, atol=1e-3)


def test_one_head_on_a_domain_incremental_stream_is_projected_as_well():
    benchmark = permuted_digits(n_experiences=3, scenario="domain", fraction=0.2)
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="domain", hidden=(16,))
    watch = Watch()
    strategy = learner(GPM, model, plugins=[watch], threshold=0.9)
    strategy.train(benchmark.train_stream)
    assert set(strategy.plugin.bases) == {"backbone.1", "head"}
    assert max(watch.gradients) < 1e-5


def test_the_threshold_rises_with_every_task_up_to_one(split, monkeypatch):
    from cl_strategies.plugins.projection.layer_inputs import Representation

    asked = []
    extend = Representation.extend
    monkeypatch.setattr(
        Representation,
        "extend",
        lambda self, basis, threshold: asked.append(threshold) or extend(self, basis, threshold),
    )
    learner(GPM, network((8,)), threshold=0.9, increment=0.06).train(split.train_stream)
    assert asked == pytest.approx([0.9, 0.96, 1.0])


def test_layers_may_have_thresholds_and_increments_of_their_own(split, monkeypatch):
    from cl_strategies.plugins.projection.layer_inputs import Representation

    asked = []
    extend = Representation.extend
    monkeypatch.setattr(
        Representation,
        "extend",
        lambda self, basis, threshold: asked.append(threshold) or extend(self, basis, threshold),
    )
    strategy = learner(GPM, network(), threshold=[0.95, 0.99], increment=[0.0, 0.002])
    strategy.train(split.train_stream[:2])
    assert asked == pytest.approx([0.95, 0.99, 0.95, 0.992])
    other = learner(GPM, network(), threshold=[0.99, 0.95], increment=0.0)
    other.train(split.train_stream[:1])
    sizes = [basis.shape[1] for basis in other.plugin.bases.values()]
    assert [s > 0 for s in sizes] == [True, True]
    assert asked[4:] == pytest.approx([0.99, 0.95])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": [0.95, 0.99, 0.99]}, r"3 numbers, .* 2 layers .*backbone\.1, backbone\.3"),
        ({"increment": (0.1, 0.1, 0.1)}, "increment has 3 numbers"),
        ({"threshold": []}, "threshold is empty"),
        ({"threshold": [0.95, 1.5]}, r"threshold is \[0.95, 1.5\]"),
        ({"threshold": [0.95, 0.0]}, r"threshold is \[0.95, 0.0\]"),
        ({"threshold": [0.95, "high"]}, r"threshold is \[0.95, 'high'\]"),
        ({"threshold": "0.95"}, "threshold is '0.95'"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused_when_the_strategy_is_made(options, message):
    with pytest.raises(UserError, match=message):
        learner(GPM, network(), **options)


def test_a_plugin_with_thresholds_for_another_model_is_refused_before_training(split):
    strategy = learner(Naive, network(), plugins=[GPMPlugin(threshold=[0.9, 0.9, 0.9])])
    before = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    with pytest.raises(UserError, match="3 numbers"):
        strategy.train(split.train_stream[0])
    after = strategy.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_configuration_may_give_one_threshold_or_a_list():
    entry = registry("strategies")["gpm"]
    assert entry.resolve_options({"threshold": 1})["threshold"] == 1.0
    assert entry.resolve_options({"threshold": [0.95, 0.99, 0.99]})["threshold"] == [
        0.95,
        0.99,
        0.99,
    ]
    with pytest.raises(UserError, match="samples"):
        entry.resolve_options({"samples": [100, 100]})


def test_a_model_whose_gradients_cannot_be_projected_is_refused(split):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRU(64, 8)

        def forward(self, x):
            return self.cell(x.flatten(1))[0]

    strategy = learner(GPM, MultiHeadModel(Recurrent(), 8))
    with pytest.raises(UserError, match="GRU with parameters"):
        strategy.train(split.train_stream[0])
