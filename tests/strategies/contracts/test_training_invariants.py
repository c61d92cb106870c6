"""What holds in the training of every registered strategy, whichever method it is: what learns is
in training mode and in the optimizer, and moves; what the method or the user froze does not.

The strategies come from the registry. Shapes tell which parameter of the user's network is which:
two of them occur once in it, whatever a method copies, wraps or swaps.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
import small
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.registry import registry

NAMES = [entry.name for entry in registry("strategies")]
SCENARIO = {entry.name: entry.scenarios[0] for entry in registry("strategies")}

#: Beside the small ones: stages that leave the common path.
OPTIONS: dict[str, dict[str, Any]] = {
    "cim": {"host": "foster:compress_epochs=1", "masks": "bilevel"},
    "der-expandable": {"rectify": "finetune", "finetune_epochs": 1},
    "mnemonics": {"balance_epochs": 1},
    "halrp": {"train_epochs": 2},
}

STEM, STAGE = (4, 1, 3, 3), (6, 4, 3, 3)
RATE = 0.05
EXPERIENCES = 3  # that are trained: the first, the second, and one after another


def stream(name: str) -> Any:
    factory = registry("benchmarks")["split-digits"].load()
    return factory(n_experiences=5, scenario=SCENARIO[name], fraction=0.1)


def network(info: Any) -> nn.Module:
    """A residual network of whose parameters two have shapes that no other has."""
    torch.manual_seed(0)
    return registry("models")["small-resnet"].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        channels=(4, 6),
        stem_stride=1,
    )


def build(name: str, info: Any, model: nn.Module, plugins: Any, left_out: Any = ()) -> Any:
    unused = {id(parameter) for parameter in left_out}
    parameters = [p for p in model.parameters() if id(p) not in unused]
    options = small.options(name, info.input_shape, **OPTIONS.get(name, {}))
    return registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.SGD(parameters, lr=RATE, momentum=0.9),
        train_mb_size=16,
        eval_mb_size=64,
        plugins=plugins,
        evaluator=None,
        **options,
    )


def train(strategy: Any, benchmark: Any) -> None:
    if getattr(strategy, "trains_jointly", False):
        strategy.train(list(benchmark.train_stream))
        return
    for experience in benchmark.train_stream[:EXPERIENCES]:
        strategy.train(experience)


def norms(model: nn.Module) -> list[Any]:
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


class Probe(SupervisedPlugin):
    """Compares every training iteration with what was there before it."""

    def __init__(self) -> None:
        super().__init__()
        self.iterations = 0
        self.learning: list[set[str]] = []  # convolutions and normalizations, by experience

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.learning.append(set())

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        model = strategy.model
        self.values = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.batches = [(m, int(m.num_batches_tracked), learns(m)) for m in norms(model)]
        for norm, _, trained in self.batches:
            kept = getattr(norm, "kept_by_the_user", False)
            assert norm.training == (trained and not kept), "a BatchNorm in the wrong mode"

    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        held = {id(p) for group in strategy.optimizer.param_groups for p in group["params"]}
        self.moving = {
            name
            for name, p in strategy.model.named_parameters()
            if p.requires_grad and p.grad is not None and (p.grad.abs() > 1e-5).any()
        }
        named = dict(strategy.model.named_parameters())
        assert not [name for name in self.moving if id(named[name]) not in held]

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        for norm, before, trained in self.batches:
            kept = getattr(norm, "kept_by_the_user", False)
            assert (int(norm.num_batches_tracked) > before) == (trained and not kept)
        for name, parameter in strategy.model.named_parameters():
            moved = not torch.equal(parameter, self.values[name])
            assert parameter.requires_grad or not moved, f"{name} is frozen and moved"
            assert moved or name not in self.moving, f"{name} should learn and stood still"
        self.iterations += 1
        inside = {id(p) for norm in norms(strategy.model) for p in norm.parameters()}
        self.learning[-1] |= {
            name
            for name, p in strategy.model.named_parameters()
            if name in self.moving and (p.ndim == 4 or id(p) in inside)
        }


@pytest.mark.parametrize("name", NAMES)
def test_what_learns_is_in_training_mode_and_moves_in_every_experience(name: str) -> None:
    benchmark, probe = stream(name), Probe()
    strategy = build(name, benchmark.info, network(benchmark.info), [probe])
    train(strategy, benchmark)
    assert len(probe.learning) == (1 if strategy.trains_jointly else EXPERIENCES)
    assert probe.iterations >= 2 * len(probe.learning)
    assert all(len(names) > 4 for names in probe.learning)


class Keep(SupervisedPlugin):
    """Keeps the first BatchNorm of the user's network, and all copies of it, in evaluation mode."""

    def __init__(self, frozen: dict[tuple[int, ...], Tensor]) -> None:
        super().__init__()
        self.frozen = frozen

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        for norm in self.kept(strategy.model):
            norm.eval()

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.check(strategy.model)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.check(strategy.model)

    def kept(self, model: nn.Module) -> list[Any]:
        return [norm for norm in norms(model) if getattr(norm, "kept_by_the_user", False)]

    def check(self, model: nn.Module) -> None:
        assert self.kept(model)
        for norm in self.kept(model):
            assert not norm.training and int(norm.num_batches_tracked) == 0
        for shape, value in self.frozen.items():
            found = [p for p in model.parameters() if tuple(p.shape) == shape]
            assert found and all(torch.equal(parameter, value) for parameter in found)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_froze_is_left_alone_in_every_experience(name: str) -> None:
    """A BatchNorm in evaluation mode, frozen weights, and weights left out of the optimizer."""
    benchmark = stream(name)
    model = network(benchmark.info)
    norms(model)[0].kept_by_the_user = True
    by_shape = {tuple(p.shape): p for p in model.parameters()}
    by_shape[STEM].requires_grad_(False)
    frozen = {shape: by_shape[shape].detach().clone() for shape in (STEM, STAGE)}
    probe, keep = Probe(), Keep(frozen)
    strategy = build(name, benchmark.info, model, [keep, probe], left_out=[by_shape[STAGE]])
    train(strategy, benchmark)
    keep.check(strategy.model)
    strategy.eval(benchmark.test_stream[:1])
    assert all(probe.learning)


class Freeze(SupervisedPlugin):
    """Puts what the model has by then in evaluation mode before anything else of a training."""

    def before_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        norms(strategy.model)[0].eval()


@pytest.mark.parametrize("name", ["single-task", "gdumb"])
def test_a_model_that_takes_the_place_of_another_takes_over_its_modes(name: str) -> None:
    benchmark, seen = stream(name), []

    class Watch(SupervisedPlugin):
        def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            seen.append([norm.training for norm in norms(strategy.model)])

    strategy = build(name, benchmark.info, network(benchmark.info), [Freeze(), Watch()])
    train(strategy, benchmark)
    assert seen and all(not first and all(rest) for first, *rest in seen)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "joint"])
def test_a_resumed_training_leaves_alone_what_the_user_froze(name: str) -> None:
    def made() -> Any:
        benchmark = stream(name)
        model = network(benchmark.info)
        norms(model)[0].kept_by_the_user = True
        by_shape = {tuple(p.shape): p for p in model.parameters()}
        by_shape[STEM].requires_grad_(False)
        frozen = {shape: by_shape[shape].detach().clone() for shape in (STEM, STAGE)}
        plugins = [Keep(frozen), Probe()]
        return build(name, benchmark.info, model, plugins, left_out=[by_shape[STAGE]]), benchmark

    weights = []
    for interrupted in (False, True):
        strategy, benchmark = made()
        for position, experience in enumerate(benchmark.train_stream[:3]):
            if interrupted and position == 2:
                state = capture_state(strategy)
                strategy, benchmark = made()
                seen = list(benchmark.train_stream[:2])
                restore_state(strategy, state, experiences_seen=seen)
                experience = benchmark.train_stream[2]
            torch.manual_seed(position)
            random.seed(position)
            strategy.train(experience)
        model = strategy.model
        weights.append(dict([*model.named_parameters(), *model.named_buffers()]))
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
