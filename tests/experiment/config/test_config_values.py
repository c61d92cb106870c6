"""Values that no configuration holds: refused by name, whoever gives them."""

import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.quantization import QuantizationConfig
from cl_strategies.experiment.config.reading import parse_assignment, read_toml
from cl_strategies.experiment.config.run_config import (
    ExperimentConfig,
    RunConfig,
    override,
)
from cl_strategies.experiment.config.train_config import TrainConfig

TABLES = {"benchmark": {"name": "split-digits"}, "strategy": {"name": "si"}}
BIG = "1" + "0" * 400
BEYOND_PRINT = "0x" + "f" * 4500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("benchmark.order=1979-05-27", "benchmark.order is datetime.date"),
        ("model.hidden=[1979-05-27T07:32:00Z]", "model.hidden is datetime.datetime"),
        ("benchmark.data_root=07:32:00", "benchmark.data_root is datetime.time"),
        (f"train.lr={BIG}", "train.lr is an integer of more than 64 bits"),
        (f"train.epochs={BEYOND_PRINT}", "train.epochs is an integer of more than 64 bits"),
        (f"benchmark.order=[{BEYOND_PRINT}]", "benchmark.order is an integer of more"),
        (f"train={{lr={BEYOND_PRINT}}}", "train.lr is an integer of more than 64 bits"),
        ("strategy.xi=nan", "strategy.xi is nan: give a finite number"),
        ("strategy.exclude=['\udcff']", "give text that can be printed"),
        ("model.hidden=" + "[" * 30 + "]" * 30, "in one another"),
    ],
)
def test_an_assignment_of_no_plain_value_is_refused_by_name(text, message):
    with pytest.raises(UserError, match=message):
        parse_assignment(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[benchmark]\norder = 1979-05-27", "run.toml: benchmark.order is datetime.date"),
        (f"train = {BEYOND_PRINT}", "run.toml: train is an integer of more than 64 bits"),
        (f"[train]\nlr = {BIG}", "run.toml: train.lr is an integer of more than 64 bits"),
        (f"[{'.'.join('a' * 2000)}]\n", "in one another"),
    ],
)
def test_a_file_with_no_plain_value_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_toml(path)


@pytest.mark.parametrize("path", [None, 0, ["run.toml"]])
def test_a_file_is_named_by_its_path_only(path):
    with pytest.raises(UserError, match="give the path of a TOML file"):
        ExperimentConfig.from_toml(path)


@pytest.mark.parametrize("tables", [None, [1], "run.toml", [16**4500]])
def test_a_configuration_is_made_of_tables(tables):
    with pytest.raises(UserError, match="the configuration is .*: give a table"):
        ExperimentConfig.from_dict(tables)


@pytest.mark.parametrize("table", [None, [16**4500]])
def test_a_table_of_another_kind_is_refused(table):
    with pytest.raises(UserError, match="train"):
        ExperimentConfig.from_dict({**TABLES, "train": table})
    with pytest.raises(UserError, match="train is .*: give a table"):
        override({"train": table}, {"train.lr": 1.0})


@pytest.mark.parametrize(
    "key",
    ["train.epochs", "train.lr", "train.optimizer", "train.milestones", "run.seed", "run.threads"],
)
def test_none_does_not_stand_for_a_default(key):
    with pytest.raises(UserError, match=f"{key} is None"):
        ExperimentConfig.from_dict(override(TABLES, {key: None}))


def test_none_may_be_said_where_it_is_the_default():
    tables = override(TABLES, {"benchmark.data_root": None, "quantization.first_bits": None})
    read = ExperimentConfig.from_dict(tables)
    assert ExperimentConfig.from_dict(read.to_dict()) == read


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TrainConfig(epochs="a"), "train.epochs is 'a', a str: give an integer"),
        (lambda: TrainConfig(epochs=(1,)), "train.epochs is"),
        (lambda: TrainConfig(lr=None), "train.lr is None"),
        (lambda: TrainConfig(milestones=5), "train.milestones is 5"),
        (
            lambda: TrainConfig(epochs=10**5000),
            "train.epochs is .*: give an integer.* of at most 64 bits",
        ),
        (lambda: RunConfig(seed="a"), "run.seed is 'a', a str: give an integer"),
        (lambda: RunConfig(device=0), "run.device is 0"),
        (lambda: QuantizationConfig(skip=5), "quantization.skip is 5"),
        (lambda: QuantizationConfig(quantizer=None), "quantization.quantizer is None"),
        (lambda: QuantizationConfig(weight_bits=10**5000), "quantization.weight_bits"),
    ],
)
def test_code_is_told_what_a_file_is_told(build, message):
    with pytest.raises(UserError, match=message):
        build()


def test_code_may_write_numbers_as_a_file_may():
    assert TrainConfig(lr=1) == TrainConfig(lr=1.0) and type(TrainConfig(lr=1).lr) is float
    assert TrainConfig(schedule="step", milestones=[2]).milestones == (2,)
    assert QuantizationConfig(skip=["a"]).skip == ("a",)


@pytest.mark.parametrize("threads", [0, 1025, 99999999999])
def test_threads_are_as_many_as_torch_can_start(threads):
    with pytest.raises(
        UserError, match=f"run.threads is {threads}: give an integer from 1 to 1024"
    ):
        RunConfig(threads=threads)


@pytest.mark.parametrize("values", [5, [1], "train.lr=1", {1: 2}, {"train.lr": 10**5000}])
def test_what_is_set_is_a_table_of_plain_values(values):
    with pytest.raises(UserError, match=r"what to set|has the key 1|train.lr is an integer of"):
        override(TABLES, values)
