"""Checkpoints that someone has changed: refused, or equal; nothing is imported, made or deleted."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin, LRSchedulerPlugin, ReplayPlugin

from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.experiment.state.checkpoint import load_checkpoint, save_checkpoint
from cl_strategies.experiment.state.comparison import differences
from cl_strategies.registry import registry

#: Strategies whose states hold every kind of object: buffers, teachers, copies, exemplars.
STRATEGIES = {
    "replay": {"mem_size": 20},
    "gdumb": {"mem_size": 20},
    "dark-er": {"mem_size": 20},
    "lwf": {},
    "ewc": {},
    "single-task": {},
    "icarl": {"mem_bytes": 3_000},
}

CLASSES = [
    "cl_strategies.io.atomic:tempfile._TemporaryFileCloser",
    "cl_strategies.experiment.engine.runner:np.lib.npyio.NpzFile",
    "cl_strategies.experiment.sweep.executors:multiprocessing.process.BaseProcess",
    "avalanche.training.storage_policy:ReservoirSamplingBuffer",
    "avalanche.training.storage_policy:ClassBalancedBuffer",
    "avalanche.training.utils:ParamData",
    "subprocess:Popen",
    "builtins:object",
    "os:system",
    "",
    "no.such.module:Thing",
]
NAMES = [
    "__class__",
    "__dict__",
    "__del__",
    "_name",
    "_closer",
    "max_size",
    "buffer",
    "_criterion",
    "model",
    "optimizer",
    "plugins",
    "train",
    "anything",
    "_modules",
    "forward",
]
VALUES = [None, 0, -1, 10**6, 0.5, "text", b"", [], {}, True, {"kind": "transient"}]
KINDS = ["object", "module", "stateful", "landmark", "dataset", "tensor", "no-such-kind", "set"]
WATCHED = ("import", "os.", "subprocess.", "shutil.", "socket.", "ctypes.", "exec", "compile")


class Watch:
    """Audit events that no restored state may cause."""

    active = False
    seen: list[str] = []  # noqa: RUF012 (one for the process, as the hook is)

    @classmethod
    def hook(cls, event: str, arguments: Any) -> None:
        if cls.active and event.startswith(WATCHED):
            cls.seen.append(f"{event} {arguments!r}"[:200])


@pytest.fixture(scope="module", autouse=True)
def audited() -> None:
    sys.addaudithook(Watch.hook)


@contextmanager
def watched() -> Iterator[None]:
    Watch.seen.clear()
    Watch.active = True
    try:
        yield
    finally:
        Watch.active = False


@pytest.fixture(scope="module")
def digits() -> Any:
    return registry("benchmarks")["split-digits"].load()(n_experiences=3, fraction=0.1)


def build(name: str, info: Any) -> Any:
    torch.manual_seed(0)
    model = registry("models")["mlp"].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario="class",
        hidden=[8],
        head="growing",
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    extra = [] if name == "icarl" else [ReplayPlugin(mem_size=10)]
    return registry("strategies")[name].load()(
        model=model,
        optimizer=optimizer,
        train_mb_size=16,
        plugins=[LRSchedulerPlugin(schedule), *([] if name == "single-task" else extra)],
        evaluator=EvaluationPlugin(loggers=[]),
        **STRATEGIES[name],
    )


@pytest.fixture(scope="module", params=STRATEGIES)
def trained(request: Any, digits: Any) -> tuple[str, dict[str, Any]]:
    strategy = build(request.param, digits.info)
    for experience in digits.train_stream[:2]:
        strategy.train(experience)
    return request.param, capture_state(strategy)


def tables(node: Any) -> Iterator[dict[str, Any]]:
    """Every table in a state, the innermost ones, too."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from tables(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from tables(value)


def forge(state: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A copy in which one to three things differ: classes, kinds, names, numbers."""
    forged = copy.deepcopy(state)
    for _ in range(draw.choice([1, 1, 2, 3])):
        node = draw.choice([table for table in tables(forged) if table])
        key = draw.choice(sorted(node, key=str))
        action = draw.randrange(7)
        if "class" in node and action < 3:
            node["class"] = draw.choice(CLASSES)
        elif "kind" in node and action < 4:
            node["kind"] = draw.choice(KINDS)
        elif action == 4:
            node[draw.choice(NAMES)] = node.pop(key)
        elif action == 5:
            del node[key]
        else:
            other = draw.choice([table for table in tables(forged) if table])
            node[draw.choice([*NAMES, key])] = draw.choice(
                [*VALUES, copy.deepcopy(other), attack(draw)]
            )
    return forged


def attack(draw: random.Random) -> dict[str, Any]:
    return {
        "kind": "object",
        "number": draw.choice([0, 1, 999]),
        "class": draw.choice(CLASSES),
        "attributes": {draw.choice(NAMES): draw.choice(VALUES) for _ in range(2)},
    }


def check_forged(name: str, state: dict[str, Any], digits: Any, amount: int) -> None:
    draw = random.Random(f"{name} {amount}")
    seen = list(digits.train_stream[:2])
    strategy = build(name, digits.info)
    restore_state(strategy, state, experiences_seen=seen)  # imports whatever it needs, once
    refused = 0
    for _ in range(amount):
        forged = forge(state, draw)
        strategy = build(name, digits.info)
        with watched():
            try:
                restore_state(strategy, forged, experiences_seen=seen)
            except Exception:  # the engine says of all of them that the checkpoint does not fit
                refused += 1
            else:
                assert differences(forged, capture_state(strategy)) == []
        assert Watch.seen == []
    assert refused > amount // 2


def test_forged_states_are_refused_or_taken_on_whole(trained, digits):
    check_forged(*trained, digits, amount=25)


@pytest.mark.slow
def test_ten_thousand_forged_states(trained, digits):
    check_forged(*trained, digits, amount=10_000 // len(STRATEGIES) + 1)


class Stopped(BaseException):
    pass


def stop_after_the_first(done: int, total: int) -> None:
    if done == 1:
        raise Stopped


@pytest.fixture
def interrupted(tmp_path: Any) -> Any:
    config = ExperimentConfig.from_dict(
        {
            "benchmark": {"name": "split-digits", "fraction": 0.1},
            "strategy": {"name": "naive"},
            "model": {"hidden": [8]},
        }
    )
    with pytest.raises(Stopped):
        run(config, tmp_path / "out", progress=stop_after_the_first)
    return config, RunDirectory(tmp_path / "out", config).checkpoint


@pytest.mark.parametrize("where", ["attributes", "template", "plugin", "model"])
@pytest.mark.parametrize("kind", CLASSES[:3])
def test_a_forged_checkpoint_is_refused_by_name_and_deletes_nothing(
    where, kind, interrupted, tmp_path
):
    config, path = interrupted
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    state = load_checkpoint(path)
    node = {
        "kind": "object",
        "number": 999,
        "class": kind,
        "attributes": {"file": 1, "name": str(victim), "delete": True},
    }
    strategy = state["strategy"]
    if where == "attributes":
        strategy["attributes"]["anything"] = node
    elif where == "template":
        strategy["attributes"]["evaluator"] = node
    elif where == "plugin":
        strategy["plugins"][-1]["attributes"]["anything"] = node
    else:
        strategy["model"]["attributes"][""] = {"anything": node}
    save_checkpoint(path, state)
    with pytest.raises(ValueError, match=r"does not fit this run .*(state holds|would replace)"):
        run(config, tmp_path / "out")
    assert victim.read_text() == "precious"
