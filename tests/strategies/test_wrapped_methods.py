"""Each method does its job, and what Avalanche gets wrong stays repaired."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.supervised.joint_training import AlreadyTrainedError
from torch import nn

from cl_strategies.models.heads import SingleHeadModel
from cl_strategies.plugins.classes.class_order import ABSENT
from cl_strategies.registry import registry


def stream(scenario: str = "class", **options: Any) -> Any:
    factory = registry("benchmarks")["split-digits"].load()
    return factory(**{"n_experiences": 3, "scenario": scenario, "fraction": 0.2, **options})


def mlp(info: Any, **options: Any) -> nn.Module:
    return registry("models")["mlp"].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        hidden=[16],
        **options,
    )


class BatchNormNet(SingleHeadModel):
    """Batch statistics and dropout: what differs between training and evaluation mode."""

    def __init__(self) -> None:
        backbone = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5)
        )
        super().__init__(backbone, nn.Linear(16, 10))


def build(name: str, model: nn.Module, *plugins: SupervisedPlugin, **options: Any) -> Any:
    template = {"train_mb_size": 16, "train_epochs": 1, **options}
    return registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        plugins=plugins,
        **template,
    )


class Recorder(SupervisedPlugin):
    """Keeps, per experience, what passed through training: classes, tasks, modes, losses."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: list[list[int]] = []
        self.sizes: list[list[int]] = []
        self.modes: list[set[bool]] = []
        self.penalties: list[list[float]] = []
        self.start: list[dict[str, torch.Tensor]] = []

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        for record in (self.labels, self.sizes, self.penalties):
            record.append([])
        self.modes.append(set())
        self.start.append(copy.deepcopy(strategy.model.state_dict()))

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.labels[-1] += strategy.mb_y.tolist()
        self.sizes[-1].append(len(strategy.mb_y))
        self.modes[-1].add(strategy.model.training)
        # This plugin runs after the method's, so that the loss holds the penalty already.
        task_loss = nn.functional.cross_entropy(strategy.mb_output, strategy.mb_y)
        self.penalties[-1].append((strategy.loss - task_loss).abs().item())


def train(strategy: Any, benchmark: Any, experiences: int = 3) -> Any:
    for experience in benchmark.train_stream[:experiences]:
        strategy.train(experience)
    return strategy


def accuracy(strategy: Any, experience: Any) -> float:
    hits = []

    class Hits(SupervisedPlugin):
        def after_eval_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            hits.extend((strategy.mb_output.argmax(1) == strategy.mb_y).tolist())

    counter = Hits()
    strategy.plugins.append(counter)
    strategy.eval(experience)
    strategy.plugins.remove(counter)
    return sum(hits) / len(hits)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rwalk", {"strength": 1.0, "delta_t": 2}),
        ("lwf", {"alpha": 1.0}),
    ],
)
@pytest.mark.parametrize("scenario", ["class", "task"])
def test_a_regularizer_adds_to_the_loss_from_the_second_experience_on(name, options, scenario):
    benchmark = stream(scenario)
    recorder = Recorder()
    train(build(name, mlp(benchmark.info), recorder, **options), benchmark)
    assert max(recorder.penalties[0]) < 1e-6
    assert max(recorder.penalties[1]) > 1e-5
    assert max(recorder.penalties[2]) > 1e-5


@pytest.mark.parametrize(
    ("name", "options"),
    [("ewc", {"strength": 1e3}), ("mas", {"strength": 3.0}), ("rwalk", {"strength": 5.0})],
)
def test_a_penalty_keeps_the_parameters_nearer_to_the_last_task(name, options):
    benchmark = stream("domain", n_experiences=5, fraction=0.5)
    distances = []
    for strength in (0.0, 1.0):
        torch.manual_seed(0)
        scaled = {key: value * strength for key, value in options.items()}
        strategy = train(build(name, mlp(benchmark.info), **scaled), benchmark, 1)
        before = nn.utils.parameters_to_vector(strategy.model.parameters()).detach()
        strategy.train(benchmark.train_stream[1])
        after = nn.utils.parameters_to_vector(strategy.model.parameters()).detach()
        distances.append((after - before).norm().item())
    assert distances[1] < 0.9 * distances[0]


def test_mas_estimates_importances_without_touching_batch_statistics():
    benchmark = stream()
    strategy = build("mas", BatchNormNet())
    plugin = strategy.plugin
    train(strategy, benchmark, 1)
    strategy.experience = benchmark.train_stream[0]
    before = copy.deepcopy(strategy.model.state_dict())

    first, second = plugin.estimate(strategy), plugin.estimate(strategy)

    after = strategy.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert strategy.model.training


def test_mas_accepts_a_loss_of_exactly_zero():
    benchmark = stream()
    strategy = build("mas", mlp(benchmark.info), criterion=lambda output, y: output.sum() * 0.0)
    train(strategy, benchmark)
    assert strategy.clock.train_exp_counter == 3


def test_rwalk_trains_in_training_mode():
    benchmark = stream()
    recorder = Recorder()
    model = BatchNormNet()
    train(build("rwalk", model, recorder), benchmark)
    assert recorder.modes == [{True}] * 3
    assert model.backbone[2].num_batches_tracked > 0


def test_rwalk_without_a_single_score_stays_finite():
    benchmark = stream()
    strategy = train(build("rwalk", mlp(benchmark.info), delta_t=1000), benchmark)
    assert all(parameter.isfinite().all() for parameter in strategy.model.parameters())
    assert all(value.data.isfinite().all() for value in strategy.plugins[0].exp_penalties.values())


def test_rwalk_protects_heads_that_came_later():
    benchmark = stream("task")
    strategy = train(build("rwalk", mlp(benchmark.info), delta_t=2), benchmark)
    assert strategy.plugins[0].exp_penalties["head.heads.2.classifier.weight"].data.max() > 0


def test_the_teacher_of_lwf_is_frozen_and_in_evaluation_mode():
    benchmark = stream()
    strategy = train(build("lwf", BatchNormNet()), benchmark, 1)
    teacher = strategy.plugins[0].lwf.prev_model
    before = copy.deepcopy(teacher.state_dict())

    train(strategy, benchmark, 0)
    strategy.train(benchmark.train_stream[1])

    after = strategy.plugins[0].lwf.prev_model
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    assert after is not teacher


@pytest.mark.parametrize("storage", ["experience", "class", "reservoir"])
def test_replay_joins_old_classes_to_each_batch(storage):
    benchmark = stream()
    recorder = Recorder()
    strategy = build(
        "replay", mlp(benchmark.info), recorder, mem_size=40, batch_size_mem=8, storage=storage
    )
    train(strategy, benchmark, 2)
    old, new = (set(e.classes_in_this_experience) for e in benchmark.train_stream[:2])
    assert set(recorder.labels[0]) == old
    assert set(recorder.labels[1]) == old | new
    assert max(recorder.sizes[1]) == 16 + 8
    assert len(strategy.plugins[0].storage_policy.buffer) == 40


def test_replay_accepts_persistent_workers_without_workers():
    benchmark = stream()
    strategy = build("replay", mlp(benchmark.info), mem_size=20)
    for experience in benchmark.train_stream:
        strategy.train(experience, persistent_workers=True, num_workers=0)
    assert strategy.clock.train_exp_counter == 3


class Gradients(SupervisedPlugin):
    """The gradient that reaches the optimizer against the reference gradient of A-GEM."""

    def __init__(self) -> None:
        super().__init__()
        self.angles: list[float] = []
        self.references: list[int] = []

    def after_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        reference = strategy.plugins[0].reference_gradients
        if reference.numel():
            gradient = torch.cat([p.grad.flatten() for p in strategy.model.parameters()])
            self.angles.append(nn.functional.cosine_similarity(gradient, reference, dim=0).item())


def test_agem_never_lets_a_gradient_raise_the_loss_on_the_memory():
    benchmark = stream("domain", n_experiences=5)
    projected = Gradients()
    strategy = build("agem", mlp(benchmark.info), projected, patterns_per_experience=20)
    train(strategy, benchmark, 5)
    assert len(projected.angles) > 10
    assert min(projected.angles) > -1e-4
    assert sum(abs(angle) < 1e-4 for angle in projected.angles) > 0  # some were projected


@pytest.mark.parametrize(
    ("sample_size", "per_experience", "drawn"), [(1, 5, {1}), (2, 5, {1, 2}), (64, 3, {3, 6})]
)
def test_agem_draws_from_any_memory(sample_size, per_experience, drawn):
    benchmark = stream(n_experiences=3)
    draws: list[int] = []

    strategy = build(
        "agem",
        mlp(benchmark.info),
        sample_size=sample_size,
        patterns_per_experience=per_experience,
    )
    plugin = strategy.plugins[0]
    sample = plugin.sample_from_memory

    def counted() -> Any:
        batch = sample()
        draws.append(len(batch[0]))
        return batch

    plugin.sample_from_memory = counted
    train(strategy, benchmark)
    assert set(draws) == drawn


def test_gdumb_trains_from_its_first_weights_on_its_memory_alone():
    benchmark = stream()
    recorder = Recorder()
    model = mlp(benchmark.info)
    initial = copy.deepcopy(model.state_dict())
    train(build("gdumb", model, recorder, mem_size=20), benchmark)
    assert [sum(sizes) for sizes in recorder.sizes] == [20, 20, 20]
    assert set(recorder.labels[2]) == set(range(10))
    for start in recorder.start:
        assert all(torch.equal(start[key], initial[key]) for key in initial)


def test_evaluating_future_experiences_does_not_grow_the_model_of_gdumb():
    benchmark = stream()
    strategy = build("gdumb", mlp(benchmark.info, head="growing"), mem_size=20)
    strategy.train(benchmark.train_stream[0])
    strategy.eval(benchmark.test_stream)
    strategy.train(benchmark.train_stream[1])
    seen = benchmark.train_stream[1].classes_seen_so_far
    assert strategy.model.head.out_features == max(seen) + 1


class MemoryTerms(SupervisedPlugin):
    """The logits that DER replays and those it is compared with."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        stored = strategy._replayed_logits
        if stored is not None:
            self.pairs.append((stored, strategy.mb_output.detach()[: len(stored)]))


@pytest.mark.parametrize("scenario", ["class", "task"])
def test_dark_replay_stores_logits_even_of_a_head_that_was_smaller(scenario):
    benchmark = stream(scenario)
    terms = MemoryTerms()
    options = {"head": "growing"} if scenario == "class" else {}
    strategy = build("dark-er", mlp(benchmark.info, **options), terms, mem_size=30)
    train(strategy, benchmark)
    stored, now = terms.pairs[-1]
    if scenario == "class":
        assert (stored <= ABSENT).any() and (stored[:, :4] > ABSENT).all()
        assert now.shape[1] == 10
    buffer = strategy.storage_policy.buffer
    assert len(buffer) == 30 and len(buffer[0]) == 4


def test_dark_replay_uses_a_memory_smaller_than_its_batch():
    benchmark = stream()
    terms = MemoryTerms()
    train(build("dark-er", mlp(benchmark.info), terms, mem_size=6, batch_size_mem=16), benchmark)
    assert {len(stored) for stored, _ in terms.pairs} == {6}


def test_dark_replay_uses_the_criterion_of_the_strategy():
    benchmark = stream()
    calls: list[int] = []

    def criterion(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        calls.append(len(y))
        return nn.functional.cross_entropy(output, y)

    strategy = build("dark-er", mlp(benchmark.info), criterion=criterion, mem_size=6)
    train(strategy, benchmark, 2)
    assert calls[-2:].count(6) == 1  # the current samples and the replayed ones, each by itself


def test_joint_training_sees_the_whole_stream_once():
    benchmark = stream()
    recorder = Recorder()
    strategy = build("joint", mlp(benchmark.info), recorder)
    strategy.train(list(benchmark.train_stream))
    total = sum(len(experience.dataset) for experience in benchmark.train_stream)
    assert len(recorder.labels[0]) == total and set(recorder.labels[0]) == set(range(10))
    assert strategy.trains_jointly and strategy.adapted_dataset is None
    with pytest.raises(AlreadyTrainedError):
        strategy.train(list(benchmark.train_stream))


def test_joint_training_gives_each_task_the_head_it_needs():
    benchmark = stream("task")
    strategy = build("joint", mlp(benchmark.info))
    strategy.train(list(benchmark.train_stream))
    heads = strategy.model.head.heads
    assert {task: head.out_features for task, head in heads.items()} == {"0": 4, "1": 3, "2": 3}


def test_cumulative_training_sees_everything_so_far():
    benchmark = stream()
    recorder = Recorder()
    train(build("cumulative", mlp(benchmark.info), recorder), benchmark)
    sizes = [len(experience.dataset) for experience in benchmark.train_stream]
    assert [len(labels) for labels in recorder.labels] == [sum(sizes[: k + 1]) for k in range(3)]


@pytest.mark.parametrize("scenario", ["class", "task"])
def test_single_task_trains_fresh_copies_and_evaluates_the_right_one(scenario):
    benchmark = stream(scenario, fraction=1.0)
    recorder = Recorder()
    model = mlp(benchmark.info)
    initial = copy.deepcopy(model.state_dict())
    strategy = train(build("single-task", model, recorder, train_epochs=5), benchmark)
    for start in recorder.start:
        assert all(torch.equal(start[key], value) for key, value in initial.items())
    latest = strategy.model
    assert all(accuracy(strategy, experience) > 0.9 for experience in benchmark.test_stream)
    assert strategy.model is latest and latest.training
    assert len({id(kept) for kept in strategy.models.values()}) == 3
    if scenario == "task":
        assert [list(kept.head.heads) for kept in strategy.models.values()] == [["0"], ["1"], ["2"]]


def test_single_task_starts_each_model_with_a_fresh_optimizer():
    benchmark = stream("task")
    strategy = train(build("single-task", mlp(benchmark.info)), benchmark)
    held = {id(p) for group in strategy.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in strategy.model.parameters()}
    assert {id(p) for p in strategy.optimizer.state} == held


def test_single_task_evaluates_an_unseen_experience_with_the_latest_model():
    benchmark = stream()
    strategy = train(build("single-task", mlp(benchmark.info)), benchmark, 2)
    assert accuracy(strategy, benchmark.test_stream[2]) < 0.5
    assert strategy.model is strategy.models[1]
