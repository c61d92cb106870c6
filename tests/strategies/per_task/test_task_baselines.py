"""The methods that HALRP is compared with, on multi-head models: effect, promises, bytes."""

import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin

from cl_strategies.benchmarks.streams.permuted import permuted_digits
from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.registry import registry

NEW = ["batch-norm", "batch-ensemble", "gpm", "wsn"]
NEVER_FORGET = ["batch-norm", "batch-ensemble", "wsn", "bmkp", "iru", "ibp-wf", "apd-fixed"]
COMPARED = ["naive", "single-task", "joint", "l2", "ewc", "halrp", "apd", "apd-fixed", *NEW]

#: Small versions of the registered models.
MODELS = {
    "mlp": {"hidden": [24, 16]},
    "cnn": {"channels": [4, 6], "hidden": 16},
    "wide-lenet": {"channels": [4, 6], "hidden": [24, 16]},
    "omniglot-lenet": {},
    "lenet": {},
    "reduced-resnet18": {"width": 2},
    "small-alexnet": {},
}


def network(benchmark, name="mlp", **options):
    info = benchmark.info
    return registry("models")[name].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario="task",
        **(options or MODELS[name]),
    )


def strategy(name, model, *, lr=5e-3, epochs=1, plugins=(), **options):
    return registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=lr),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
        **options,
    )


def average(learner, stream):
    results = learner.eval(stream)
    values = [value for name, value in results.items() if "Top1_Acc_Exp" in name]
    assert len(values) == len(stream)
    return sum(values) / len(values)


# ---------------------------------------------------------------------- effect


@pytest.fixture(scope="module")
def permuted():
    return permuted_digits(n_experiences=4, scenario="task", fraction=0.3)


#: Vectors that scale a layer learn slowly at a rate that suits the layer itself.
RATES = {"batch-ensemble": 0.02}


def three_seeds(name, benchmark, lr):
    accuracies = []
    for seed in range(3):
        seed_everything(seed)
        learner = strategy(name, network(benchmark, hidden=[64, 64]), lr=lr, epochs=4)
        learner.train(benchmark.train_stream)
        accuracies.append(average(learner, benchmark.test_stream))
    return accuracies


@pytest.fixture(scope="module")
def fine_tuning(permuted):
    """The better of both rates."""
    return max((three_seeds("naive", permuted, lr) for lr in (0.005, 0.02)), key=sum)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "wsn" else [pytest.mark.slow]) for name in NEW]
)
def test_method_beats_fine_tuning(name, permuted, fine_tuning):
    ours = three_seeds(name, permuted, RATES.get(name, 0.005))
    assert sum(ours) / 3 > sum(fine_tuning) / 3 + 0.03
    assert all(mine > naive for mine, naive in zip(ours, fine_tuning, strict=True))


# ---------------------------------------------------------------------- old tasks


def pictures(benchmark, position):
    dataset = benchmark.test_stream[position].dataset.eval()
    return torch.stack([x for x, *_ in dataset])


@torch.no_grad()
def logits(model, benchmark, labels):
    """Of some tasks on their own test images: in one batch, in a small one, mixed with others."""
    model.eval()
    order = list(benchmark.info.task_order)
    found = []
    for label in labels:
        x = pictures(benchmark, order.index(label))
        found += [model(x, label), model(x[:5], label)]
    x = pictures(benchmark, 0)[:8]
    found.append(model(x, torch.tensor(labels * 4)))
    return found


@pytest.mark.parametrize("model", [pytest.param("mlp", marks=pytest.mark.slow), "wide-lenet"])
@pytest.mark.parametrize("name", NEVER_FORGET)
def test_old_tasks_answer_with_the_same_bits_after_later_ones(name, model):
    benchmark = split_digits(n_experiences=4, scenario="task", order=[2, 0, 3, 1], fraction=0.2)
    learner = strategy(name, network(benchmark, model))
    learner.train(benchmark.train_stream[:2])
    before = logits(learner.model, benchmark, [2, 0])
    learner.train(benchmark.train_stream[2:])
    after = logits(learner.model, benchmark, [2, 0])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(not p.requires_grad for p in learner.model.parameters())
    assert learner.optimizer.param_groups[0]["params"] == [] and not learner.optimizer.state


# ---------------------------------------------------------------------- models and streams


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", [*COMPARED, "ibp-wf"])
def test_method_trains_on_every_model(name, model):
    size = 32 if model in ("lenet", "small-alexnet", "reduced-resnet18") else 8
    benchmark = split_digits(n_experiences=2, scenario="task", fraction=0.05)
    if size == 32:
        benchmark = registry("benchmarks")["task-fashion-mnist"].load()(fraction=0.002)
    learner = strategy(name, network(benchmark, model))
    stream = benchmark.train_stream[:2]
    learner.train(list(stream) if name == "joint" else stream)
    assert 0 <= average(learner, benchmark.test_stream[:2]) <= 1


@pytest.mark.parametrize("name", NEW)
def test_streams_without_a_task_label_per_experience_are_refused(name):
    benchmark = split_digits(n_experiences=2, scenario="class", fraction=0.1)
    learner = strategy(name, network(benchmark))
    with pytest.raises(UserError, match="task label 0 was already learned.*task-incremental"):
        learner.train(benchmark.train_stream)


@pytest.mark.parametrize("name", NEVER_FORGET)
def test_models_without_heads_and_optimizers_with_groups_are_refused(name):
    benchmark = split_digits(n_experiences=2, scenario="task", fraction=0.1)
    with pytest.raises(UserError, match="multi-head"):
        strategy(name, torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Linear(8, 2)))
    model = network(benchmark)
    groups = [{"params": [p]} for p in model.parameters()]
    with pytest.raises(
        UserError, match=f"4 groups.*{type(strategy(name, network(benchmark)).model).method}"
    ):
        registry("strategies")[name].load()(model=model, optimizer=torch.optim.SGD(groups, lr=0.1))


# ---------------------------------------------------------------------- bytes of a run


def recorded(name, out, **options):
    tables = {
        "benchmark": {
            "name": "split-digits",
            "n_experiences": 3,
            "scenario": "task",
            "fraction": 0.1,
        },
        "model": {"name": "mlp", "hidden": [32, 16]},
        "strategy": {"name": name, **options},
    }
    record = run(ExperimentConfig.from_dict(tables), out)
    assert record.status == "finished", record.error
    return list(record.bytes["parameters"]), list(record.bytes["method_state"])


SHARED = (64 * 32 + 32 + 32 * 16 + 16) * 4
HEADS = [(16 * n + n) * 4 for n in (4, 3, 3)]  # ten classes in three tasks
NORMS = (32 + 16) * 4 * 4 + 2 * 8  # scale, shift, mean and variance; batches counted
FAST = (64 + 32 + 32 + 32 + 16 + 16) * 4  # two vectors and a bias for each layer
MASKS = (64 * 32 + 32 * 16) // 8 + (32 + 16) * 4  # a bit for each weight, and biases
BIASES = (32 + 16) * 4


def sums(first, each):
    return [first + sum(each[: n + 1]) for n in range(3)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("naive", sums(SHARED, HEADS)),
        ("l2", sums(SHARED, HEADS)),
        ("ewc", sums(SHARED, HEADS)),
        ("gpm", sums(SHARED, HEADS)),
        ("batch-norm", sums(SHARED, [head + NORMS for head in HEADS])),
        ("batch-ensemble", sums(SHARED - BIASES, [head + FAST for head in HEADS])),
        ("wsn", sums(SHARED - BIASES, [head + MASKS for head in HEADS])),
    ],
)
def test_bytes_of_the_model_grow_by_what_a_task_stores(name, expected, tmp_path):
    given, _ = recorded(name, tmp_path)
    plan = [given[n] - expected[n] for n in range(3)]  # which tasks there are, as text
    assert all(0 <= rest < 300 for rest in plan)
    assert plan == [0, 0, 0] or name in NEVER_FORGET


def test_bytes_of_the_method_are_what_it_keeps_besides_the_model(tmp_path):
    state = {name: recorded(name, tmp_path)[1] for name in COMPARED}
    model = sums(SHARED, HEADS)
    assert state["naive"] == state["batch-norm"] == state["batch-ensemble"] == [0, 0, 0]
    assert state["halrp"] == [0, 0, 0] and state["joint"] == [0]
    assert state["l2"] == state["ewc"] == [2 * size for size in model]
    others = [SHARED + head for head in HEADS]  # the initial network has no head
    assert state["single-task"] == [SHARED + sum(others[:n]) for n in range(3)]
    assert state["wsn"] == [(64 * 32 + 32 * 16) * 4] * 3
    assert recorded("wsn", tmp_path, fresh_scores=True)[1] == [0, 0, 0]
    first, second, third = state["gpm"]
    widths = (64 + 32) * 4  # a direction in each layer
    assert 0 < first < second <= third <= (64**2 + 32**2) * 4 and first >= widths
