"""A run that was interrupted, saved and resumed ends where an uninterrupted one ends."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
import small
import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import MTSimpleMLP, SimpleMLP, as_multitask
from avalanche.training.plugins import EvaluationPlugin, LRSchedulerPlugin, ReplayPlugin
from avalanche.training.templates import SupervisedTemplate

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state, state_bytes
from cl_strategies.experiment.state.comparison import differences
from cl_strategies.registry import registry

NAMES = {
    scenario: [entry.name for entry in registry("strategies") if scenario in entry.scenarios]
    for scenario in ("class", "task")
}
FEW = ["naive", "ewc", "gdumb", "dark-er", "alasso", "single-task"]
#: Resumed with one head, too.
LONGER = {*NAMES["class"]} - {*FEW, "replay", "lwf", "si", "batch-norm"}

#: Classes in a shuffled order, so that a growing head does not grow evenly.
STREAM = {"n_experiences": 3, "fraction": 0.1, "class_order": 5}


def stream(scenario: str = "class", **options: Any) -> Any:
    return registry("benchmarks")["split-digits"].load()(
        **{**STREAM, "scenario": scenario, **options}
    )


def seed(value: int) -> None:
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def optimizer(kind: str, model: torch.nn.Module) -> torch.optim.Optimizer:
    if kind == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return torch.optim.Adam(model.parameters(), lr=1e-2)


def build(name: str, info: Any, *, optim: str = "adam", head: str = "auto", **more: Any) -> Any:
    seed(7)
    model = small.model(name, info, head=head)
    return registry("strategies")[name].load()(
        model=model,
        optimizer=optimizer(optim, model),
        train_mb_size=16,
        train_epochs=1,
        evaluator=EvaluationPlugin(loggers=[]),
        **small.options(name, info.input_shape, **more),
    )


def experience(strategy: Any, benchmark: Any, position: int) -> None:
    """One experience as the engine does it: seeded, trained, evaluated on what was seen."""
    seed(100 + position)
    joint = getattr(strategy, "trains_jointly", False)
    train = benchmark.train_stream
    strategy.train(list(train) if joint else train[position])
    strategy.eval(benchmark.test_stream[: position + 1])


def saved(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def check_resume(make: Any, benchmark: Any) -> tuple[Any, Any]:
    """Three experiences, and the third again from what was kept after the second (joint: none)."""
    whole, second = make(), make()
    positions = [2] if getattr(whole, "trains_jointly", False) else [0, 1, 2]
    split = min(2, len(positions))
    for position in positions[:split]:
        experience(whole, benchmark, position)
    state = saved(capture_state(whole))
    seen = benchmark.train_stream[: positions[split - 1] + 1]
    restore_state(second, state, experiences_seen=list(seen))
    assert differences(state, saved(capture_state(second))) == []
    assert state_bytes(second) == state_bytes(whole)
    for position in positions[split:]:
        experience(whole, benchmark, position)
        experience(second, benchmark, position)
    assert differences(capture_state(whole), capture_state(second)) == []
    return whole, second


@pytest.mark.parametrize("head", ["auto", pytest.param("growing", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES["class"])
def test_a_class_incremental_run_resumes_bit_for_bit(name, head):
    benchmark = stream("class")
    check_resume(lambda: build(name, benchmark.info, head=head), benchmark)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in LONGER else ())
        for name in NAMES["task"]
    ],
)
def test_a_task_incremental_run_resumes_bit_for_bit(name):
    benchmark = stream("task", order=[2, 0, 1])
    whole, resumed = check_resume(lambda: build(name, benchmark.info), benchmark)
    x = torch.randn(9, *benchmark.info.input_shape)
    labels = torch.tensor(list(benchmark.info.task_order[-1:]) * 9)
    assert torch.equal(whole.model.eval()(x, labels), resumed.model.eval()(x, labels))


@pytest.mark.parametrize("name", FEW)
def test_momentum_is_resumed_bit_for_bit(name):
    benchmark = stream("class")
    whole, _ = check_resume(
        lambda: build(name, benchmark.info, optim="sgd", head="growing"), benchmark
    )
    assert all("momentum_buffer" in value for value in whole.optimizer.state.values())


def test_ewc_in_online_mode_resumes_bit_for_bit():
    benchmark = stream("task")
    check_resume(lambda: build("ewc", benchmark.info, mode="online"), benchmark)


@pytest.mark.parametrize("storage", ["class", "reservoir"])
def test_every_storage_of_replay_resumes_bit_for_bit(storage):
    benchmark = stream("class")
    check_resume(lambda: build("replay", benchmark.info, storage=storage), benchmark)


def test_a_domain_incremental_run_resumes_bit_for_bit():
    benchmark = stream("domain", n_experiences=5)
    check_resume(lambda: build("dark-er", benchmark.info), benchmark)


@pytest.mark.parametrize(
    "model",
    [
        lambda: as_multitask(SimpleMLP(input_size=64, hidden_size=8), "classifier"),
        lambda: MTSimpleMLP(input_size=64, hidden_size=8),
    ],
)
def test_avalanche_models_and_plugins_resume_bit_for_bit(model):
    benchmark = stream("task")

    def make() -> Any:
        seed(7)
        network = model()
        optim = optimizer("sgd", network)
        schedule = LRSchedulerPlugin(
            torch.optim.lr_scheduler.StepLR(optim, step_size=1, gamma=0.5), reset_lr=False
        )
        return SupervisedTemplate(
            model=network,
            optimizer=optim,
            train_mb_size=16,
            plugins=[ReplayPlugin(mem_size=30), schedule],
            evaluator=EvaluationPlugin(loggers=[]),
        )

    whole, _ = check_resume(make, benchmark)
    assert whole.optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * 0.5**3)


def test_groups_of_parameters_keep_their_options():
    benchmark = stream("class")

    def make() -> Any:
        strategy = build("naive", benchmark.info)
        model = strategy.model
        strategy.optimizer = torch.optim.AdamW(
            [
                {"params": list(model.backbone.parameters()), "lr": 1e-2},
                {"params": list(model.head.parameters()), "lr": 1e-3, "betas": (0.8, 0.9)},
            ]
        )
        return strategy

    whole, _ = check_resume(make, benchmark)
    assert [group["lr"] for group in whole.optimizer.param_groups] == [1e-2, 1e-3]


def test_restoring_draws_no_random_number():
    benchmark = stream("task")
    strategy = build("lwf", benchmark.info)
    experience(strategy, benchmark, 0)
    fresh = build("lwf", benchmark.info)
    before = torch.get_rng_state()
    restore_state(fresh, capture_state(strategy), experiences_seen=[benchmark.train_stream[0]])
    assert torch.equal(before, torch.get_rng_state())


def test_a_captured_state_does_not_follow_later_training():
    benchmark = stream("class")
    strategy = build("ewc", benchmark.info)
    experience(strategy, benchmark, 0)
    state = capture_state(strategy)
    copy = saved(state)
    experience(strategy, benchmark, 1)
    assert differences(state, copy) == []


def test_a_state_captured_before_any_training_restores():
    benchmark = stream("class")
    strategy, fresh = build("replay", benchmark.info), build("replay", benchmark.info)
    with torch.no_grad():
        strategy.model.head.weight.zero_()
    restore_state(fresh, saved(capture_state(strategy)), experiences_seen=[])
    assert torch.equal(fresh.model.head.weight, strategy.model.head.weight)


class WithinExperience(SupervisedPlugin):
    def after_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        capture_state(strategy)


def test_a_capture_within_an_experience_is_refused():
    benchmark = stream("class")
    strategy = build("naive", benchmark.info, plugins=[WithinExperience()])
    with pytest.raises(UserError, match="between two experiences"):
        strategy.train(benchmark.train_stream[0])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"name": "mas"}, "strategy EWC"),
        ({"plugins": [WithinExperience()]}, "plugins"),
        ({"optim": "sgd"}, "optimizer Adam"),
        ({"head": "growing"}, "other parameters"),
    ],
)
def test_a_state_of_another_configuration_is_refused(other, message):
    benchmark = stream("class", class_order=None)
    strategy = build("ewc", benchmark.info)
    experience(strategy, benchmark, 0)
    fresh = build(**{"name": "ewc", "info": benchmark.info, **other})
    with pytest.raises(UserError, match=message):
        restore_state(fresh, capture_state(strategy), experiences_seen=[benchmark.train_stream[0]])


def test_exemplars_of_an_experience_that_was_not_passed_are_refused():
    benchmark = stream("class")
    strategy, fresh = build("replay", benchmark.info), build("replay", benchmark.info)
    for position in range(2):
        experience(strategy, benchmark, position)
    with pytest.raises(UserError, match="pass every train experience"):
        restore_state(fresh, capture_state(strategy), experiences_seen=[benchmark.train_stream[1]])


def test_an_optimizer_with_foreign_tensors_is_refused():
    benchmark = stream("class")
    strategy = build("naive", benchmark.info)
    strategy.optimizer.add_param_group({"params": [torch.zeros(3, requires_grad=True)]})
    with pytest.raises(UserError, match="not parameters of the model"):
        capture_state(strategy)


IMAGE, LABEL, FLOAT = 64 * 4, 8, 4


def test_state_bytes_count_what_a_method_carries_on():
    benchmark = stream("class")
    n_weights = sum(p.numel() for p in build("naive", benchmark.info).model.parameters())
    seen = sum(len(e.dataset) for e in benchmark.train_stream[:2])
    memory = 31 * (IMAGE + LABEL + FLOAT)  # and the reservoir's random number of each sample
    expected = {
        "naive": 0,
        "joint": 0,
        "cumulative": seen * (IMAGE + LABEL),
        "single-task": 2 * n_weights * FLOAT,  # the first model and the initial weights
        "ewc": 2 * n_weights * FLOAT,
        "mas": 2 * n_weights * FLOAT,
        "rwalk": 4 * n_weights * FLOAT,
        "lwf": n_weights * FLOAT,
        "replay": memory,
        "agem": 40 * (IMAGE + LABEL),
        "gdumb": memory + n_weights * FLOAT,
        "dark-er": memory + 31 * 10 * FLOAT,
    }
    for name, size in expected.items():
        strategy = build(name, benchmark.info)
        for position in [2] if name == "joint" else [0, 1]:
            experience(strategy, benchmark, position)
        assert (name, state_bytes(strategy)) == (name, size)


def test_state_bytes_grow_with_the_images_not_with_their_transforms():
    benchmark = registry("benchmarks")["permuted-digits"].load()(n_experiences=2, fraction=0.2)
    strategy = build("replay", benchmark.info, storage="reservoir")
    experience(strategy, benchmark, 0)
    assert state_bytes(strategy) == 31 * (IMAGE + LABEL + FLOAT)
