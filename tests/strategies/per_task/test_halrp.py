"""HALRP in an Avalanche script: effect, stages, optimizer, resuming, refusals."""

import io

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
from cl_strategies.experiment.state.capture import capture_state, restore_state, state_bytes
from cl_strategies.models.backbones.lenet import wide_lenet
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.low_rank.algorithm import LowRankPerturbation
from cl_strategies.strategies.halrp import HALRP
from cl_strategies.strategies.naive import Naive
from cl_strategies.strategies.single_task import SingleTask


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.3)


@pytest.fixture(scope="module")
def permuted():
    return permuted_digits(n_experiences=4, scenario="task", fraction=0.5)


def network(benchmark, hidden=(24, 16)):
    info = benchmark.info
    return mlp(
        input_shape=info.input_shape, n_classes=info.n_classes, scenario="task", hidden=hidden
    )


def strategy(kind, model, *, lr=0.01, epochs=2, plugins=(), optimizer=torch.optim.Adam, **options):
    return kind(
        model=model,
        optimizer=optimizer(model.parameters(), lr=lr),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
        **options,
    )


def accuracies(learner, stream):
    results = learner.eval(stream)
    return [value for name, value in sorted(results.items()) if "Top1_Acc_Exp" in name]


def logits(model, benchmark):
    """Of each learned task on its own test images."""
    model.eval()
    with torch.no_grad():
        return {
            task.label: model(
                torch.stack([x for x, *_ in benchmark.test_stream[position].dataset.eval()]),
                task.label,
            )
            for position, task in enumerate(model.tasks)
        }


class Watch(SupervisedPlugin):
    """What is trained in each epoch."""

    def __init__(self):
        super().__init__()
        self.held, self.moments, self.warming_up, self.rates = [], [], [], []

    def before_training_epoch(self, strategy, **kwargs):
        group = strategy.optimizer.param_groups[0]
        names = {id(p): name for name, p in strategy.model.named_parameters()}
        self.held.append([names[id(p)] for p in group["params"]])
        self.moments.append(len(strategy.optimizer.state))
        self.warming_up.append(strategy.model.warming_up)
        self.rates.append(group["lr"])
        group["lr"] /= 2


# ---------------------------------------------------------------------- effect


@pytest.mark.slow
def test_halrp_beats_fine_tuning_and_stays_near_single_task_training(permuted):
    results = {}
    for kind in (Naive, SingleTask, HALRP):
        results[kind] = []
        for seed in range(3):
            torch.manual_seed(seed)
            options = {"max_growth": 0.15} if kind is HALRP else {}  # heads alone take 0.05 here
            learner = strategy(kind, network(permuted, (128, 128)), lr=5e-3, epochs=6, **options)
            learner.train(permuted.train_stream)
            results[kind].append(sum(accuracies(learner, permuted.test_stream)) / 4)
    naive, single, ours = (sum(values) / 3 for values in results.values())
    assert ours > naive + 0.05
    assert ours > single - 0.07
    assert all(a > b for a, b in zip(results[HALRP], results[Naive], strict=True))


@pytest.mark.slow
def test_halrp_is_within_two_points_of_single_task_training_at_30_percent_growth():
    benchmark = split_digits(scenario="task")
    gaps = []
    for seed in range(5):
        seed_everything(seed)
        single = strategy(SingleTask, network(benchmark, (256, 256)), lr=1e-3, epochs=20)
        single.train(benchmark.train_stream)
        seed_everything(seed)
        ours = strategy(HALRP, network(benchmark, (256, 256)), lr=1e-3, epochs=20, max_growth=0.07)
        ours.train(benchmark.train_stream)
        assert ours.model.growth() < 0.3
        gaps.append(
            sum(accuracies(single, benchmark.test_stream))
            - sum(accuracies(ours, benchmark.test_stream))
        )
    assert sum(gaps) / 5 / 5 < 0.02


@pytest.mark.slow
def test_random_components_are_worse_than_those_chosen_at_the_same_size(permuted):
    means = {}
    for selection in ("hessian", "random"):
        values = []
        for seed in range(5):
            seed_everything(seed)
            learner = strategy(
                HALRP,
                network(permuted, (256, 256)),
                lr=1e-3,
                epochs=5,
                selection=selection,
                max_growth=0.07,
            )
            learner.train(permuted.train_stream)
            values.append(sum(accuracies(learner, permuted.test_stream)) / 4)
        means[selection] = sum(values) / 5
    assert means["hessian"] > means["random"] + 0.01


@pytest.mark.slow
def test_size_falls_with_alpha_and_accuracy_falls_slowly(permuted):
    sizes, means = [], []
    for alpha in (0.95, 0.75, 0.45):
        values, stored = [], []
        for seed in range(5):
            seed_everything(seed)
            learner = strategy(HALRP, network(permuted, (256, 256)), lr=1e-3, epochs=5, alpha=alpha)
            learner.train(permuted.train_stream)
            values.append(sum(accuracies(learner, permuted.test_stream)) / 4)
            stored.append(learner.model.growth())
        sizes.append(sum(stored) / 5)
        means.append(sum(values) / 5)
    assert sizes[0] > 1.2 * sizes[1] > 1.2 * sizes[2]
    assert means[0] > means[2] > means[0] - 0.08


def test_old_tasks_answer_with_the_same_bits_after_new_ones(split):
    learner = strategy(HALRP, network(split))
    learner.train(split.train_stream[0])
    first = logits(learner.model, split)
    learner.train(split.train_stream[1])
    second = logits(learner.model, split)
    learner.train(split.train_stream[2])
    third = logits(learner.model, split)
    assert list(third) == [2, 0, 1]
    assert torch.equal(second[2], first[2]) and torch.equal(third[2], first[2])
    assert torch.equal(third[0], second[0])


def test_pruning_of_old_tasks_changes_their_answers(split):
    learner = strategy(HALRP, network(split), pruning="none")
    learner.train(split.train_stream[:2])
    before = logits(learner.model, split)
    learner.algorithm = LowRankPerturbation(pruning="percentile", gamma=0.1, prune_old_tasks=True)
    learner.train(split.train_stream[2])
    after = logits(learner.model, split)
    assert torch.equal(after[2], before[2])
    assert not torch.equal(after[0], before[0])


# ---------------------------------------------------------------------- stages


def test_optimizer_holds_what_each_phase_trains_with_fresh_moments_and_rate(split):
    watch = Watch()
    learner = strategy(HALRP, network(split), epochs=3, warmup_epochs=2, plugins=[watch])
    learner.train(split.train_stream[:2])
    base = "network.backbone.{}.{}"
    first, warm, fine = watch.held[0], watch.held[3], watch.held[5]
    head = "network.head.heads.{}.classifier.{}"
    assert set(first) == {
        *(base.format(i, n) for i in (1, 3) for n in ("weight", "bias")),
        *(head.format(2, n) for n in ("weight", "bias")),
    }
    own = {head.format(0, n) for n in ("weight", "bias")}
    assert set(warm) == own | {
        base.format(i, f"tasks.0.{n}") for i in (1, 3) for n in ("weight", "bias")
    }
    parts = ("row", "column", "left", "right", "bias")
    assert set(fine) == own | {base.format(i, f"tasks.0.{n}") for i in (1, 3) for n in parts}
    assert watch.warming_up == [False, False, False, True, True, False]
    assert [count > 0 for count in watch.moments] == [False, True, True, False, True, False]
    assert watch.rates == [0.01, 0.005, 0.0025, 0.01, 0.005, 0.01]
    assert learner.optimizer.param_groups[0]["params"] == []
    assert not learner.optimizer.state


def test_every_part_of_a_task_is_fine_tuned_and_nothing_else(split):
    class Snapshots(SupervisedPlugin):
        def __init__(self):
            super().__init__()
            self.states = []

        def before_training_epoch(self, strategy, **kwargs):
            self.states.append({k: v.clone() for k, v in strategy.model.state_dict().items()})

    model = wide_lenet(
        input_shape=(1, 8, 8), n_classes=4, scenario="task", channels=(3, 4), hidden=(8, 6)
    )
    snapshots = Snapshots()
    learner = strategy(HALRP, model, plugins=[snapshots], alpha=1.0)
    learner.train(split.train_stream[:2])
    before, after = snapshots.states[3], learner.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    own = {
        name
        for name in after
        if ".tasks.0." in name or ".heads.0.classifier." in name or name == "_extra_state"
    }
    assert changed == own


def test_training_that_stops_in_the_warm_up_is_decomposed_all_the_same(split):
    class Stop(SupervisedPlugin):
        def after_training_epoch(self, strategy, **kwargs):
            strategy.stop_training()

    learner = strategy(HALRP, network(split), epochs=4, warmup_epochs=3, plugins=[Stop()])
    learner.train(split.train_stream)
    assert learner.model.current is None
    assert all(size.free == 0 for size in learner.model.sizes().values())


def test_evaluation_during_training_and_of_tasks_to_come_changes_nothing(split):
    class SameDraws(SupervisedPlugin):
        """Data loaders draw from the global generator, in evaluation too."""

        def before_eval(self, strategy, **kwargs):
            self.generator = torch.random.get_rng_state()

        def after_eval(self, strategy, **kwargs):
            torch.random.set_rng_state(self.generator)

    outputs, sizes = [], []
    for eval_every in (-1, 1):
        seed_everything(0)
        learner = strategy(HALRP, network(split), eval_every=eval_every, plugins=[SameDraws()])
        for experience in split.train_stream:
            learner.train(experience, eval_streams=[split.test_stream])
        outputs.append(logits(learner.model, split))
        sizes.append(learner.model.growth())
    assert all(torch.equal(outputs[0][label], outputs[1][label]) for label in (2, 0, 1))
    assert sizes[0] == sizes[1]


def test_data_path_of_avalanche_gives_the_same_ranks(split):
    structures = []
    for resident in (True, False):
        seed_everything(0)
        model = network(split)
        plugins = [ResidentDataPlugin()] if resident else []
        learner = HALRP(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            train_mb_size=32,
            train_epochs=2,
            plugins=plugins,
        )
        learner.train(split.train_stream)
        assert all(plugin in learner.plugins for plugin in plugins)
        structures.append(learner.model.structure())
    assert structures[0] == structures[1]


def test_loss_is_the_criterion_and_may_be_another(split):
    seen = []

    def criterion(output, target):
        seen.append(len(target))
        return F.cross_entropy(output, target, label_smoothing=0.1)

    learner = strategy(HALRP, network(split), criterion=criterion)
    learner.train(split.train_stream[:2])
    lengths = [len(experience.dataset) for experience in split.train_stream[:2]]
    assert sum(seen) == 2 * lengths[0] + 3 * lengths[1]  # once more for the importance


# ---------------------------------------------------------------------- resuming


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_interrupted_run_ends_with_the_same_bits(split, optimizer):
    def learn(learner, positions):
        for position in positions:
            seed_everything(position)
            learner.train(split.train_stream[position])
            learner.eval(split.test_stream[: position + 1])

    def build():
        seed_everything(7)
        return strategy(HALRP, network(split), optimizer=optimizer, max_growth=0.3)

    whole = build()
    learn(whole, range(3))
    for own_state in (True, False):
        first = build()
        learn(first, range(2))
        file = io.BytesIO()
        torch.save(first.state_dict() if own_state else capture_state(first), file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
        second = build()
        if own_state:
            second.load_state_dict(state)
        else:
            restore_state(second, state, experiences_seen=list(split.train_stream[:2]))
        learn(second, [2])
        expected = whole.model.state_dict()
        assert second.model.state_dict().keys() == expected.keys()
        for name, value in second.model.state_dict().items():
            assert torch.equal(value, expected[name]), name


def test_method_keeps_nothing_besides_the_model(split):
    learner = strategy(HALRP, network(split))
    learner.train(split.train_stream[:2])
    assert state_bytes(learner) == 0


# ---------------------------------------------------------------------- refusals


def test_streams_without_a_task_label_per_experience_are_refused():
    benchmark = split_digits(n_experiences=2, scenario="class", fraction=0.1)
    learner = strategy(HALRP, network(benchmark))
    with pytest.raises(UserError, match="task label 0 was already learned"):
        learner.train(benchmark.train_stream)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup_epochs": 0}, "warmup_epochs is 0"),
        ({"warmup_epochs": 3}, "warmup_epochs is 3 of 2"),
        ({"alpha": -0.1}, "alpha"),
        ({"pruning": "all"}, "pruning"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(split, options, message):
    with pytest.raises(UserError, match=message):
        strategy(HALRP, network(split), **options)


def test_model_and_optimizer_that_do_not_fit_are_refused(split):
    with pytest.raises(UserError, match="multi-head"):
        strategy(HALRP, nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 2)))
    model = network(split)
    groups = [{"params": [p]} for p in model.parameters()]
    with pytest.raises(UserError, match="4 groups"):
        HALRP(model=model, optimizer=torch.optim.SGD(groups, lr=0.1), train_mb_size=8)
