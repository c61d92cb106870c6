"""IRU on a stream: effect, columns that stay, another loss, and the same training by hand."""

import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from torch import nn
from torch.nn import functional as F

from cl_strategies.benchmarks.streams.permuted import permuted_digits
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.strategies.iru import IRU
from cl_strategies.strategies.naive import Naive


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.3)


def learner(kind=IRU, *, lr=0.02, epochs=2, hidden=(24, 16), optimizer=None, **options):
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=hidden)
    make = optimizer or (lambda p: torch.optim.Adam(p, lr=lr))
    return kind(
        model=model,
        optimizer=make(model.parameters()),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[ResidentDataPlugin()],
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
        **options,
    )


def average(strategy, benchmark):
    results = strategy.eval(benchmark.test_stream)
    values = [value for name, value in results.items() if "Top1_Acc_Exp" in name]
    return sum(values) / len(values)


# ---------------------------------------------------------------------- effect


def means(kind, benchmark, *, lr, **options):
    found = []
    for seed in range(3):
        seed_everything(seed)
        strategy = learner(kind, lr=lr, epochs=10, hidden=(64, 64), **options)
        strategy.train(benchmark.train_stream)
        found.append(average(strategy, benchmark))
    return sum(found) / len(found)


@pytest.mark.parametrize(
    ("stream", "naive_rate", "options", "margin"),
    [
        pytest.param(split_digits, 0.002, {"lr": 0.02}, 0.03, id="split"),
        pytest.param(
            permuted_digits,
            0.005,
            {"lr": 0.05, "added_rank": 4},
            0.05,
            id="permuted",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_rank_updates_beat_fine_tuning(stream, naive_rate, options, margin):
    """With the better of the rates 0.002 and 0.005 for fine-tuning."""
    benchmark = stream(n_experiences=4, scenario="task", fraction=0.3)
    assert means(IRU, benchmark, **options) > means(Naive, benchmark, lr=naive_rate) + margin


# ---------------------------------------------------------------------- what it does


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.5),
    ],
)
def test_no_optimizer_reaches_columns_of_earlier_tasks(split, optimizer):
    strategy = learner(optimizer=optimizer)
    strategy.train(split.train_stream[0])
    first = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    strategy.train(split.train_stream[1:])
    last = strategy.model.state_dict()
    del first["_extra_state"]
    assert all(torch.equal(last[name], value) for name, value in first.items())
    assert all(".tasks." in name or ".heads." in name for name in first)


def test_the_squared_error_of_the_paper_is_a_criterion(split):
    def squared_error(logits, labels):
        return F.mse_loss(logits.softmax(1), F.one_hot(labels, logits.shape[1]).to(logits))

    seed_everything(0)
    strategy = learner(epochs=10, lr=0.05, criterion=squared_error)
    strategy.train(split.train_stream)
    assert average(strategy, split) > 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [({"first_rank": 0}, "first_rank is 0"), ({"added_rank": -1}, "added_rank is -1")],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        learner(**options)


# ---------------------------------------------------------------------- the same, by hand


class Double(nn.Module):
    def forward(self, x):
        return x.double()


class Record(SupervisedPlugin):
    """Keeps the mini-batches of each experience, and what its training begins with."""

    def __init__(self):
        super().__init__()
        self.batches, self.starts = [], []

    def before_training_exp(self, strategy, *args, **kwargs):
        model, task = strategy.model, strategy.model.current.name
        self.batches.append([])
        layers = [layer.tasks[task] for layer in model.layers.values()]
        head = model.head.heads[task].classifier
        columns = [(entry.left.detach().clone(), entry.right.detach().clone()) for entry in layers]
        self.starts.append((columns, head.weight.detach().clone(), head.bias.detach().clone()))

    def after_training_iteration(self, strategy, *args, **kwargs):
        self.batches[-1].append((strategy.mb_x.clone(), strategy.mb_y.clone()))


def trained_by_hand(record, shapes, lr):
    """The authors' notebook in words: columns of all tasks side by side, one Adam per task."""
    old, kept = [(None, None)] * len(shapes), []
    for (columns, weight, bias), batches in zip(record.starts, record.batches, strict=True):
        free = [p for pair in columns for p in pair]
        selectors, biases = [], []
        for (left, _), (before, _), shape in zip(columns, old, shapes, strict=True):
            used = 0 if before is None else before.shape[1]
            ones = torch.ones(left.shape[1], dtype=torch.float64)
            selectors.append(torch.cat([torch.zeros(used, dtype=torch.float64), ones]))
            biases.append(torch.zeros(shape[0], dtype=torch.float64))
        parameters = [p.requires_grad_() for p in (*free, *selectors, *biases, weight, bias)]
        optimizer = torch.optim.Adam(parameters, lr=lr)

        def full(n, columns=columns, old=old):
            before, new = old[n], columns[n]
            if before[0] is None:
                return new
            return tuple(torch.cat(pair, dim=1) for pair in zip(before, new, strict=True))

        def weights(n, full=full, selectors=selectors):
            left, right = full(n)
            return (left @ torch.diag(selectors[n]) @ right.T).reshape(shapes[n])

        for x, y in batches:
            h = F.conv2d(x.double(), weights(0), biases[0], stride=2, padding=1).relu()
            h = F.linear(h.flatten(1), weights(1), biases[1]).relu()
            loss = F.cross_entropy(F.linear(h, weight, bias), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        kept.append([weights(n).detach() for n in range(len(shapes))] + [weight.detach()])
        old = [tuple(part.detach() for part in full(n)) for n in range(len(shapes))]
    return kept


def test_training_equals_a_plain_loop_written_from_the_equations(split):
    backbone = nn.Sequential(
        Double(),
        nn.Conv2d(1, 5, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(80, 12),
        nn.ReLU(),
    )
    model = MultiHeadModel(backbone, 12).double()
    record = Record()
    strategy = IRU(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.02),
        first_rank=4,
        added_rank=2,
        train_mb_size=32,
        train_epochs=2,
        plugins=[record],
        evaluator=None,
    )
    strategy.train(split.train_stream)
    kept = trained_by_hand(record, [(5, 1, 3, 3), (12, 80)], 0.02)
    for task, (conv, linear, head) in zip(strategy.model.tasks, kept, strict=True):
        layers = strategy.model.layers.values()
        mine = [layer.weight_of(layer.tasks[task.name]) for layer in layers]
        mine.append(strategy.model.head.heads[task.name].classifier.weight)
        for found, expected in zip(mine, (conv, linear, head), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
