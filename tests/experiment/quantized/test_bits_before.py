"""`train.bits_before`: the first experience at wider bit-widths, each from the one before."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.models.dynamic_modules import avalanche_model_adaptation
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig, override
from cl_strategies.experiment.config.suite import Suite
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine import wider_widths
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.engine.training import fresh_strategy
from cl_strategies.experiment.engine.watching import Moment
from cl_strategies.experiment.engine.wider_widths import at_width, widths_before
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.seeding import derive_seed, seed_everything
from cl_strategies.experiment.state.checkpoint import load_checkpoint
from cl_strategies.io.packing import unstacked
from cl_strategies.plugins.quantization.conversion import dequantize_model

LSQ: dict[str, Any] = {"strategy": {"name": "naive"}, "quantization": {"quantizer": "lsq"}}
ALIGNQ: dict[str, Any] = {"strategy": {"name": "alignq"}}


def tables(case: dict[str, Any], scenario: str = "class", **train: Any) -> dict[str, Any]:
    made = {
        "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.1},
        "model": {"name": "cnn", "channels": [3, 4], "hidden": 8},
        "train": {"epochs": 1, "batch_size": 16, "optimizer": "sgd", "lr": 0.05, **train},
        **{key: dict(table) for key, table in case.items()},
    }
    made["benchmark"]["scenario"] = scenario
    return made


def config(case: dict[str, Any], *, bits: int = 4, **train: Any) -> ExperimentConfig:
    made = tables(case, **{"bits_before": [32, 8], **train})
    table = "quantization" if "quantization" in case else "strategy"
    made[table] |= {"weight_bits": bits, "activation_bits": bits}
    return ExperimentConfig.from_dict(made)


def model_of(asked: ExperimentConfig, out: Path) -> dict[str, Tensor]:
    """Return the parameters at the end of a run."""
    state = load_checkpoint(RunDirectory(out, asked).checkpoint)["strategy"]
    return dict(unstacked(state["model"]["weights"]))


def chained(asked: ExperimentConfig) -> dict[str, Tensor]:
    """Train the whole run by hand: three strategies, whose networks begin with loaded weights."""
    benchmark = build_benchmark(asked.benchmark)
    first, later = benchmark.train_stream
    weights: dict[str, Tensor] | None = None
    strategy: Any = None
    rates = dict(zip((32, 8), asked.train.lr_before, strict=False))
    for bits in (32, 8, 4):
        rate = rates.get(bits, asked.train.lr)
        changes = {"train.bits_before": [], "train.lr_before": [], "train.lr": rate}
        made = override(asked.to_dict(), changes)
        own = "quantization" if asked.quantization is not None else "strategy"
        if bits == 32 and own == "quantization":
            del made[own]
        elif bits == 32:  # without what AlignQ does to a quantized network
            made[own] = {"name": "naive"}
        else:
            made[own] |= {"weight_bits": bits, "activation_bits": bits}
        plain = ExperimentConfig.from_dict(made)
        seed_everything(derive_seed(0, "initialisation"))
        model = build_model(plain, benchmark.info)
        heads_come = benchmark.info.scenario == "task"
        if weights is not None and not heads_come:
            model.load_state_dict(weights)
        strategy = build_strategy(plain, benchmark.info, model, device="cpu", evaluator=None)
        purpose = ("bits before", bits) if bits > 4 else ("experience", 0)
        seed_everything(derive_seed(0, *purpose))
        if weights is not None and heads_come:
            avalanche_model_adaptation(strategy.model.train(), first)
            strategy.model.load_state_dict(weights)
        strategy.train(first)
        if bits > 4:
            weights = dequantize_model(strategy.model).state_dict()
    seed_everything(derive_seed(0, "experience", 1))
    strategy.train(later)
    found: dict[str, Tensor] = strategy.model.state_dict()
    return found


@pytest.mark.filterwarnings("ignore:No loggers specified")
@pytest.mark.parametrize("scenario", ["class", "task"])  # with heads that are there, and that come
@pytest.mark.parametrize("case", [LSQ, ALIGNQ], ids=["naive under lsq", "alignq"])
def test_a_run_is_a_chain_of_trainings(case: dict[str, Any], scenario: str, tmp_path: Path) -> None:
    asked = config(case, scenario=scenario)
    run(asked, tmp_path)
    found, expected = model_of(asked, tmp_path), chained(asked)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.filterwarnings("ignore:No loggers specified")
def test_a_width_has_the_rate_that_it_is_given(tmp_path: Path) -> None:
    asked = config(LSQ, lr_before=[0.02, 0.01])
    run(asked, tmp_path)
    found = model_of(asked, tmp_path)
    for name, value in chained(asked).items():
        assert torch.equal(found[name], value), name
    narrower = config(LSQ, bits=8, lr_before=[0.02, 0.01])  # 8 is its own width, at its own rate
    assert [at_width(narrower, bits).train.lr for bits in (32, 8)] == [0.02, 0.01]
    model = fresh_strategy(narrower, build_benchmark(narrower.benchmark).info, "cpu").model
    assert widths_before(narrower, model) == [32]
    assert narrower.train.lr == 0.05


def test_a_run_that_is_interrupted_anywhere_ends_where_a_whole_one_ends(tmp_path: Path) -> None:
    asked = config(LSQ, first_epochs=2)
    epochs = [0, 0]

    def count(moment: Moment) -> None:
        epochs[moment.experience] += moment.over

    whole = run(asked, tmp_path / "whole", watch=count)
    assert epochs == [3 * 2, 1]
    seen = 0

    def within(moment: Moment) -> None:
        nonlocal seen
        seen += moment.over
        if seen == 3:
            raise KeyboardInterrupt

    def between(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    for stop in ({"watch": within}, {"progress": between}):
        with pytest.raises(KeyboardInterrupt):
            run(asked, tmp_path / "cut", **stop)  # type: ignore[arg-type]
    assert run(asked, tmp_path / "cut").accuracy_matrix == whole.accuracy_matrix
    for name, value in model_of(asked, tmp_path / "whole").items():
        assert torch.equal(model_of(asked, tmp_path / "cut")[name], value), name


def test_a_network_at_full_precision_does_without(tmp_path: Path) -> None:
    plain = {"strategy": {"name": "naive"}}
    runs = [ExperimentConfig.from_dict(tables(plain, bits_before=bits)) for bits in ([], [32, 8])]
    matrices = [run(asked, tmp_path).accuracy_matrix for asked in runs]
    assert matrices[0] == matrices[1] and runs[0].hash != runs[1].hash
    made = tables({"strategy": {"name": "zeroq"}}, bits_before=[32])
    made["model"] = {"name": "small-resnet", "channels": [2, 4], "stem_stride": 1}
    data_free = ExperimentConfig.from_dict(made)
    info = build_benchmark(data_free.benchmark).info
    assert widths_before(data_free, fresh_strategy(data_free, info, "cpu").model) == []


def test_only_widths_above_the_own_are_trained_before() -> None:
    info = build_benchmark(config(LSQ).benchmark).info
    for bits, expected in ((32, []), (8, [32]), (3, [32, 8, 4])):
        asked = config(LSQ, bits=bits, bits_before=[32, 8, 4, 3])
        model = fresh_strategy(asked, info, "cpu").model
        assert widths_before(asked, model) == expected
    weights_only = override(
        config(LSQ).to_dict(),
        {"quantization.activation_bits": 32, "quantization.first_bits": 8},
    )
    asked = ExperimentConfig.from_dict(weights_only)
    wider = at_width(asked, 8).quantization
    assert wider is not None and (wider.weight_bits, wider.activation_bits) == (8, 32)
    assert at_width(asked, 32).quantization is None
    assert at_width(asked, 4) == asked


def test_a_suite_has_the_widths_of_each_of_its_rows() -> None:
    suite = Suite(
        benchmarks=[{"name": "split-digits"}],
        strategies=[{"name": "naive", "label": "fp32"}, {"name": "alignq"}],
        bits=[8, 2],
        shared={"train": {"bits_before": [32, 8, 4, 3]}},
    )
    assert {one.train.bits_before for one in suite.configs()} == {(32, 8, 4, 3)}
    assert len(suite.configs()) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train.bits_before": [8, 32]}, "give falling bit-widths"),
        ({"train.bits_before": [8, 8]}, "give falling bit-widths"),
        ({"train.bits_before": [16]}, "a number in train.bits_before is 16"),
        ({"train.bits_before": 8}, "train.bits_before is 8: give a list"),
        ({"train.lr_before": [0.1]}, "give a rate for each width"),
        ({"train.lr_before": [0.1, 0.0]}, "train.lr_before"),
        ({"train.lr_before": 0.1}, "train.lr_before is 0.1: give a list"),
        ({"quantization.calibrate": "memory"}, "train.bits_before is of training at few bits"),
    ],
)
def test_what_cannot_be_is_refused_before_any_training(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ExperimentConfig.from_dict(override(config(LSQ).to_dict(), change))


def test_a_network_that_becomes_another_one_is_refused(tmp_path: Path) -> None:
    made = config(LSQ).to_dict() | {"strategy": {"name": "icarl", "mem_bytes": 5_000}}
    record = run(ExperimentConfig.from_dict(made), tmp_path)
    assert record.error is not None and not any(map(any, record.accuracy_matrix))
    assert "cannot hand the weights of 32 bits over" in record.error["message"]


def test_a_method_that_quantizes_by_itself_is_its_host_at_full_precision() -> None:
    for host, expected in (("naive", {}), ("dsan:strength=0.3", {"strength": 0.3, "kernels": 5})):
        asked = config({"strategy": {"name": "alignq", "host": host}})
        full = at_width(asked, 32)
        assert full.strategy.name == host.partition(":")[0]
        assert expected.items() <= full.strategy.options.items()
        assert at_width(asked, 8).strategy.options["host"] == host


def test_a_run_that_does_not_ask_for_it_is_the_run_of_before() -> None:
    asked = config(LSQ, bits_before=[])
    assert not {"bits_before", "lr_before"} & set(asked.to_dict()["train"])
    assert ExperimentConfig.from_dict(config(LSQ).to_dict()) == config(LSQ)


def test_the_examples_in_docstrings_hold() -> None:
    result = doctest.testmod(wider_widths)
    assert result.attempted > 0 and result.failed == 0
