"""CLR on a stream: effect, what stays, bytes, refusals, and the same training by hand."""

import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from torch import nn
from torch.nn import functional as F

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.lenet import wide_lenet
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins import EWCPlugin
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.strategies.clr import CLR
from cl_strategies.strategies.naive import Naive


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.3)


def network(channels=(3, 4), hidden=(12, 8)):
    return wide_lenet(
        input_shape=(1, 8, 8), n_classes=10, scenario="task", channels=channels, hidden=hidden
    )


def learner(kind=CLR, model=None, *, lr=0.02, epochs=1, optimizer=None, plugins=(), **options):
    model = model or network()
    make = optimizer or (lambda p: torch.optim.Adam(p, lr=lr))
    return kind(
        model=model,
        optimizer=make(model.parameters()),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
        **options,
    )


# ---------------------------------------------------------------------- effect


def means(kind, benchmark, lr):
    found = []
    for seed in range(3):
        seed_everything(seed)
        strategy = learner(kind, network((6, 12), (48, 32)), lr=lr, epochs=5)
        strategy.train(benchmark.train_stream)
        results = strategy.eval(benchmark.test_stream)
        found += [value for name, value in results.items() if "Top1_Acc_Exp" in name]
    assert len(found) == 9
    return sum(found) / 9


def test_reprogramming_beats_fine_tuning_over_three_seeds(split):
    """Fine-tuning at the best of the rates 0.002, 0.005 and 0.02."""
    assert means(CLR, split, 0.02) > means(Naive, split, 0.002) + 0.03


# ---------------------------------------------------------------------- what stays


@pytest.mark.parametrize("pretrained_base", [False, True])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.5),
    ],
)
def test_no_optimizer_reaches_what_an_earlier_task_uses(split, optimizer, pretrained_base):
    strategy = learner(optimizer=optimizer, pretrained_base=pretrained_base)
    x = torch.stack([image for image, *_ in split.test_stream[0].dataset.eval()])
    strategy.train(split.train_stream[0])
    first = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    strategy.model.eval()
    with torch.no_grad():
        before = strategy.model(x, 2), strategy.model(x[:3], 2)
    strategy.train(split.train_stream[1:])
    last = strategy.model.state_dict()
    del first["_extra_state"]
    assert all(torch.equal(last[name], value) for name, value in first.items())
    strategy.model.eval()
    with torch.no_grad():
        after = strategy.model(x, 2), strategy.model(x[:3], 2)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    added = set(last) - set(first) - {"_extra_state"}
    assert added and all(".tasks." in name or ".heads." in name for name in added)


def test_bytes_of_the_model_grow_by_kernels_normalizations_and_head(tmp_path):
    tables = {
        "benchmark": {
            "name": "split-digits",
            "n_experiences": 3,
            "scenario": "task",
            "fraction": 0.1,
        },
        "model": {"name": "wide-lenet", "channels": [3, 4], "hidden": [12, 8]},
        "strategy": {"name": "clr"},
    }
    record = run(ExperimentConfig.from_dict(tables), tmp_path)
    assert record.status == "finished", record.error
    sizes = list(record.bytes["parameters"])
    norms = (3 + 4 + 12 + 8) * 4 * 4 + 4 * 8  # with statistics, and the count of batches
    heads = [(8 * n + n) * 4 for n in (4, 3, 3)]  # ten classes in three tasks
    kernels = 9 * (3 + 4) * 4
    for n in (1, 2):
        text = sizes[n] - sizes[n - 1] - (kernels + norms + heads[n])  # which tasks there are
        assert 0 <= text < 100
    assert list(record.bytes["method_state"]) == [0, 0, 0]


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            lambda: mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=(8,)),
            {},
            "larger than 1 x 1.*use a convolutional network",
        ),
        (network, {"kernel_size": 2}, "kernel_size is 2: give an odd number"),
        (network, {"plugins": [EWCPlugin(strength=1.0)]}, "EWCPlugin guards .* leave it out"),
        (
            network,
            {"optimizer": lambda p: torch.optim.SGD([{"params": [q]} for q in p], lr=0.1)},
            "groups of parameters, but CLR",
        ),
    ],
)
def test_what_cannot_work_is_refused_when_the_strategy_is_made(make, options, message):
    with pytest.raises(UserError, match=message):
        learner(model=make(), **options)


def test_streams_without_a_task_label_per_experience_are_refused():
    benchmark = split_digits(n_experiences=2, scenario="class", fraction=0.1)
    with pytest.raises(UserError, match="task label 0 was already learned.*task-incremental"):
        learner().train(benchmark.train_stream)


# ---------------------------------------------------------------------- the same, by hand


class Double(nn.Module):
    def forward(self, x):
        return x.double()


class Record(SupervisedPlugin):
    """Keeps the mini-batches of each experience, and the head that its training begins with."""

    def __init__(self):
        super().__init__()
        self.batches, self.heads = [], []

    def before_training_exp(self, strategy, *args, **kwargs):
        head = strategy.model.head.heads[strategy.model.current.name].classifier
        self.batches.append([])
        self.heads.append((head.weight.detach().clone(), head.bias.detach().clone()))

    def after_training_iteration(self, strategy, *args, **kwargs):
        self.batches[-1].append((strategy.mb_x.clone(), strategy.mb_y.clone()))


def backbone():
    return nn.Sequential(
        Double(),
        nn.Conv2d(1, 5, 3, stride=2, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 4, 1),
        nn.Conv2d(4, 3, 2),
        nn.Flatten(),
        nn.Linear(27, 7),
        nn.Tanh(),
    )


def moved(maps, kernel):
    """A 3 x 3 filter as a sum of nine images, each moved and weighted by channel."""
    padded, (height, width) = F.pad(maps, (1, 1, 1, 1)), maps.shape[-2:]
    return sum(
        padded[:, :, i : i + height, j : j + width] * kernel[:, i, j].view(1, -1, 1, 1)
        for i in range(3)
        for j in range(3)
    )


def trained_by_hand(base, record, lr, pretrained_base):
    """The paper in words: one base, and for each task filters, a BatchNorm, a head, an Adam."""
    names = [name for name, _ in base.named_parameters() if not name.startswith("2.")]
    weights = {name: base.get_parameter(name).detach().clone() for name in names}
    scale, shift = (base.get_parameter(f"2.{name}").detach().clone() for name in ("weight", "bias"))
    mean, variance = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    first, tasks = None, []
    for (head, bias), batches in zip(record.heads, record.batches, strict=True):
        own = [t.clone() for t in (first or (scale, shift, mean, variance))]
        filters = [torch.zeros(n, 3, 3, dtype=torch.float64) for n in (5, 3)]
        for kernel in filters:
            kernel[:, 1, 1] = 1.0
        begins = first is None and not pretrained_base
        trained = [own[0], own[1], head, bias, *(weights.values() if begins else filters)]
        for tensor in trained:
            tensor.requires_grad_()
        optimizer = torch.optim.Adam(trained, lr=lr)
        for x, y in batches:
            h = F.conv2d(x.double(), weights["1.weight"], weights["1.bias"], stride=2, padding=1)
            h = moved(h, filters[0])
            with torch.no_grad():
                count = h.numel() / h.shape[1]
                biased = h.var((0, 2, 3), correction=0)
                own[2] = 0.9 * own[2] + 0.1 * h.mean((0, 2, 3))
                own[3] = 0.9 * own[3] + 0.1 * biased * count / (count - 1)
            centered = h - h.mean((0, 2, 3), keepdim=True)
            h = centered / (centered.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
            h = (h * own[0].view(1, -1, 1, 1) + own[1].view(1, -1, 1, 1)).relu()
            h = F.conv2d(h, weights["4.weight"], weights["4.bias"])
            h = moved(F.conv2d(h, weights["5.weight"], weights["5.bias"]), filters[1])
            h = F.linear(h.flatten(1), weights["7.weight"], weights["7.bias"]).tanh()
            loss = F.cross_entropy(F.linear(h, head, bias), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for tensor in trained:
            tensor.requires_grad_(False)
        first = first or own
        tasks.append((filters, own, head, bias))
    return weights, tasks


@pytest.mark.parametrize("pretrained_base", [False, True])
def test_training_equals_a_plain_loop_written_from_the_equations(split, pretrained_base):
    model, record = MultiHeadModel(backbone(), 7).double(), Record()
    base = backbone().double()
    base.load_state_dict(model.backbone.state_dict())
    strategy = CLR(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.02),
        pretrained_base=pretrained_base,
        train_mb_size=32,
        train_epochs=2,
        plugins=[record],
        evaluator=None,
    )
    strategy.train(split.train_stream)
    weights, tasks = trained_by_hand(base, record, 0.02, pretrained_base)
    mine = strategy.model
    layers = mine.network.backbone
    pairs = [(layers.get_parameter(name), value) for name, value in weights.items()]
    for task, (filters, own, head, bias) in zip(mine.tasks, tasks, strict=True):
        (norm,) = mine.norms_of(task)
        classifier = mine.head.heads[task.name].classifier
        pairs += zip(
            (norm.weight, norm.bias, norm.running_mean, norm.running_var), own, strict=True
        )
        pairs += [(classifier.weight, head), (classifier.bias, bias)]
        if mine.entries(task):
            kernels = [entry.kernels for entry in mine.entries(task).values()]
            pairs += zip(kernels, filters, strict=True)
    assert len(pairs) == len(weights) + 18 + (6 if pretrained_base else 4)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
