"""BMKP on a stream: effect, stages, refusals, and the same training by hand."""

import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from torch import nn
from torch.nn import functional as F

from cl_strategies.benchmarks.streams.permuted import permuted_digits
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.lr_schedule import LearningRateSchedule
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.strategies.bmkp import BMKP
from cl_strategies.strategies.naive import Naive


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.3)


def learner(kind=BMKP, *, lr=0.01, epochs=2, hidden=(24, 16), plugins=(), **options):
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=hidden)
    return kind(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=lr),
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


def means(kind, benchmark, lr):
    found = []
    for seed in range(3):
        seed_everything(seed)
        strategy = learner(kind, lr=lr, epochs=10, hidden=(64, 64))
        strategy.train(benchmark.train_stream)
        found.append(average(strategy, benchmark))
    return sum(found) / len(found)


@pytest.mark.parametrize(
    ("stream", "naive_rate", "margin"),
    [
        pytest.param(split_digits, 0.002, 0.03, id="split"),
        pytest.param(permuted_digits, 0.005, 0.1, id="permuted", marks=pytest.mark.slow),
    ],
)
def test_knowledge_projection_beats_fine_tuning(stream, naive_rate, margin):
    """With the better of the rates 0.002 and 0.005 for fine-tuning."""
    benchmark = stream(n_experiences=4, scenario="task", fraction=0.3)
    assert means(BMKP, benchmark, 0.02) > means(Naive, benchmark, naive_rate) + margin


# ---------------------------------------------------------------------- stages


class Stages(SupervisedPlugin):
    """Whether each epoch trains free weights, and at what rate."""

    def __init__(self):
        super().__init__()
        self.learning, self.rates = [], []

    def before_training_iteration(self, strategy, *args, **kwargs):
        if strategy.clock.train_exp_iterations == 0 or not self.seen(strategy):
            self.learning.append(strategy.model.learning)
            self.rates.append(strategy.optimizer.param_groups[0]["lr"])

    def seen(self, strategy):
        return strategy.clock.train_epoch_iterations > 0


@pytest.mark.parametrize(("retrain_epochs", "free"), [(3, [2, 3]), (1, [4, 1]), (0, [5, 0])])
def test_coefficients_are_trained_in_the_last_epochs(split, retrain_epochs, free):
    stages = Stages()
    learner(epochs=5, plugins=[stages], retrain_epochs=retrain_epochs).train(split.train_stream[:2])
    first, last = free
    assert stages.learning == ([True] * first + [False] * last) * 2


def test_half_of_the_epochs_retrain_by_default():
    assert [learner(epochs=n).retrain_epochs for n in (1, 2, 5)] == [0, 1, 2]


def test_both_stages_follow_the_schedule_of_the_run(split):
    stages, schedule = Stages(), LearningRateSchedule("step", milestones=[1, 3], gamma=0.1)
    learner(epochs=4, lr=0.1, plugins=[schedule, stages]).train(split.train_stream[:2])
    assert stages.learning == [True, True, False, False] * 2
    assert stages.rates == pytest.approx([0.1, 0.01, 0.01, 0.001] * 2)


def test_the_penalty_is_part_of_the_loss_in_the_first_stage_of_later_tasks(split):
    class Losses(SupervisedPlugin):
        def __init__(self):
            super().__init__()
            self.apart = []

        def after_backward(self, strategy, *args, **kwargs):
            plain = F.cross_entropy(strategy.mb_output, strategy.mb_y)
            self.apart.append(float(strategy.loss.detach() - plain.detach()))

    for strength in (0.0, 2.0):
        losses = Losses()
        strategy = learner(epochs=2, strength=strength, plugins=[losses])
        strategy.train(split.train_stream[0])
        assert max(map(abs, losses.apart)) < 1e-6
        losses.apart.clear()
        strategy.train(split.train_stream[1])
        half = len(losses.apart) // 2
        assert all(apart > 1 for apart in losses.apart[:half]) == (strength > 0)
        assert max(map(abs, losses.apart[half:])) < 1e-6


def test_free_weights_belong_to_the_method_and_bases_to_the_model(split):
    strategy = learner()
    strategy.train(split.train_stream[:2])
    working = strategy.method_state_dict()["working"]
    assert {name: tuple(value.shape) for name, value in working.items()} == {
        "backbone.1": (24, 64),
        "backbone.3": (16, 24),
    }
    names = set(strategy.model.state_dict())
    assert "network.backbone.1.tasks.0.columns" in names
    assert not any(name.endswith("weight") for name in names if "backbone" in name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1.0}, "strength is -1.0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"first_threshold": -0.1}, "first_threshold is -0.1"),
        ({"samples": 0}, "samples is 0"),
        ({"retrain_epochs": 2}, "retrain_epochs is 2 of 2 epochs"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        learner(**options)


# ---------------------------------------------------------------------- the same, by hand


class Double(nn.Module):
    def forward(self, x):
        return x.double()


class Record(SupervisedPlugin):
    """Keeps the mini-batches of each epoch, the data, and the first weights of each head."""

    def __init__(self):
        super().__init__()
        self.tasks = []

    def before_training_exp(self, strategy, *args, **kwargs):
        model = strategy.model
        head = model.head.heads[model.current.name].classifier
        data = torch.stack([x for x, *_ in strategy.experience.dataset.eval()])
        start = head.weight.detach().clone(), head.bias.detach().clone()
        self.tasks.append({"head": start, "data": data, "epochs": []})

    def before_training_epoch(self, strategy, *args, **kwargs):
        self.tasks[-1]["epochs"].append([])

    def after_training_iteration(self, strategy, *args, **kwargs):
        self.tasks[-1]["epochs"][-1].append((strategy.mb_x.clone(), strategy.mb_y.clone()))


def run(x, weights, biases, head):
    """The answers of the network, and those of its two layers without their biases."""
    first = F.conv2d(x.double(), weights[0], stride=2, padding=1)
    hidden = (first + biases[0][:, None, None]).relu().flatten(1)
    second = F.linear(hidden, weights[1])
    return F.linear((second + biases[1]).relu(), *head), (first, second)


def off_basis(basis, weight):
    flat = weight.reshape(len(weight), -1)
    rest = flat - basis @ (basis.T @ flat)
    stacked = torch.cat([basis.T, rest.T])
    corr = stacked.T @ stacked
    return corr.diagonal().sum() / corr.sum()


def grow(basis, outputs, first_threshold, threshold):
    rows = outputs.transpose(0, 1).reshape(outputs.shape[1], -1)
    if basis is None:
        left, values, _ = torch.linalg.svd(rows, full_matrices=False)
        shares = (values**2 / (values**2).sum()).cumsum(0)
        return left[:, : int((shares < first_threshold).sum())]
    total = (torch.linalg.svdvals(rows) ** 2).sum()
    left, values, _ = torch.linalg.svd(rows - basis @ basis.T @ rows, full_matrices=False)
    held, count = (total - (values**2).sum()) / total, 0
    while count < len(values) and held < threshold:
        held, count = held + values[count] ** 2 / total, count + 1
    return torch.cat([basis, left[:, :count]], dim=1)[:, : len(basis)]


def trained_by_hand(tasks, weights, biases, options, lr, momentum):
    bases, kept, first = [None, None], [], biases
    shapes = [weight.shape for weight in weights]
    for position, task in enumerate(tasks):
        head = [part.requires_grad_() for part in task["head"]]
        biases = [bias.detach().clone() for bias in first]
        working = [weight.detach().clone() for weight in weights]
        stages = [task["epochs"][:-2], task["epochs"][-2:]]
        for stage, epochs in enumerate(stages):
            if stage:
                with torch.no_grad():
                    _, outputs = run(task["data"], working, biases, head)
                thresholds = options["first_threshold"], options["threshold"]
                bases = [grow(b, o, *thresholds) for b, o in zip(bases, outputs, strict=True)]
                weights = [weight.detach() for weight in working]
                working = [
                    (b.T @ w.flatten(1)).clone() for b, w in zip(bases, weights, strict=True)
                ]
            free = [p.detach().requires_grad_() for p in (*working, *biases, *head)]
            working, biases, head = free[:2], free[2:4], free[4:]
            optimizer = torch.optim.SGD(free, lr=lr, momentum=momentum)

            def used(stage=stage, working=working, bases=bases, shapes=shapes):
                if not stage:
                    return working
                pairs = zip(bases, working, shapes, strict=True)
                return [(b @ c).reshape(shape) for b, c, shape in pairs]

            for x, y in (batch for epoch in epochs for batch in epoch):
                logits, _ = run(x, used(), biases, head)
                loss = F.cross_entropy(logits, y)
                if position and not stage:
                    terms = [off_basis(b, w) for b, w in zip(bases, working, strict=True)]
                    loss = loss + options["strength"] * sum(terms)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        first = biases if not position else first
        kept.append([w.detach() for w in used()] + [head[0].detach()])
    return kept, [basis.shape[1] for basis in bases]


def test_training_equals_a_plain_loop_written_from_the_equations(split):
    backbone = nn.Sequential(
        Double(),
        nn.Conv2d(1, 5, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(80, 12),
        nn.ReLU(),
    )
    seed_everything(0)
    model = MultiHeadModel(backbone, 12).double()
    weights = [model.backbone[n].weight.detach().clone() for n in (1, 4)]
    biases = [model.backbone[n].bias.detach().clone() for n in (1, 4)]
    options = {"strength": 0.1, "first_threshold": 0.9, "threshold": 0.95}
    record = Record()
    strategy = BMKP(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=32,
        train_epochs=4,
        plugins=[record],
        evaluator=None,
        **options,
    )
    strategy.train(split.train_stream)
    kept, widths = trained_by_hand(record.tasks, weights, biases, options, 0.05, 0.9)
    assert list(strategy.model.ranks()[1].values()) == widths
    for task, (conv, linear, head) in zip(strategy.model.tasks, kept, strict=True):
        layers = strategy.model.layers.values()
        mine = [layer.weight_of(layer.tasks[task.name]) for layer in layers]
        mine.append(strategy.model.head.heads[task.name].classifier.weight)
        for found, expected in zip(mine, (conv, linear, head), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)
