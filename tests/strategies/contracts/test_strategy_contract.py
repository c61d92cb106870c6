"""What every registered strategy promises, whichever method it is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.registry import registry

PAGES = Path(__file__).parents[3] / "docs" / "methods"
NAMES = [entry.name for entry in registry("strategies")]
SCENARIO = {entry.name: entry.scenarios[0] for entry in registry("strategies")}


def stream(scenario: str = "class", **options: Any) -> Any:
    factory = registry("benchmarks")["split-digits"].load()
    return factory(**{"n_experiences": 2, "scenario": scenario, "fraction": 0.1, **options})


def build(name: str, info: Any, plugins: Any = None, **template: Any) -> Any:
    model = small.model(name, info)
    template = {"train_mb_size": 16, "train_epochs": 1, "eval_mb_size": 64, **template}
    return registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        criterion=nn.CrossEntropyLoss(),
        device="cpu",
        plugins=plugins,
        evaluator=EvaluationPlugin(loggers=[]),
        **small.options(name, info.input_shape, **template),
    )


def train(strategy: Any, benchmark: Any) -> None:
    if getattr(strategy, "trains_jointly", False):
        strategy.train(list(benchmark.train_stream))
        return
    for experience in benchmark.train_stream:
        strategy.train(experience)


class Spy(SupervisedPlugin):
    """Counts training iterations."""

    def __init__(self) -> None:
        super().__init__()
        self.iterations = 0

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.iterations += 1


class Evaluate(SupervisedPlugin):
    """Evaluates the whole test stream after every epoch, drawing no random number."""

    def __init__(self, benchmark: Any) -> None:
        super().__init__()
        self.benchmark = benchmark

    def after_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        with torch.random.fork_rng(devices=[]):
            strategy.eval(self.benchmark.test_stream)


def test_listing_the_strategies_imports_neither_torch_nor_avalanche():
    code = (
        "import sys, cl_strategies.strategies, cl_strategies.models\n"
        "from cl_strategies.registry import registry\n"
        "assert len(list(registry('strategies'))) > 10\n"
        "assert not {'torch', 'avalanche'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_offers_only_its_hyper_parameters(name):
    options = registry("strategies")[name].defaults()
    template = {"model", "optimizer", "criterion", "plugins", "evaluator", "train_mb_size"}
    assert not template & set(options)
    plain = int | float | str | bool | tuple | None
    assert all(isinstance(value, plain) for value in options.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_has_a_page_that_names_its_options_and_defaults(name):
    page = (PAGES / f"{name}.md").read_text()
    for option, default in registry("strategies")[name].defaults().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{option}` |"))
        shown = row.split("|")[2].strip().strip("`")
        shown = {"true": "True", "false": "False", "none": "None"}.get(shown, shown)
        assert ast.literal_eval(shown) == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize("name", NAMES)
def test_strategies_never_share_or_change_a_plugin_list(name):
    spy = Spy()
    plugins = [spy]
    info = stream(SCENARIO[name]).info

    first, second = build(name, info, plugins), build(name, info, plugins)

    assert plugins == [spy]
    ours = [
        {id(plugin) for plugin in strategy.plugins if plugin is not spy}
        for strategy in (first, second)
    ]
    assert ours[0].isdisjoint(ours[1])
    assert first.plugins.count(spy) == second.plugins.count(spy) == 1
    helpers = [
        {
            id(value)
            for plugin in strategy.plugins
            for value in vars(plugin).values()
            if hasattr(value, "__dict__") and not isinstance(value, type)
        }
        for strategy in (first, second)
    ]
    assert helpers[0].isdisjoint(helpers[1])


def trained(name: str, benchmark: Any, *plugins: Any) -> Any:
    """A strategy after training and evaluation, which must have gone well."""
    spy = Spy()
    torch.manual_seed(0)
    strategy = build(name, benchmark.info, [spy, *plugins])

    train(strategy, benchmark)
    strategy.eval(benchmark.test_stream)

    assert spy.iterations > 0
    assert all(parameter.isfinite().all() for parameter in strategy.model.parameters())
    assert strategy.experience is None and strategy.mbatch is None
    assert strategy.eval_mb_size == 64
    return strategy


@pytest.mark.parametrize("name", NAMES)
def test_evaluating_within_an_experience_leaves_the_training_alone(name):
    """In the first scenario that a strategy declares."""
    benchmark = stream(SCENARIO[name])
    plain, evaluated = trained(name, benchmark), trained(name, benchmark, Evaluate(benchmark))
    weights = [strategy.model.state_dict() for strategy in (plain, evaluated)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize(
    ("name", "scenario"),
    [(e.name, scenario) for e in registry("strategies") for scenario in e.scenarios[1:]],
)
def test_a_strategy_works_in_every_other_scenario_it_declares(name, scenario):
    trained(name, stream(scenario))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ewc", {"strength": -1.0}, "strength is -1.0"),
        ("ewc", {"mode": "offline"}, "unknown mode 'offline'"),
        ("ewc", {"decay_factor": 1.5}, "decay_factor is 1.5"),
        ("mas", {"alpha": 2.0}, "alpha is 2.0"),
        ("mas", {"strength": -1.0}, "strength is -1.0"),
        ("rwalk", {"delta_t": 0}, "delta_t is 0"),
        ("rwalk", {"ewc_alpha": -0.1}, "ewc_alpha is -0.1"),
        ("lwf", {"temperature": 0.0}, "temperature is 0.0"),
        ("lwf", {"alpha": float("nan")}, "strength is nan"),
        ("replay", {"mem_size": 0}, "mem_size is 0"),
        ("replay", {"batch_size_mem": -1}, "batch_size_mem is -1"),
        ("replay", {"storage": "fifo"}, "class, experience, reservoir"),
        ("agem", {"sample_size": 0}, "sample_size is 0"),
        ("gdumb", {"mem_size": -3}, "mem_size is -3"),
        ("dark-er", {"beta": -0.5}, "beta is -0.5"),
        ("dark-er", {"mem_size": 0}, "mem_size is 0"),
    ],
)
def test_an_option_out_of_range_is_refused(name, options, message):
    info = stream().info
    with pytest.raises(UserError, match=message):
        build(name, info, **options)


@pytest.mark.parametrize("name", ["joint", "cumulative", "gdumb"])
def test_a_mini_batch_smaller_than_the_number_of_tasks_is_refused(name):
    benchmark = stream("task", n_experiences=3)
    strategy = build(name, benchmark.info, train_mb_size=2)
    with pytest.raises(UserError, match="3 tasks to train on"):
        train(strategy, benchmark)
