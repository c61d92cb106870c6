"""A method that was trained at full precision goes on with a quantized network: its checkpoint
loads, and what it remembers by the names of parameters still fits and acts."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.plugin import QuantizationPlugin, quantize_strategy

#: Strategy -> the strength at which its penalty acts here.
METHODS = {
    "ewc": {"strength": 100.0},
    "mas": {"strength": 0.1},
    "si": {"c": 1.0},
    "alasso": {"c": 1.0},
    "rwalk": {"strength": 1.0},
    "scp": {"strength": 1.0},
}


def made(name: str) -> tuple[Any, Any]:
    config = ExperimentConfig.from_dict(
        {
            "benchmark": {"name": "permuted-digits", "n_experiences": 2, "fraction": 0.2},
            "model": {"name": "mlp", "hidden": [16, 16]},
            "train": {"batch_size": 16, "epochs": 2, "optimizer": "sgd", "lr": 0.05},
            "strategy": {"name": name, **METHODS.get(name, {})},
        }
    )
    seed_everything(0)
    benchmark = build_benchmark(config.benchmark)
    model = build_model(config, benchmark.info)
    strategy = build_strategy(config, benchmark.info, model, device="cpu", evaluator=None)
    return strategy, benchmark


def saved(strategy: Any) -> Any:
    """What comes back from a file that holds no code."""
    file = io.BytesIO()
    torch.save(capture_state(strategy), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def second_task(strategy: Any, benchmark: Any) -> torch.Tensor:
    """Quantize, train on the second task; the parameters at its end."""
    plugin = QuantizationPlugin(quantizer="lifequant", weight_bits=3, activation_bits=3)
    before = {key: value.detach().clone() for key, value in strategy.model.named_parameters()}
    quantize_strategy(strategy, plugin)
    for key, value in strategy.model.named_parameters():
        assert torch.equal(value, before[key])
    seed_everything(2)
    strategy.train(benchmark.train_stream[1])
    layers = quantized_layers(strategy.model).values()
    assert len(layers) == 2
    assert all(len(layer.quantized_weight().unique()) <= 8 for layer in layers)
    return torch.cat([p.detach().flatten() for p in strategy.model.parameters()])


@pytest.mark.parametrize("name", METHODS)
def test_a_full_precision_method_goes_on_quantized(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, benchmark = made(name)
        seed_everything(1)
        first.train(benchmark.train_stream[0])
        restored, _ = made(name)
        restore_state(restored, saved(first), experiences_seen=[benchmark.train_stream[0]])
        forgetful, _ = made("naive")
        forgetful.model.load_state_dict(first.model.state_dict())
        ends = [second_task(strategy, benchmark) for strategy in (restored, forgetful)]
    assert (ends[0] - ends[1]).abs().max() > 1e-3  # the penalty of the first task is found by name


def test_the_state_of_a_quantized_method_is_refused_at_another_bit_width() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        four, benchmark = made("ewc")
        quantize_strategy(four, QuantizationPlugin(weight_bits=4))
        four.train(benchmark.train_stream[0])
        state = saved(four)
        three, _ = made("ewc")
        quantize_strategy(three, QuantizationPlugin(weight_bits=3))
        before = [p.detach().clone() for p in three.model.parameters()]
        with pytest.raises(UserError, match="4 bits.*3 bits|quantized in the same way|settings"):
            restore_state(three, state, experiences_seen=[benchmark.train_stream[0]])
    assert all(map(torch.equal, before, three.model.parameters()))
