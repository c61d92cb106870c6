"""The table [quantization]: any strategy becomes a low-bit one, and resumes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import small
import torch

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.quantization import quantizes_itself
from cl_strategies.experiment.config.run_config import ExperimentConfig, override
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.experiment.state.checkpoint import load_checkpoint
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.registry import registry

NAMES = [entry.name for entry in registry("strategies") if not quantizes_itself(entry.name)]
#: These train any quantized model. Others may put layers of their own in the place of the
#: network's, and then name the layer that they cannot handle.
ALWAYS = {
    *("naive", "joint", "cumulative", "single-task", "ewc", "mas", "rwalk", "lwf", "replay"),
    *("agem", "gdumb", "dark-er", "l2", "si", "alasso", "cim", "compressed-replay"),
}
LIFELONG = ["naive", "ewc", "si", "mas", "rwalk", "scp", "pfr"]


def tables(name: str = "naive", **quantization: Any) -> dict[str, Any]:
    network = small.network(name)
    if network["name"] == "mlp":
        network["hidden"] = [16, 16]  # a layer that is neither the first nor the last
    return {
        "benchmark": {"name": "split-digits", "n_experiences": 3, "fraction": 0.2},
        "strategy": {"name": name, **small.OPTIONS.get(name, {})},
        "model": small.network(name)
        | ({"hidden": [16, 16]} if "hidden" in small.network(name) else {}),
        "train": {"batch_size": 16},
        "quantization": quantization,
    }


def config(name: str = "naive", **quantization: Any) -> ExperimentConfig:
    made = tables(name, **quantization)
    scenarios = registry("strategies")[name].scenarios
    if "target" in registry("strategies")[name].fixed:  # of a domain without labels
        made["benchmark"] = {
            "name": "adaptation-digits",
            "targets": "inverted-photo-noisy",
            "fraction": 0.2,
        }
    made["benchmark"]["scenario"] = scenarios[0]
    return ExperimentConfig.from_dict(made)


def built(made: ExperimentConfig) -> tuple[Any, Any]:
    seed_everything(0)
    benchmark = build_benchmark(made.benchmark)
    model = build_model(made, benchmark.info)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        strategy = build_strategy(made, benchmark.info, model, device="cpu", evaluator=None)
    return strategy, benchmark


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({}, "si-split-digits-s0-3538c7428cdd"),
        (
            {
                "benchmark": {"name": "permuted-digits", "n_experiences": 3},
                "strategy": {"name": "ewc"},
                "train": {"epochs": 2, "optimizer": "sgd", "lr": 0.1},
                "run": {"seed": 3},
            },
            "ewc-permuted-digits-s3-e535abdd3456",
        ),
    ],
)
def test_run_directories_without_the_table_keep_their_names(changes, slug):
    made = {"benchmark": {"name": "split-digits"}, "strategy": {"name": "si", "c": 2.0}, **changes}
    assert ExperimentConfig.from_dict(made).slug == slug


def test_a_config_with_the_table_is_written_and_read_back(tmp_path):
    made = config("ewc", quantizer="lifequant", weight_bits=2, alpha=0.5, skip=["head"])
    assert ExperimentConfig.from_dict(made.to_dict()) == made
    directory = RunDirectory(tmp_path, made)
    with directory.owned():
        directory.describe([{}])
    read = ExperimentConfig.from_toml(directory.path / "config.toml")
    assert read == made and read.hash == made.hash


def test_every_bit_changes_the_hash_and_a_default_said_aloud_does_not():
    hashes = {config(weight_bits=bits).hash for bits in (2, 3, 4)} | {config(quantizer="pact").hash}
    assert len(hashes) == 4
    said = config(quantizer="lsq", weight_bits=4, last_bits=32, per_channel=False)
    assert said.hash == config().hash


def test_the_command_line_can_quantize_any_run():
    plain = tables()
    del plain["quantization"]
    made = ExperimentConfig.from_dict(override(plain, {"quantization.weight_bits": 3}))
    assert made.quantization is not None and made.quantization.weight_bits == 3


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("naive", {"quantizer": "lsqq"}, "unknown quantizer 'lsqq'.*did you mean lsq"),
        ("naive", {"weight_bit": 4}, r"key of \[quantization\].*did you mean weight_bits"),
        ("naive", {"alpha": 1.0}, r"key of \[quantization\] 'alpha'"),
        ("naive", {"weight_bits": 9}, "quantization.weight_bits is 9: give one of 1, 2"),
        ("naive", {"first_bits": True}, "quantization.first_bits is True"),
        ("naive", {"weight_bits": "4"}, "quantization.weight_bits is '4', a str: give one of 1"),
        ("naive", {"step_lr": -0.1}, "step_lr is -0.1"),
        ("naive", {"skip": [3]}, "skip is .3., a list: give a list of texts"),
        ("lifequant", {}, "lifequant quantizes its model itself: set strategy.weight_bits"),
        ("alignq", {"weight_bits": 4}, "alignq quantizes its model itself"),
    ],
)
def test_a_wrong_table_is_answered_with_what_was_expected(name, table, message):
    with pytest.raises(UserError, match=message):
        config(name, **table)


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_trains_a_quantized_model_or_refuses_it(name):
    try:
        strategy, benchmark = built(config(name, quantizer="lsq", weight_bits=3))
        before = {key: value.clone() for key, value in strategy.model.named_parameters()}
        if getattr(strategy, "trains_jointly", False):
            strategy.train(list(benchmark.train_stream))
        else:
            for experience in benchmark.train_stream[:2]:
                strategy.train(experience)
    except UserError as error:
        named = any(word in str(error) for word in ("QuantLinear", "QuantConv2d", "quantized"))
        assert name not in ALWAYS and named
        return
    strategy.eval(benchmark.test_stream[:1])
    layers = quantized_layers(strategy.model)
    assert len(layers) == 2
    for layer in layers.values():
        assert layer.weight_quantizer.bits == 3
        assert len(layer.quantized_weight().unique()) <= 8
    steps = {key: v for key, v in strategy.model.named_parameters() if key.endswith(".step")}
    assert steps and any(not torch.equal(value, before[key]) for key, value in steps.items())
    decays = {
        id(p): group["weight_decay"]
        for group in strategy.optimizer.param_groups
        for p in group["params"]
    }
    assert all(decays[id(step)] == 0 for step in steps.values())


def test_single_task_keeps_a_quantized_model_for_each_experience():
    strategy, benchmark = built(config("single-task", weight_bits=2))
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    for model in strategy.models.values():
        assert [m.weight_quantizer.bits for m in model.modules() if isinstance(m, QuantizedLayer)]


@pytest.mark.parametrize(
    "quantizer",
    [
        pytest.param(entry.name, marks=() if entry.name in ("lsq", "apot") else pytest.mark.slow)
        for entry in registry("quantizers")
    ],
)
def test_a_run_records_the_size_of_its_packed_model(quantizer, tmp_path):
    full = ExperimentConfig.from_dict({k: v for k, v in tables().items() if k != "quantization"})
    plain = run(full, tmp_path)
    assert plain.metrics.keys().isdisjoint({"packed_bytes", "weight_bytes"})
    sizes = {}
    for bits in (2, 4):
        made = config(quantizer=quantizer, weight_bits=bits, activation_bits=bits)
        record = run(made, tmp_path)
        assert record.finished, record.error
        sizes[bits] = record.metrics["packed_bytes"]
        weights = 64 * 16 + 16 * 16
        assert record.metrics["weight_bytes"] == (bits * weights + 32 * (16 * 10)) / 8
    assert sizes[2] < sizes[4] < plain.metrics["parameter_bytes"]


def test_levels_that_need_more_bits_than_were_paid_for_have_no_packed_size(tmp_path):
    record = run(config(quantizer="lifequant", clamp=False), tmp_path)
    assert record.metrics["packed_bytes"] is None and record.metrics["weight_bytes"]


@pytest.mark.parametrize("name", LIFELONG)
def test_an_interrupted_quantized_run_ends_where_a_whole_one_ends(name, tmp_path):
    made = config(name, quantizer="lsq", weight_bits=2)
    whole = run(made, tmp_path / "whole")

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "parts", progress=stop)
    assert RunDirectory(tmp_path / "parts", made).checkpoint.exists()
    resumed = run(made, tmp_path / "parts")
    assert resumed.accuracy_matrix == whole.accuracy_matrix
    states = [
        load_checkpoint(RunDirectory(tmp_path / part, made).checkpoint)["strategy"]
        for part in ("whole", "parts")
    ]
    assert _tensors(states[0]) and _same(states[0], states[1])


def _tensors(state: Any) -> list[torch.Tensor]:
    if torch.is_tensor(state):
        return [state]
    values = state.values() if isinstance(state, dict) else state
    return (
        [t for value in values for t in _tensors(value)]
        if isinstance(state, dict | list | tuple)
        else []
    )


def _same(a: Any, b: Any) -> bool:
    first, second = _tensors(a), _tensors(b)
    return len(first) == len(second) and all(map(torch.equal, first, second))
