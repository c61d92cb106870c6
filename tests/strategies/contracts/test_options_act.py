"""Every numeric option of every registered strategy changes what is trained, and so do defaults."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin
from families import one_of_each
from torch import Tensor, nn

from cl_strategies.benchmarks import load
from cl_strategies.errors import UserError
from cl_strategies.models.backbones.small_resnet import small_resnet
from cl_strategies.plugins.exemplars.replay.metrics import byte_memory
from cl_strategies.registry import registry

#: Methods whose options take more than a few seconds in all.
SLOW = [
    *("apd", "halrp", "alignq", "lifequant", "cim", "lucir", "wa", "bic", "podnet"),
    *("der-expandable", "foster", "aanets", "mnemonics", "mrdc", "rwalk", "scp", "prd"),
    *("zeroq", "zaq", "qimera", "intraq", "vcl", "ibp-wf", "dann", "dsan", "imm-mode", "bmkp"),
]
ENTRIES = {entry.name: entry for entry in registry("strategies")}
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in ENTRIES]
Options = Mapping[str, Any]

#: Defaults are for streams of thousands of images; this is for one of 140.
SMALL: dict[str, Any] = {
    "mem_bytes": 3_000,
    "mem_size": 31,
    "patterns_per_experience": 20,
    "sample_size": 16,
    "samples": 16,
    "importance_samples": 16,
    "images": 8,
    "iterations": 3,
    "warmup": 3,
    "image_iterations": 3,
    "batches": 3,
}
#: The same for one method.
SMALL_OWN: dict[str, Options] = {
    "halrp": {"max_growth": 10.0},
    "apd": {"drift": 1.0},  # of more, this rate of SGD diverges
    "vcl": {"train_samples": 2, "test_samples": 4},
}
#: What an option of any method acts together with, by its name.
BESIDE: dict[str, Options] = {
    "balance_lr": {"balance_epochs": 1},
}
#: The same for a method's own options.
BESIDE_OWN: dict[str, dict[str, Options]] = {
    "ewc": {
        "decay_factor": {"mode": "online"},
        "fisher_samples": {"fisher": "empirical", "strength": 0.01},  # of few: large, diverges
    },
    "bic": {"held_out": {"held_out": 0.5}},
    # Nothing is grouped before the fifth task by default, nor two tasks in two groups.
    "apd": {
        name: {"consolidate_every": 2, "groups": 1}
        for name in ("consolidate_every", "groups", "spread")
    },
    "alasso": {"eps": {"eps": 0.1}, "eps_prime": {"eps_prime": 0.1}},
    "cim": {
        "artefact_interval": {"artefact_interval": 1},
        "artefact_increment": {"artefact_interval": 1},
        "quality": {"inner": "jpeg"},
    },
    "der-expandable": {
        "finetune_epochs": {"rectify": "finetune", "finetune_epochs": 1},
        "finetune_lr": {"rectify": "finetune", "finetune_epochs": 1},
    },
    "halrp": {"threshold": {"threshold": 0.01}, "gamma": {"pruning": "percentile"}},
    "vcl": {"coreset_size": {"coreset": "random", "coreset_size": 10}},
    "ibp-wf": {"max_factors": {"max_factors": 12}},
    # Until classes are far apart, every sample is within the margin, whatever it is.
    "podnet": {"margin": {"margin": -2.0}},
}


def is_numeric(name: str, option: str, default: Any) -> bool:
    if default is None:
        annotation = inspect.signature(ENTRIES[name].load()).parameters[option].annotation
        return str(annotation).partition(" | ")[0] in ("int", "float")
    return type(default) in (int, float)


def other_values(default: Any) -> Iterator[Any]:
    """Values to compare a default with: first the one that switches the option off."""
    if default is None:
        yield from (1, 2)
    elif type(default) is float:
        yield from (0.0, default / 1000, default / 2, default * 2) if default else (0.5, 0.1, 1.0)
    elif default:
        yield from (default * 2, max(1, default // 2), default + 1, max(1, default // 4))
    else:
        yield from (1, 2, 16)


class Logits(SupervisedPlugin):
    """Keeps what the model answers in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Tensor] = []

    def after_eval_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.kept.append(strategy.mb_output.detach().clone())


@cache
def stream(scenario: str) -> Any:
    return load("split-digits", n_experiences=3, scenario=scenario, fraction=0.1)


def target(name: str, shape: Any) -> dict[str, Any]:
    """Images of a domain without labels, for a strategy that takes some."""
    if "target" not in ENTRIES[name].fixed:
        return {}
    generator = torch.Generator().manual_seed(0)
    return {"target": torch.rand(24, *shape, generator=generator)}


@cache
def outcome(name: str, settings: tuple[tuple[str, Any], ...]) -> list[Any]:
    """Weights, exemplars and answers after training on three experiences.

    :raises UserError: if the strategy refuses the settings.
    """
    benchmark = stream(ENTRIES[name].scenarios[0])
    info = benchmark.info
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = small_resnet(
            input_shape=info.input_shape,
            n_classes=info.n_classes,
            scenario=info.scenario,
            channels=[4, 8],
            stem_stride=1,
        )
        logits = Logits()
        strategy = ENTRIES[name].load()(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=16,
            train_epochs=2 if name in SLOW else 1,
            eval_mb_size=256,
            plugins=[logits],
            evaluator=EvaluationPlugin(loggers=[]),
            **target(name, info.input_shape),
            **dict(settings),
        )
        if getattr(strategy, "trains_jointly", False):
            strategy.train(list(benchmark.train_stream))
        else:
            for experience in benchmark.train_stream:
                strategy.train(experience)
        logits.kept.clear()
        strategy.eval(benchmark.test_stream)
    memory = byte_memory(strategy)
    payloads = [] if memory is None else [record.payload for record in memory.records]
    return [*strategy.model.state_dict().values(), *logits.kept, payloads]


def equal(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b) if isinstance(a, Tensor) else a == b
        for a, b in zip(first, second, strict=True)
    )


def finite(result: list[Any]) -> bool:
    return all(bool(part.isfinite().all()) for part in result if isinstance(part, Tensor))


def run(name: str, options: Options) -> list[Any]:
    return outcome(name, tuple(sorted(options.items())))


def is_dead(name: str, option: str, default: Any) -> str | None:
    """Why an option counts as dead; ``None`` if it acts."""
    small = {key: value for key, value in SMALL.items() if key in ENTRIES[name].defaults()}
    beside = {**BESIDE.get(option, {}), **BESIDE_OWN.get(name, {}).get(option, {})}
    base = {**small, **SMALL_OWN.get(name, {}), **beside}
    current = base.get(option, default)
    reference = run(name, base)
    tried = []
    for value in other_values(current):
        try:
            result = run(name, {**base, option: value})
        except UserError:
            continue  # out of its range
        if not finite(result):
            continue
        if not equal(reference, result):
            return None
        tried.append(value)
        if type(current) is float and current:
            break  # switched off, and it made no difference
    return f"{option} = {current} and {tried} give one result"


@pytest.mark.parametrize("name", NAMES)
def test_every_numeric_option_changes_the_result(name: str) -> None:
    found = []
    for option, default in ENTRIES[name].defaults().items():
        if is_numeric(name, option, default):
            found.append(is_dead(name, option, default))
    assert [reason for reason in found if reason] == []


@pytest.mark.parametrize("name", one_of_each(ENTRIES))
def test_a_run_repeats_so_that_a_difference_means_something(name: str) -> None:
    small = {key: value for key, value in SMALL.items() if key in ENTRIES[name].defaults()}
    again = outcome.__wrapped__(name, tuple(sorted(small.items())))
    assert equal(run(name, small), again)
