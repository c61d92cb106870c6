"""Lifelong baselines on a quantized network: each has a penalty that acts from the second task on.

The released code of LifeQuant compares with SI and RWalk whose importances are all zero, which is
plain fine-tuning under their names.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin

from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers

#: Option that scales the penalty, a value at which it acts, and other options.
PENALTIES: dict[str, tuple[str, float, dict[str, Any]]] = {
    "ewc": ("strength", 100.0, {}),
    "si": ("c", 1.0, {}),
    "mas": ("strength", 0.1, {}),
    "rwalk": ("strength", 1.0, {"delta_t": 2}),
    "scp": ("strength", 1.0, {}),
    "pfr": ("strength", 1.0, {}),
}
#: A penalty of parameters and one in the loss: with another quantizer, too.
LSQ = ["ewc", "pfr"]
WEIGHTS = dict[str, torch.Tensor]


class Penalty(SupervisedPlugin):
    """What the loss gains, or what the surrogate says it would, in each mini-batch."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[list[float]] = []

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.values.append([])

    def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        if hasattr(strategy.plugin, "value"):
            self.values[-1].append(float(strategy.plugin.value(strategy.model)))
        else:  # in the loss, which was evaluated before the step
            plain = strategy._criterion(strategy.mb_output, strategy.mb_y)
            self.values[-1].append(float(strategy.loss.detach() - plain.detach()))


def trained(name: str, quantizer: str, bits: int, strength: float) -> tuple[list[WEIGHTS], Any]:
    """The weights after each of two tasks, and the penalties."""
    option, _, more = PENALTIES[name]
    config = ExperimentConfig.from_dict(
        {
            "benchmark": {"name": "permuted-digits", "n_experiences": 2, "fraction": 0.1},
            "model": {"name": "mlp", "hidden": [16, 16]},
            "train": {"batch_size": 16, "epochs": 2, "optimizer": "sgd", "lr": 0.05},
            "strategy": {"name": name, option: strength, **more},
            "quantization": {
                "quantizer": quantizer,
                "weight_bits": bits,
                "activation_bits": bits,
            },
        }
    )
    seed_everything(0)
    benchmark = build_benchmark(config.benchmark)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build_model(config, benchmark.info)
        strategy = build_strategy(config, benchmark.info, model, device="cpu", evaluator=None)
        penalty = Penalty()
        strategy.plugins.append(penalty)
        weights = []
        for position, experience in enumerate(benchmark.train_stream):
            seed_everything(position)
            strategy.train(experience)
            assert len(quantized_layers(strategy.model)) == 2
            state = strategy.model.state_dict()
            weights.append({name: tensor.clone() for name, tensor in state.items()})
    return weights, penalty.values


def same(a: WEIGHTS, b: WEIGHTS) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("name", "quantizer", "bits"),
    [
        *((name, "lifequant", 2) for name in PENALTIES),
        *((name, "lsq", 2) for name in LSQ),
        *(
            pytest.param(name, "lsq", 2, marks=pytest.mark.slow)
            for name in PENALTIES
            if name not in LSQ
        ),
        *(pytest.param(name, "lifequant", 4, marks=pytest.mark.slow) for name in PENALTIES),
    ],
)
def test_the_penalty_acts_from_the_second_task_on_and_not_before(name, quantizer, bits):
    strength = PENALTIES[name][1]
    with_penalty, values = trained(name, quantizer, bits, strength)
    without, nothing = trained(name, quantizer, bits, 0.0)

    assert same(with_penalty[0], without[0])
    assert not same(with_penalty[1], without[1])
    assert max(map(abs, values[0])) < 1e-6
    assert max(values[1]) > 1e-5
    assert max(map(abs, nothing[1])) < 1e-6
