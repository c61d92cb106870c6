"""State that an attribute walk would leave out in silence is captured, or named before training."""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, check_resumable, restore_state
from cl_strategies.registry import registry
from cl_strategies.strategies import Naive


class Holder(SupervisedPlugin):
    """A plugin with whatever attributes a test gives it."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        vars(self).update(values)


def build(*plugins: Any, network: nn.Module | None = None, **options: Any) -> Naive:
    torch.manual_seed(0)
    network = network or nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5))
    return Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        train_mb_size=16,
        plugins=plugins,
        evaluator=None,
        **options,
    )


def saved(strategy: Any) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(capture_state(strategy), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def numbers() -> Iterator[int]:
    yield from range(10)


def counter() -> Any:
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return count

    return step


def collector() -> Any:
    seen: list[int] = []
    return lambda: seen


def with_memory(cache: dict[int, int] = {}) -> dict[int, int]:  # noqa: B006 (what is tested)
    return cache


def marked() -> None: ...


marked.calls = 3  # type: ignore[attr-defined]

HIDDEN = {
    "a generator": lambda: numbers(),
    "an iterator": lambda: iter([1, 2]),
    "a counting closure": counter,
    "a collecting closure": collector,
    "a list of closures": lambda: [counter()],
    "a partial of a list": lambda: functools.partial(sorted, [3, 1]),
    "a partial of a closure": lambda: functools.partial(counter()),
    "a mutable default": lambda: with_memory,
    "a function with attributes": lambda: marked,
    "a method of a list": lambda: [].append,
    "a method of an unknown object": lambda: random.Random(1).random,
    "a loader with its own generator": lambda: torch.utils.data.DataLoader(
        [1, 2], generator=torch.Generator()
    ),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_code_that_keeps_state_is_named_before_training(kind):
    strategy = build(Holder(thing=HIDDEN[kind]()))
    with pytest.raises(UserError, match=r"Holder\.thing.*state_dict"):
        check_resumable(strategy)
    with pytest.raises(UserError, match=r"Holder\.thing"):
        capture_state(strategy)


def test_every_attribute_is_named_in_one_message():
    strategy = build(Holder(first=numbers(), second=counter()))
    with pytest.raises(UserError, match=r"Holder\.first.*Holder\.second"):
        check_resumable(strategy)


SCALE = 3.0


def harmless(strategy: Any) -> dict[str, Any]:
    constant, other = 2.0, (1, "a")
    return {
        "function": len,
        "over_constants": lambda x: x * constant * SCALE + len(other),
        "partial": functools.partial(sorted, reverse=True),
        "method": strategy.model.forward,
        "over_parts": lambda: strategy.optimizer,
        "kind": dict,
        "both": [max, min],
    }


def test_code_without_state_is_left_to_the_new_plugin():
    holder, fresh = Holder(), Holder()
    strategy, restored = build(holder), build(fresh)
    vars(holder).update(harmless(strategy))
    vars(fresh).update(harmless(restored))
    own = dict(vars(fresh))
    restore_state(restored, saved(strategy), experiences_seen=[])
    assert all(vars(fresh)[name] is value for name, value in own.items())


class MadeAnew(Holder):
    transient_attributes = frozenset({"thing"})


def test_what_is_made_anew_for_each_experience_can_be_declared():
    check_resumable(build(MadeAnew(thing=numbers())))


@pytest.mark.parametrize("name", [entry.name for entry in registry("strategies")])
def test_no_strategy_of_ours_hides_state(name):
    entry = registry("strategies")[name]
    scenario = entry.scenarios[0]
    info = registry("benchmarks")["split-digits"].load()(fraction=0.05, scenario=scenario).info
    model = registry("models")["small-resnet"].load()(
        input_shape=info.input_shape, n_classes=info.n_classes, scenario=scenario, stem_stride=1
    )
    memory = {"mem_bytes": 5_000} if "mem_bytes" in entry.defaults() else {}
    check_resumable(
        entry.load()(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            evaluator=None,
            **memory,
        )
    )


def test_sizes_and_epochs_that_a_plugin_changed_are_restored():
    strategy = build(train_epochs=1)
    strategy.train_epochs, strategy.train_mb_size, strategy.eval_mb_size = 7, 5, 9
    restored = build(train_epochs=1)
    restore_state(restored, saved(strategy), experiences_seen=[])
    assert (restored.train_epochs, restored.train_mb_size, restored.eval_mb_size) == (7, 5, 9)


def test_a_loss_that_became_the_criterion_is_restored():
    strategy = build()
    strategy._criterion = nn.CrossEntropyLoss(label_smoothing=0.25, weight=torch.arange(10.0))
    strategy._criterion.eval()
    restored = build()
    restore_state(restored, saved(strategy), experiences_seen=[])
    x, y = torch.randn(4, 10), torch.tensor([1, 2, 3, 4])
    assert torch.equal(restored._criterion(x, y), strategy._criterion(x, y))
    other = build(criterion=nn.MSELoss())
    restore_state(other, saved(strategy), experiences_seen=[])
    assert torch.equal(other._criterion(x, y), strategy._criterion(x, y))


def mine(output: Any, target: Any) -> Any:
    return nn.functional.cross_entropy(output, target)


def test_another_function_as_criterion_is_refused():
    strategy = build(criterion=mine)
    restore_state(build(criterion=mine), saved(strategy), experiences_seen=[])
    with pytest.raises(UserError, match=r"the criterion .*mine, but this strategy has .*Cross"):
        restore_state(build(), saved(strategy), experiences_seen=[])


class Odd(nn.Module):
    """A network that keeps a counter, a table and a buffer that no state_dict has."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5))
        self.calls = 0
        self.history: dict[str, list[float]] = {}
        self.register_buffer("level", torch.zeros(3), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def test_attributes_and_buffers_of_the_model_are_restored():
    strategy, restored = build(network=Odd()), build(network=Odd())
    model = strategy.model
    model.calls, model.history["loss"] = 5, [0.5]
    model.level += 2
    model.inner[2].p = 0.25
    restore_state(restored, saved(strategy), experiences_seen=[])
    assert (restored.model.calls, restored.model.history) == (5, {"loss": [0.5]})
    assert restored.model.level.tolist() == [2, 2, 2]
    assert restored.model.inner[2].p == 0.25


def test_tensors_that_share_memory_share_it_again():
    whole = torch.arange(6.0)
    holder = Holder(whole=whole, again=whole, part=whole[2:4], turned=whole.view(2, 3).t())
    fresh = Holder()
    restored = build(fresh)
    restore_state(restored, saved(build(holder)), experiences_seen=[])
    assert fresh.again is fresh.whole
    fresh.whole += 1
    assert torch.equal(fresh.part, whole[2:4] + 1)
    assert torch.equal(fresh.turned, whole.view(2, 3).t() + 1)


def test_a_plugin_that_shares_memory_with_the_model_follows_it_again():
    holder, fresh = Holder(), Holder()
    strategy, restored = build(holder), build(fresh)
    holder.bias = strategy.model[1].bias.detach()
    holder.row = strategy.model[1].weight.data[3]
    restore_state(restored, saved(strategy), experiences_seen=[])
    with torch.no_grad():
        restored.model[1].bias.fill_(7)
        restored.model[1].weight.fill_(5)
    assert fresh.bias.eq(7).all() and fresh.row.eq(5).all()


def test_tensors_that_overlap_in_part_are_named():
    whole = torch.arange(6.0)
    strategy = build(Holder(first=whole[:4], second=whole[2:]))
    with pytest.raises(UserError, match=r"Holder\.second shares memory"):
        check_resumable(strategy)


def test_a_state_that_the_strategy_does_not_take_on_is_refused():
    class Forgetful(Holder):
        def state_dict(self) -> dict[str, Any]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    strategy = build(Forgetful(count=3))
    with pytest.raises(UserError, match=r"differs from the state at state\.plugins"):
        restore_state(build(Forgetful(count=0)), saved(strategy), experiences_seen=[])
