"""PRD on a stream: effect, relations, refusals, and the same training by hand."""

import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.models import SimpleMLP, as_multitask
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from torch import nn
from torch.utils.data import TensorDataset

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.heads import MultiHeadModel, SingleHeadModel
from cl_strategies.plugins.contrastive.functional import relation_distillation
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.strategies.naive import Naive
from cl_strategies.strategies.prd import PRD

SMALL = {"projection_hidden": 16, "projection_size": 8}


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.2)


def network(scenario="task", hidden=(24, 16)):
    return mlp(input_shape=(1, 8, 8), n_classes=10, scenario=scenario, hidden=hidden)


def learner(kind=PRD, model=None, *, lr=0.005, epochs=2, optimizer=None, plugins=(), **options):
    model = model or network()
    make = optimizer or (lambda p: torch.optim.Adam(p, lr=lr))
    options = {**(SMALL if kind is PRD else {}), **options}
    return kind(
        model=model,
        optimizer=make(model.parameters()),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
        **options,
    )


def average(strategy, benchmark):
    results = strategy.eval(benchmark.test_stream)
    values = [value for name, value in results.items() if "Top1_Acc_Exp" in name]
    return sum(values) / len(values)


# ---------------------------------------------------------------------- effect


def means(kind, benchmark, scenario, **options):
    found = []
    for seed in range(3):
        seed_everything(seed)
        strategy = learner(kind, network(scenario, (64, 64)), epochs=20, **options)
        strategy.train(benchmark.train_stream)
        found.append(average(strategy, benchmark))
    return sum(found) / len(found)


@pytest.mark.slow
def test_relations_of_prototypes_beat_fine_tuning_without_any_exemplar():
    """Ten classes in five experiences, one set of prototypes: fine-tuning knows the last two."""
    benchmark = split_digits(n_experiences=5, scenario="class", fraction=0.5)
    size = {"projection_hidden": 64, "projection_size": 32}
    ours = means(PRD, benchmark, "class", **size)
    assert ours > means(Naive, benchmark, "class") + 0.08
    assert ours > means(PRD, benchmark, "class", strength=0.0, **size) + 0.03


def test_distillation_holds_the_relations_of_samples_to_old_prototypes(split):
    """Over three seeds, on the samples of the second task."""
    moved = {}
    for strength in (0.0, 4.0):
        moved[strength] = 0.0
        for seed in range(3):
            seed_everything(seed)
            strategy = learner(strength=strength)
            strategy.train(split.train_stream[0])
            old = strategy.model.frozen_copy()
            strategy.train(split.train_stream[1])
            x = torch.stack([image for image, *_ in split.train_stream[1].dataset.eval()])
            groups, new = old.groups(), strategy.model.eval()
            with torch.no_grad():
                moved[strength] += relation_distillation(
                    new.features(x), new.rows(groups), old.features(x), old.rows(groups)
                ).item()
    assert 0 < moved[4.0] < 0.5 * moved[0.0]


def test_strength_does_nothing_before_there_are_old_prototypes(split):
    states = []
    for strength in (0.0, 4.0):
        seed_everything(0)
        strategy = learner(strength=strength, epochs=1)
        strategy.train(split.train_stream[0])
        states.append(strategy.model.state_dict())
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_between_experiences_nothing_but_the_network_is_kept(split):
    strategy = learner(epochs=1)
    strategy.train(split.train_stream)
    assert strategy.relations.old is None
    structure = strategy.method_state_dict()["structure"]
    assert {key: saved["groups"] for key, saved in structure.items()} == {
        str(e.task_labels[0]): [len(e.classes_in_this_experience)] for e in split.train_stream
    }


# ---------------------------------------------------------------------- whose models and streams


def test_plain_networks_and_streams_of_avalanche_are_learned():
    torch.manual_seed(0)
    centers = 3 * torch.randn(4, 10)
    y = torch.arange(120) % 4
    x = centers[y] + 0.3 * torch.randn(120, 10)
    data = []
    for n in (0, 1):
        data.append(TensorDataset(x[60 * n :][:60], y[60 * n :][:60]))
        data[-1].targets = y[60 * n :][:60]
    for per_task in (False, True):
        benchmark = nc_benchmark(*data, 2, task_labels=per_task, seed=0, shuffle=True)
        model = SimpleMLP(num_classes=4, input_size=10, hidden_size=12, drop_rate=0.0)
        if per_task:
            model = as_multitask(model, "classifier")
        strategy = learner(model=model, epochs=40, lr=0.01)
        for experience in benchmark.train_stream:
            strategy.train(experience)
        assert average(strategy, benchmark) > (0.8 if per_task else 0.45)


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (network, {"strength": -1.0}, "strength is -1.0"),
        (network, {"temperature": 0.0}, "temperature is 0.0"),
        (network, {"contrast_temperature": -0.1}, "contrast_temperature is -0.1"),
        (network, {"projection_size": 0}, "projection_size is 0"),
        (network, {"augmentation": "blur"}, "unknown augmentation 'blur'"),
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), {}, "no linear classifier"),
        (
            network,
            {"optimizer": lambda p: torch.optim.SGD([{"params": [q]} for q in p], lr=0.1)},
            "4 groups of parameters, but PRD",
        ),
    ],
)
def test_what_cannot_work_is_refused_when_the_strategy_is_made(make, options, message):
    with pytest.raises(UserError, match=message):
        learner(model=make(), **options)


def test_a_network_that_has_prototypes_brings_its_own_projection():
    model = learner().model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert PRD(model=model, optimizer=optimizer, train_mb_size=32).model is model
    with pytest.raises(UserError, match="its own projection_size: leave these options out"):
        PRD(model=model, optimizer=optimizer, projection_size=3, train_mb_size=32)


# ---------------------------------------------------------------------- the same, by hand


class Double(nn.Module):
    def forward(self, x):
        return x.double()


class Record(SupervisedPlugin):
    """Keeps views and labels of each experience, and the prototypes that it begins with."""

    def __init__(self):
        super().__init__()
        self.batches, self.prototypes = [], []

    def before_training_exp(self, strategy, *args, **kwargs):
        label = int(strategy.experience.task_labels[0])
        count = len(strategy.experience.classes_in_this_experience)
        rows = strategy.model.of_task(label).weight[-count:].detach().clone()
        self.prototypes.append((sorted(strategy.experience.classes_in_this_experience), rows))
        self.batches.append([])

    def after_training_iteration(self, strategy, *args, **kwargs):
        self.batches[-1].append((self.drawn.clone(), strategy.mb_y.clone()))

    def watch(self, relations):
        draw = relations.views

        def views(x):
            self.drawn = draw(x)
            return self.drawn

        relations.views = views


def contrast(vectors, labels, temperature, base):
    """Each view against all others: a log of a sum that leaves out the view itself."""
    z = vectors / vectors.norm(dim=1, keepdim=True)
    similarity = z @ z.T / temperature
    losses = []
    for a in range(len(z)):
        others = torch.arange(len(z)) != a
        bottom = similarity[a][others].exp().sum().log()
        positives = similarity[a][others & (labels == labels[a])] - bottom
        losses.append(-temperature / base * positives.mean())
    return torch.stack(losses).mean()


def trained_by_hand(parts, record, per_task, lr):
    """The paper in words, with an SGD per experience and a tensor of prototypes for each."""
    features, projection = parts
    kept, old = [], None
    for (classes, rows), batches in zip(record.prototypes, record.batches, strict=True):
        kept.append((classes, rows.requires_grad_()))
        weights = [*features.parameters(), *projection.parameters(), *(p for _, p in kept)]
        optimizer = torch.optim.SGD(weights, lr=lr, momentum=0.9, weight_decay=1e-3)
        for views, y in batches:
            f, labels = features(views), y.repeat(2)
            loss = contrast(projection(f), labels, 0.2, 0.1)
            everything = kept[-1:] if per_task else kept
            order = [c for names, _ in everything for c in names]
            table = torch.cat([p for _, p in everything])
            mine = table[[order.index(int(c)) for c in labels]]
            cosine = (f.detach() * mine).sum(1) / f.detach().norm(dim=1) / mine.norm(dim=1)
            loss = loss + 1.5 * (1 - cosine).mean()
            if old is not None:
                old_features, old_prototypes = old
                with torch.no_grad():
                    before = old_features(views)
                for (_, now), then in zip(kept[:-1], old_prototypes, strict=True):
                    p = (f @ (now / now.norm(dim=1, keepdim=True)).T / 2.0).softmax(1)
                    q = (before @ (then / then.norm(dim=1, keepdim=True)).T / 2.0).softmax(1)
                    loss = loss + 3.0 * (q * (q / p).log()).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        frozen = nn.Sequential(*body(), nn.Tanh()).double()
        frozen.load_state_dict(features.state_dict())
        old = frozen, [p.detach().clone() for _, p in kept]
    return [p.detach() for _, p in kept]


def body():
    return Double(), nn.Flatten(), nn.Linear(64, 9)


@pytest.mark.parametrize("scenario", ["task", "class"])
def test_training_equals_a_plain_loop_written_from_the_equations(scenario):
    benchmark = split_digits(n_experiences=3, scenario=scenario, order=[2, 0, 1], fraction=0.1)
    features, record = nn.Sequential(*body(), nn.Tanh()).double(), Record()
    model = (
        MultiHeadModel(features, 9)
        if scenario == "task"
        else SingleHeadModel(features, nn.Linear(9, 10))
    ).double()
    strategy = learner(
        model=model,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=1e-3),
        plugins=[record],
        strength=3.0,
        prototype_weight=1.5,
        temperature=2.0,
        contrast_temperature=0.2,
        base_temperature=0.1,
    )
    record.watch(strategy.relations)
    mine = strategy.model
    projection = nn.Sequential(
        nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8)
    ).double()
    projection.load_state_dict(mine.projection.state_dict())
    strategy.train(benchmark.train_stream)
    kept = trained_by_hand((features, projection), record, scenario == "task", 0.02)
    for found, expected in (
        (mine.backbone, features),
        (mine.projection, projection),
    ):
        for a, b in zip(found.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    for found, expected in zip(mine.rows(mine.groups()), kept, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
