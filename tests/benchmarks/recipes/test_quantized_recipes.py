"""The recipes of low-bit training: fair where they are run here, true to the papers they quote."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.config.suite import Suite, label_of, recipes
from cl_strategies.experiment.setup.rate_groups import rate_groups
from cl_strategies.experiment.sweep.tuning import trials
from cl_strategies.registry import registry

#: Accuracy and forgetting that LifeQuant's supplement prints for LifeQuant, column by column.
LIFEQUANT = {
    "lifequant-cifar100": ["50.15 22.38", "46.21 16.08", "36.94 42.99", "34.32 41.63"],
    "lifequant-office-31-resnet50": ["48.54 38.96", "46.54 42.59", "25.65 58.63", "17.23 63.90"],
    "lifequant-office-31-mobilenet-v2": ["86.36 8.00", "47.10 21.48", "76.96 12.45", "70.71 21.33"],
    "lifequant-imageclef-resnet50": ["81.11 5.50", "80.27 6.88", "77.00 5.36", "74.66 1.48"],
    "lifequant-imageclef-mobilenet-v2": ["77.50 10.46", "76.38 7.71", "76.39 2.30", "76.11 1.63"],
}
LIFELONG = {"ewc", "si", "mas", "rwalk", "scp", "pfr"}
RUN_HERE = {"lifequant-ablation"}
LIFEQUANT_ROWS = {
    "lifequant",
    "lifequant w/o space reg.",
    *(f"lifequant, alpha {alpha}" for alpha in (0.25, 0.5, 1.5)),
}
PLAIN = {"uniform", "dorefa", "lsq", "llsq", "apot", "proxq"}
DATA_FREE = {"zeroq", "zaq", "qimera", "intraq"}


def bits_of(config: ExperimentConfig) -> int | None:
    table = config.quantization and config.quantization.to_table()
    return (table or config.strategy.options).get("weight_bits")


@pytest.mark.parametrize("name", LIFEQUANT)
def test_a_recipe_of_lifequant_has_its_numbers_and_its_baselines(name: str) -> None:
    suite = Suite.from_toml(name)
    found = [" ".join(table.values["lifequant"]) for table in suite.published]
    assert found == LIFEQUANT[name]
    assert {label_of(row) for row in suite.strategies} >= LIFELONG | {"lifequant"}
    widths = {int(table.setting.split(", ")[-1].split()[0]) for table in suite.published}
    assert widths == set(suite.bits)
    for config in suite.configs():
        if config.strategy.name == "lifequant":
            assert config.strategy.options["strength"] == 100.0
            assert config.strategy.options["replay_ratio"] == 0.2
        elif config.strategy.name in LIFELONG:
            assert config.quantization is not None
            assert config.quantization.quantizer == "lifequant"


def test_the_bound_of_the_standard_space_is_varied_as_in_the_paper() -> None:
    suite = Suite.from_toml("lifequant-alpha")
    assert [row.get("alpha") for row in suite.strategies] == [0.25, 0.5, 1.0, 1.5, None]
    assert suite.strategies[-1]["standardize"] is False
    assert suite.published[0].values["alpha 1"] == ("50.15", "22.38")
    assert suite.published[-1].values["alpha 1.5"] == ("74.89", "5.05")


@pytest.mark.parametrize("name", ["alignq-cifar10", "alignq-svhn"])
def test_a_recipe_of_alignq_trains_everything_at_once_at_four_widths(name: str) -> None:
    configs = Suite.from_toml(name).configs()
    assert {config.benchmark.options["n_experiences"] for config in configs} == {1}
    widths = Counter(bits_of(config) for config in configs if config.strategy.name == "alignq")
    assert widths == {8: 6, 4: 6, 3: 6, 2: 6}  # three seeds, with and without the second part


@pytest.mark.parametrize("method", ["dann", "dsan"])
def test_the_layers_that_alignq_trains_at_the_full_rate_are_there(method: str) -> None:
    """With ResNet-18 in the place of ResNet-50, whose layers have the same names."""
    suite = Suite.from_toml(f"alignq-office-31-{method}")
    options = {k: v for k, v in suite.shared["model"].items() if k not in ("name", "weights")}
    factors = tuple(suite.shared["train"]["lr_factors"].items())
    model = registry("models")["resnet18"].load()(
        input_shape=(3, 32, 32), n_classes=31, scenario="domain", **options
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    plain, slow = rate_groups(model, factors, 0.01)
    layer = {"backbone.fc.weight", "backbone.fc.bias"} if method == "dsan" else set()
    assert {names[id(one)] for one in plain["params"]} == {"head.weight", "head.bias"} | layer
    assert (plain["lr"], slow["lr"]) == (0.01, 0.001)
    assert model.head.in_features == (256 if method == "dsan" else 512)
    for config in suite.configs():
        table = config.quantization and config.quantization.to_table()
        skip = (table or config.strategy.options).get("skip", ())
        assert list(skip) == (["backbone.fc"] if layer and bits_of(config) else [])


def test_low_bit_gives_every_method_the_same_training() -> None:
    suite = Suite.from_toml("low-bit")
    labels = {label_of(row) for row in suite.strategies}
    others = {"alignq", "replay", "fp32", "replay-fp32"}
    assert labels == PLAIN | DATA_FREE | LIFELONG | LIFEQUANT_ROWS | others
    shared = {
        f"{config.benchmark} {config.model} {sorted(vars(config.train).items())}"
        for config in suite.configs()
    }
    assert len(shared) == len(suite.benchmarks) == 2
    runs = Counter((config.benchmark.name, bits_of(config)) for config in suite.configs())
    for name in ("overlapping-fashion-mnist", "digit-domains"):
        assert [runs[name, bits] for bits in (None, 4, 3, 2)] == [10, 115, 115, 115]


def test_low_bit_tunes_a_strength_of_every_penalty_with_as_many_trials() -> None:
    suite = Suite.from_toml("low-bit")
    tried = Counter((trial.benchmark, trial.strategy) for trial in trials(suite))
    streams = {bench["name"] for bench in suite.benchmarks}
    penalties = LIFELONG | {"lifequant"}
    assert set(tried) == {(bench, row) for bench in streams for row in {*penalties, "proxq"}}
    assert len({tried[bench, row] for bench in streams for row in penalties}) == 1
    for bench in suite.benchmarks:
        strengths = {row: bench["strategies"][row]["strength"] for row in LIFEQUANT_ROWS}
        assert len(set(strengths.values())) == 1


def test_low_bit_replays_as_many_images_as_lifequant_keeps() -> None:
    from cl_strategies.benchmarks import load
    from cl_strategies.plugins.quantization.ratio_replay import choose

    suite = Suite.from_toml("low-bit")
    for row in suite.benchmarks:
        options = {key: row[key] for key in ("image_size", "fraction") if key in row}
        kept = sum(
            len(choose(torch.tensor(list(experience.dataset.targets)), 0.2))
            for experience in load(row["name"], **options).train_stream
        )
        for label in ("replay", "replay-fp32"):
            assert row["strategies"][label]["mem_size"] == kept


@pytest.mark.parametrize(
    "name",
    sorted(n for n in recipes() if n.startswith(("lifequant", "alignq")) and n not in RUN_HERE),
)
def test_what_was_not_run_here_says_so(name: str) -> None:
    assert "This setting has not been run here" in recipes()[name].read_text()
