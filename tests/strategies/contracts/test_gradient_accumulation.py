"""Several backward passes per step of the optimizer, and gradient scalers: the same training.

Every registered strategy that keeps no samples is covered, without being named, and A-GEM.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates import SupervisedTemplate
from families import one_of_each
from torch import Tensor, nn
from torch.amp import GradScaler

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state
from cl_strategies.io.packing import unstacked
from cl_strategies.plugins import ALASSOPlugin, EWCPlugin, L2Plugin, MASPlugin, PFRPlugin, SIPlugin
from cl_strategies.plugins.quantization.inter_task_penalty import InterTaskQuantizationPenaltyPlugin
from cl_strategies.registry import registry
from cl_strategies.strategies import EWC, SI, LwF, Naive, RWalk, Strategy

SAMPLES = {"a replay memory", "a share of old data"}
NAMES = [e.name for e in registry("strategies") if e.name == "agem" or not SAMPLES & set(e.needs)]
#: What depends on which samples share a mini-batch, so that small ones train another network.
WITHIN_BATCHES = {
    "pfr": "its predictor normalizes batches",
    "batch-norm": "it normalizes batches",
    "dann": "its strength follows the number of mini-batches",
    "dsan": "it compares the classes within a mini-batch",
    "prd": "it contrasts the samples of a mini-batch",
    "alignq": "it keeps the correlations between the samples of a mini-batch",
    "sgd-dropout": "it draws masks for a mini-batch at a time",
    "vcl": "it draws noise for each mini-batch, layer by layer",
}
#: Methods whose networks normalize batches; they train as naive does.
NORMALIZING = [e.name for e in registry("strategies") if "BatchNorm layers" in e.needs]
NAMES = [name for name in NAMES if name not in NORMALIZING]
#: Strong enough to matter within a few steps.
OPTIONS: dict[str, dict[str, Any]] = {
    "agem": {"patterns_per_experience": 20, "sample_size": 16},
    "alasso": {"c": 50.0},
    "apd": {"drift": 1.0},  # of more, this rate of SGD diverges
    "ewc": {"strength": 1000.0},
    "halrp": {"l1": 1e-3, "l2": 1e-2},
    "lwf": {"alpha": 3.0},
    "mas": {"strength": 1.0},
    "rwalk": {"strength": 1.0, "delta_t": 2},
    "scp": {"strength": 10.0},
    "si": {"c": 50.0},
}
TOLERANCE = 1e-9


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """Layers made during training, heads of new tasks, get the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.double()


def stream(scenario: str = "domain") -> Any:
    """Three tasks of 64 samples, each of two classes."""
    generator = torch.Generator().manual_seed(0)
    tasks = []
    for task in range(3):
        y = torch.arange(64) % 2
        x = torch.rand(64, 1, 4, 4, generator=generator) + 0.1 * y.view(-1, 1, 1, 1)
        tasks.append((x.float(), y if scenario == "domain" else y + 2 * task))
    return build_benchmark(tasks, tasks, name="small", scenario=scenario)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        Double(), nn.Flatten(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2)
    ).double()


def in_steps(base: Any, passes: int, scale: float | None = None) -> Any:
    """``base`` with a step for every so many mini-batches, behind a gradient scaler."""

    class InSteps(base):
        def training_epoch(self, **kwargs: Any) -> None:
            for place, batch in enumerate(self.dataloader):
                self.mbatch = batch
                self._unpack_minibatch()
                self._before_training_iteration(**kwargs)
                if place % passes == 0:
                    self.optimizer.zero_grad()
                self._before_forward(**kwargs)
                self.mb_output = self.forward()
                self._after_forward(**kwargs)
                self.loss = self.criterion() / passes
                self._before_backward(**kwargs)
                self.backward()
                self._after_backward(**kwargs)
                if place % passes == passes - 1:
                    self._before_update(**kwargs)
                    self.optimizer_step()
                    self._after_update(**kwargs)
                self._after_training_iteration(**kwargs)

    class Scaled(InSteps):
        def backward(self) -> None:
            self.scaler.scale(self.loss).backward()

        def optimizer_step(self) -> None:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    if scale is None:
        return InSteps
    Scaled.scaler = GradScaler("cpu", init_scale=scale, growth_interval=10**6)
    return Scaled


def train(strategy: Any, benchmark: Any) -> Any:
    torch.manual_seed(1)
    if getattr(strategy, "trains_jointly", False):
        strategy.train(list(benchmark.train_stream), shuffle=False)
    else:
        for experience in benchmark.train_stream:
            strategy.train(experience, shuffle=False)
    return strategy


def target(name: str, shape: Any) -> dict[str, Any]:
    """Images of a domain without labels, for a strategy that takes some."""
    if "target" not in registry("strategies")[name].fixed:
        return {}
    generator = torch.Generator().manual_seed(0)
    return {"target": torch.rand(24, *shape, generator=generator)}


def registered(name: str, passes: int, scale: float | None = None, **options: Any) -> Any:
    """A registered strategy after its training."""
    entry = registry("strategies")[name]
    benchmark = stream(entry.scenarios[0])
    torch.manual_seed(0)
    model = (
        registry("models")["mlp"]
        .load()(
            input_shape=benchmark.info.input_shape,
            n_classes=benchmark.info.n_classes,
            scenario=benchmark.info.scenario,
            hidden=[16],
        )
        .double()
    )
    if "a convolution larger than 1 x 1" in entry.needs:
        model.backbone.insert(0, nn.Conv2d(1, 1, 3, padding=1).double())
    model.backbone.insert(0, Double())
    strategy = in_steps(entry.load(), passes, scale)(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32 // passes,
        train_epochs=3,
        evaluator=EvaluationPlugin(loggers=[]),
        **{**OPTIONS.get(name, {}), **target(name, benchmark.info.input_shape), **options},
    )
    return train(strategy, benchmark)


@cache
def plain(name: str) -> Any:
    """The same, with one backward pass for each step."""
    return registered(name, 1)


def simple(base: Any, *plugins: Any, passes: int = 1, **options: Any) -> Tensor:
    """Weights of a small network after three tasks."""
    model = network()
    strategy = base(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32 // passes,
        train_epochs=3,
        plugins=list(plugins),
        evaluator=None,
        **options,
    )
    train(strategy, stream())
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def tensors(state: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every floating-point tensor in a state."""
    if isinstance(state, dict) and {"layout", "data"} <= state.keys():
        yield from tensors(unstacked(state), path)
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from tensors(value, f"{path}.{key}")
    elif isinstance(state, list | tuple):
        for place, value in enumerate(state):
            yield from tensors(value, f"{path}[{place}]")
    elif isinstance(state, Tensor) and state.is_floating_point():
        yield path, state


def assert_equal_states(first: Any, second: Any) -> None:
    """Weights, importances, moments: everything that the strategies would continue from."""
    one, other = (dict(tensors(capture_state(strategy))) for strategy in (first, second))
    assert one.keys() == other.keys()
    assert len(one) > 4
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=TOLERANCE, atol=TOLERANCE, msg=name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHIN_BATCHES])
def test_four_backward_passes_per_step_are_one_of_four_times_the_samples(name: str) -> None:
    assert_equal_states(plain(name), registered(name, 4))


@pytest.mark.parametrize("name", one_of_each(NAMES))
def test_a_gradient_scaler_changes_nothing(name: str) -> None:
    assert_equal_states(plain(name), registered(name, 1, 1024.0))


@pytest.mark.parametrize("name", ["si", "halrp", "rwalk", "lwf"])
def test_a_scaler_and_four_backward_passes(name: str) -> None:
    assert_equal_states(plain(name), registered(name, 4, 1024.0))


@pytest.mark.parametrize("fisher", ["batch", "empirical", "exact"])
def test_importances_of_ewc_do_not_depend_on_how_a_step_was_divided(fisher: str) -> None:
    first, second = (registered("ewc", passes, fisher=fisher) for passes in (1, 4))
    assert_equal_states(first, second)


PENALTIES = {
    "si": lambda: [SIPlugin(strength=50.0)],
    "alasso": lambda: [ALASSOPlugin(strength=50.0)],
    "two": lambda: [L2Plugin(strength=0.1), EWCPlugin(strength=500.0), MASPlugin(strength=1.0)],
}


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("base", [SupervisedTemplate, Naive])
def test_penalties_in_any_template_count_once_per_step(name: str, base: Any) -> None:
    expected = simple(base, *PENALTIES[name]())
    assert (simple(base) - expected).abs().max() > 1e-2
    found = simple(in_steps(base, 4), *PENALTIES[name](), passes=4)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def test_an_optimizer_that_steps_and_forgets_every_fourth_time() -> None:
    class EveryFourth(torch.optim.SGD):
        calls = 0

        def step(self, closure: Any = None) -> Any:
            self.calls += 1
            return super().step() if self.calls % 4 == 0 else None

        def zero_grad(self, set_to_none: bool = True) -> None:
            if self.calls % 4 == 0:
                super().zero_grad(set_to_none)

    def weights(optimizer: Any, passes: int) -> Tensor:
        model = network()
        strategy = SI(
            c=50.0,
            model=model,
            optimizer=optimizer(model.parameters(), lr=0.1),
            criterion=lambda output, y: nn.functional.cross_entropy(output, y) / passes,
            train_mb_size=32 // passes,
            train_epochs=3,
            evaluator=None,
        )
        train(strategy, stream())
        importance = strategy.plugin.surrogate.named("importance").values()
        return torch.cat([t.detach().flatten() for t in (*model.parameters(), *importance)])

    found = weights(EveryFourth, 4)
    torch.testing.assert_close(found, weights(torch.optim.SGD, 1), rtol=0, atol=TOLERANCE)


class KeepsZeros(Strategy):
    """Sets gradients to zero in place, before each backward pass."""

    def _before_training_iteration(self, **kwargs: Any) -> None:
        super()._before_training_iteration(**kwargs)
        self.optimizer.zero_grad = lambda: type(self.optimizer).zero_grad(self.optimizer, False)


def test_gradients_that_are_set_to_zero_in_place() -> None:
    expected = simple(Naive, SIPlugin(strength=50.0))
    torch.testing.assert_close(
        simple(KeepsZeros, SIPlugin(strength=50.0)), expected, rtol=0, atol=1e-12
    )


class Clip(SupervisedPlugin):
    def after_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        nn.utils.clip_grad_norm_(strategy.model.parameters(), 0.1)


def test_gradients_changed_between_two_passes_of_a_step_are_refused() -> None:
    assert simple(Naive, L2Plugin(strength=0.1), Clip()).isfinite().all()
    with pytest.raises(UserError, match="changed the gradients between two backward passes"):
        simple(in_steps(Naive, 4), L2Plugin(strength=0.1), Clip(), passes=4)


def test_a_share_that_backward_gives_the_loss() -> None:
    class Shared(in_steps(Naive, 4)):
        def criterion(self) -> Any:
            return super().criterion() * 4

        def backward(self) -> None:
            (self.loss / 4).backward()

    found = simple(Shared, SIPlugin(strength=50.0), passes=4)
    expected = simple(Naive, SIPlugin(strength=50.0))
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("build", [SIPlugin, L2Plugin, lambda: EWCPlugin(strength=1.0)])
def test_a_scale_that_cannot_be_known_is_refused(build: Any) -> None:
    class Hidden(Naive):
        def backward(self) -> None:
            (self.loss * 1024).backward()

    with pytest.raises(UserError, match="multiplies the loss by 1024"):
        simple(Hidden, build())


def test_a_scaler_that_has_unscaled_before_the_penalty_enters() -> None:
    class Early(in_steps(Naive, 1, 1024.0)):
        def backward(self) -> None:
            super().backward()
            self.scaler.unscale_(self.optimizer)

    expected = simple(Naive, SIPlugin(strength=50.0))
    torch.testing.assert_close(
        simple(Early, SIPlugin(strength=50.0)), expected, rtol=0, atol=TOLERANCE
    )


def test_scalers_that_are_disabled_or_never_used_have_no_scale() -> None:
    class Spare(Naive):
        unused = GradScaler("cpu", init_scale=1024.0)
        disabled = GradScaler("cpu", init_scale=1024.0, enabled=False)

    expected = simple(Naive, SIPlugin(strength=50.0))
    torch.testing.assert_close(simple(Spare, SIPlugin(strength=50.0)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("base", "options"), [(RWalk, {"strength": 1.0}), (LwF, {}), (SI, {}), (EWC, {})]
)
def test_a_template_that_replaces_backward_loses_no_part_of_a_method(
    base: Any, options: dict[str, Any]
) -> None:
    found = simple(in_steps(base, 1, 1024.0), **options)
    torch.testing.assert_close(found, simple(base, **options), rtol=0, atol=TOLERANCE)


def test_terms_of_a_mini_batch_whose_weight_is_not_known_are_refused() -> None:
    plugin = PFRPlugin(layer="3")
    assert simple(SupervisedTemplate, plugin).isfinite().all()
    with pytest.raises(UserError, match="PFRPlugin adds a term for each mini-batch"):
        simple(in_steps(SupervisedTemplate, 4), PFRPlugin(layer="3"), passes=4)


def test_the_inter_task_penalty_counts_once_per_step() -> None:
    def weights(base: Any, passes: int, strength: float = 20.0) -> Tensor:
        return simple(base, Quantised(strength), passes=passes)

    class Quantised(InterTaskQuantizationPenaltyPlugin):
        """On the parameters as they are, so that no rounding step magnifies rounding."""

        def __init__(self, strength: float) -> None:
            super().__init__(strength=strength, penalty_form="released")

        def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            self._entering.begin()

    expected = weights(Naive, 1)
    assert (weights(Naive, 1, 0.0) - expected).abs().max() > 1e-3
    torch.testing.assert_close(weights(in_steps(Naive, 4), 4), expected, rtol=0, atol=TOLERANCE)


def test_the_example_of_the_page_is_the_plain_training() -> None:
    page = (Path(__file__).parents[3] / "docs" / "accumulation.md").read_text()
    namespace: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], namespace)
    found = simple(namespace["Accumulating"], passes=4, c=50.0)
    torch.testing.assert_close(found, simple(SI, c=50.0), rtol=0, atol=TOLERANCE)
