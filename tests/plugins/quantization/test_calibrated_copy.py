"""A quantized copy, calibrated from a memory of exemplars, is evaluated; the network trains on."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.storage_policy import (
    ClassBalancedBuffer,
    ExperienceBalancedBuffer,
    ReservoirSamplingBuffer,
)
from avalanche.training.supervised import Naive

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.quantization import QuantizationConfig
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.models import cnn
from cl_strategies.plugins import CalibratedCopyPlugin, CompressedReplayPlugin, QuantizationPlugin
from cl_strategies.plugins.quantization.calibrated_copy import evaluated_model
from cl_strategies.plugins.quantization.calibration.samples import calibration_batches
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.strategies import DarkER, Replay, SingleTask

BITS = {"weight_bits": 8, "activation_bits": 8}


def stream(scenario: str = "class") -> Any:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(48, 1, 8, 8, generator=generator), torch.arange(4).repeat(12)
    parts = [(x[chosen], y[chosen]) for chosen in (y < 2, y >= 2)]
    return build_benchmark(parts, parts, name="halves", scenario=scenario)


def built(kind: Any, scenario: str = "class", plugins: Any = (), **options: Any) -> Any:
    torch.manual_seed(0)
    model = cnn(input_shape=(1, 8, 8), n_classes=4, scenario=scenario, channels=[4, 4])
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=8,
        evaluator=None,
        plugins=list(plugins),
        **options,
    )


def with_copy(kind: Any, scenario: str = "class", **options: Any) -> tuple[Any, Any]:
    plugin = CalibratedCopyPlugin(**BITS)
    return built(kind, scenario, [plugin], **options), plugin


@pytest.mark.parametrize("scenario", ["class", "task"])
@pytest.mark.parametrize("kind", [Replay, DarkER])
def test_the_network_trains_as_without_and_the_copy_is_evaluated(kind, scenario):
    benchmark = stream(scenario)
    plain, (strategy, plugin) = built(kind, scenario), with_copy(kind, scenario)
    torch.manual_seed(1)
    for experience in benchmark.train_stream:
        plain.train(experience)
        plain.eval(benchmark.test_stream)
    torch.manual_seed(1)
    seen = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        assert plugin.evaluated_model is None and evaluated_model(strategy) is strategy.model
        strategy.eval(benchmark.test_stream)
        assert quantized_layers(plugin.evaluated_model) and not quantized_layers(strategy.model)
        assert evaluated_model(strategy) is plugin.evaluated_model
        seen.append(plugin.evaluated_model)
    assert seen[0] is not seen[1]
    weights = zip(plain.model.parameters(), strategy.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


def buffers() -> list[Any]:
    return [ReservoirSamplingBuffer(9), ClassBalancedBuffer(9), ExperienceBalancedBuffer(9)]


@pytest.mark.parametrize("buffer", buffers(), ids=lambda b: type(b).__name__)
def test_the_memories_of_avalanche_are_samples(buffer):
    memory = ReplayPlugin(9, storage_policy=buffer)
    strategy = built(Naive, plugins=[memory, plugin := CalibratedCopyPlugin(**BITS)])
    benchmark = stream()
    for experience in benchmark.train_stream:
        strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    assert plugin.evaluated_model is not None
    assert sum(len(x) for x, _ in calibration_batches(memory, 100)) == len(buffer.buffer)


@pytest.mark.parametrize("codec", ["raw", "jpeg", "downsample"])
def test_stored_images_are_samples_also_after_a_checkpoint(codec):
    def made() -> tuple[Any, Any]:
        memory = CompressedReplayPlugin(mem_bytes=3000, codec=codec)
        plugin = CalibratedCopyPlugin(**BITS)
        return built(Naive, plugins=[memory, plugin]), plugin

    benchmark = stream()
    strategy, plugin = made()
    for experience in benchmark.train_stream:
        strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    other, its_plugin = made()
    restore_state(other, capture_state(strategy), experiences_seen=list(benchmark.train_stream))
    other.eval(benchmark.test_stream)
    first, second = (p.evaluated_model.state_dict() for p in (plugin, its_plugin))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_evaluations_within_an_experience_are_of_the_network():
    strategy, plugin = with_copy(Replay, eval_every=1)
    strategy.train(stream().train_stream[0])
    assert plugin.trained and plugin.evaluated_model is None


def test_what_broke_an_evaluation_off_is_put_right_by_the_next_call():
    strategy, plugin = with_copy(Replay)
    benchmark = stream()
    strategy.train(benchmark.train_stream[0])
    network = strategy.model
    plugin.before_eval(strategy)
    assert strategy.model is plugin.evaluated_model
    strategy.train(benchmark.train_stream[1])
    assert strategy.model is network


def test_a_strategy_without_a_memory_or_with_networks_of_its_own_is_refused():
    benchmark = stream("task")
    strategy, _ = with_copy(SingleTask, "task")
    with pytest.raises(UserError, match="keeps no exemplars"):
        strategy.train(benchmark.train_stream[0])
    strategy, plugin = with_copy(Replay, "task")
    strategy.train(benchmark.train_stream[0])
    plugin.before_eval(strategy)
    with pytest.raises(UserError, match="networks of its own"):
        plugin.after_eval(strategy)  # nothing was computed in between


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"calibrate": "memory", "step_lr": 0.1}, "is of training"),
        ({"method": "percentile"}, 'needs calibrate = "memory"'),
        ({"calibrate": "exemplars"}, "calibrate"),
        ({"calibrate": "memory", "bins": 3000, "method": "min-max"}, "does nothing"),
    ],
)
def test_settings_that_do_nothing_are_refused(table, message):
    with pytest.raises(UserError, match=message):
        QuantizationConfig.from_table(table)


def test_what_cannot_be_calibrated_is_said_before_any_training():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    with pytest.raises(UserError, match="at least 2 bits"):
        CalibratedCopyPlugin(weight_bits=1).quantize(model)


def test_the_table_of_a_run_is_what_it_was_without_calibration():
    plain = QuantizationConfig.from_table({"quantizer": "lsq"})
    assert not {"calibrate", "method", "samples"} & set(plain.to_table())
    assert type(plain.plugin()) is QuantizationPlugin
    table = {"calibrate": "memory", "rounding": "adaround", "iterations": 7, "per_channel": True}
    found = QuantizationConfig.from_table(copy.deepcopy(table))
    assert QuantizationConfig.from_table(found.to_table()) == found
    plugin = found.plugin()
    assert type(plugin) is CalibratedCopyPlugin and plugin.calibration["iterations"] == 7
