"""APD with fixed weights on a stream: old answers, what is trained, what is stored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.evaluation import Evaluation
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.lenet import wide_lenet
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins import EWCPlugin
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.strategies import APDFixed

MODELS: dict[str, Any] = {
    "mlp": lambda: mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=(24, 16)),
    "wide-lenet": lambda: wide_lenet(
        input_shape=(1, 8, 8), n_classes=10, scenario="task", channels=(3, 4), hidden=(8, 6)
    ),
}


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=4, scenario="task", order=[2, 0, 3, 1], fraction=0.2)


def learner(model: str = "mlp", plugins: Any = (), **options: Any) -> Any:
    seed_everything(0)
    network = MODELS[model]()
    return APDFixed(
        model=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=0.005, weight_decay=0.1),
        train_mb_size=32,
        train_epochs=1,
        plugins=[ResidentDataPlugin(), *plugins],
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


@torch.no_grad()
def answers(model: Any, labels: list[int]) -> list[Any]:
    """Of a large batch, of a small one, and of one mixed with the other tasks."""
    model.eval()
    x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mixed = model(x[:8], torch.tensor(labels * 4))
    return [*(model(x[:n], label) for label in labels for n in (40, 4)), mixed]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tau", [True, False])
def test_old_tasks_answer_with_the_same_bits_after_later_ones(split, model, tau):
    strategy = learner(model, tau=tau)
    strategy.train(split.train_stream[:2])
    before = answers(strategy.model, [2, 0])
    strategy.train(split.train_stream[2:])
    after = answers(strategy.model, [2, 0])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert strategy.fixed_tasks is True
    assert not any(p.requires_grad for p in strategy.model.parameters())
    assert strategy.optimizer.param_groups[0]["params"] == [] and not strategy.optimizer.state


@pytest.mark.parametrize("tau", [True, False])
def test_only_the_first_task_trains_the_shared_weights(split, tau):
    strategy = learner(tau=tau)
    shared = {name: p.detach().clone() for name, p in strategy.model.named_parameters()}
    strategy.train(split.train_stream[0])
    first = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    moved = [name for name in shared if name in first and name.endswith(".weight")]
    assert moved and not any(torch.equal(shared[name], first[name]) for name in moved)
    strategy.train(split.train_stream[1])
    last = strategy.model.state_dict()
    added = set(last) - set(first)
    assert added and all(".tasks.0." in name or ".heads.0." in name for name in added)
    assert any(name.endswith("residual.values") for name in added) == tau
    del first["_extra_state"]
    assert all(torch.equal(last[name], value) for name, value in first.items())
    for layer in strategy.model.layers.values():
        assert layer.tasks["0"].mask_logits.any()


def config(name: str = "apd-fixed", **options: Any) -> ExperimentConfig:
    stream = {"name": "split-digits", "scenario": "task", "n_experiences": 5, "fraction": 0.1}
    return ExperimentConfig.from_dict(
        {
            "benchmark": stream,
            "model": {"name": "mlp", "hidden": [32, 16]},
            "strategy": {"name": name, **options},
        }
    )


def test_copied_accuracies_are_those_of_full_evaluation(tmp_path, monkeypatch):
    copied = run(config(), tmp_path / "copied")
    assert copied.status == "finished", copied.error
    monkeypatch.setattr(Evaluation, "_may_copy", lambda self, position: False)
    measured = run(config(), tmp_path / "measured")
    assert copied.accuracy_matrix == measured.accuracy_matrix and copied.bytes == measured.bytes


def test_all_tasks_are_evaluated_where_weights_drift(tmp_path, monkeypatch):
    counts: list[int] = []
    whole = Evaluation._measured

    def counted(self: Any, positions: Any) -> Any:
        found = whole(self, positions)
        counts.append(len(found))
        return found

    monkeypatch.setattr(Evaluation, "_measured", counted)
    assert run(config("apd"), tmp_path).status == "finished"
    assert counts == [1, 2, 3, 4, 5]


def test_a_mask_alone_costs_a_number_for_each_output(tmp_path):
    record = run(config(tau=False), tmp_path)
    given = list(record.bytes["parameters"])
    own = 4 * 2 * (32 + 16) + 4 * (16 * 2 + 2)  # masks and biases, and a head of two classes
    shared = 4 * (64 * 32 + 32 * 16)
    for count, found in enumerate(given, 1):
        assert 0 <= found - shared - count * own < 200 * count  # tasks and layers, as text
    assert list(record.bytes["method_state"]) == [0] * 5


def test_a_run_counts_the_values_that_evaluation_uses(tmp_path):
    kept = [run(config(l1=l1), tmp_path).bytes["parameters"][-1] for l1 in (0.0, 0.02)]
    full = 4 * (64 * 32 + 32 * 16)
    assert kept[0] > 6 * full and kept[1] < kept[0] - full / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1": -1.0}, "l1 is -1.0"),
        ({"tau": 3}, "tau"),
        ({"start": "one"}, "unknown start 'one'"),
        ({"plugins": [EWCPlugin(strength=1.0)]}, "EWCPlugin guards .* apd-fixed"),
    ],
)
def test_bad_input_is_refused_when_the_strategy_is_made(options, message):
    with pytest.raises(UserError, match=message):
        learner(**options)
