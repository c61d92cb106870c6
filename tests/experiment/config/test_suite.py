"""From one file to many configs."""

import tomllib
from datetime import date

import pytest
import tomli_w

from cl_strategies.cli.describing.describe_suite import describe_suite
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.suite import Suite, recipes
from cl_strategies.experiment.config.suite_parts import part_of
from cl_strategies.experiment.sweep.tuning import trials, tune
from cl_strategies.experiment.sweep.tuning_grid import at_border

TABLES = {
    "suite": {"name": "small", "seeds": [0, 1]},
    "train": {"epochs": 2, "lr": 0.01},
    "benchmarks": [
        {
            "name": "permuted-digits",
            "n_experiences": 3,
            "train": {"epochs": 4},
            "strategies": {"si": {"c": 30.0, "train": {"lr": 0.5}}},
        },
        {"name": "split-digits"},
    ],
    # as suites of version 0.1.0 have it
    "strategies": [{"name": "naive"}, {"name": "si", "c": 3.0, "strength": "c"}],
    "tuning": {
        "seeds": [7],
        "validation": 0.2,
        "grid": {"train.lr": [0.1, 0.2], "strength": [1.0, 2.0, 3.0]},
    },
}


def suite(tmp_path, **changes):
    path = tmp_path / "suite.toml"
    path.write_text(tomli_w.dumps({**TABLES, **changes}))
    return Suite.from_toml(path)


def test_a_suite_is_the_product_of_benchmarks_strategies_and_seeds(tmp_path):
    configs = suite(tmp_path).configs()
    assert len(configs) == len({c.hash for c in configs}) == 2 * 2 * 2
    assert {c.run.seed for c in configs} == {0, 1}


def test_the_more_special_table_wins(tmp_path):
    configs = {(c.benchmark.name, c.strategy.name): c for c in suite(tmp_path).configs()}
    special = configs["permuted-digits", "si"]
    assert (special.strategy.options["strength"], special.train.lr, special.train.epochs) == (
        30.0,
        0.5,
        4,
    )
    general = configs["split-digits", "si"]
    assert (general.strategy.options["strength"], general.train.lr, general.train.epochs) == (
        3.0,
        0.01,
        2,
    )
    assert configs["permuted-digits", "naive"].train.lr == 0.01


@pytest.mark.parametrize("name", ["c", "strength"])
def test_an_option_is_one_under_all_of_its_names(tmp_path, name):
    configs = suite(tmp_path).configs({f"strategy.{name}": 5.0, "strategy.name": "si"})
    assert {c.strategy.options["strength"] for c in configs} == {5.0}


def test_overrides_beat_every_table(tmp_path):
    configs = suite(tmp_path).configs({"train.epochs": 9})
    assert {c.train.epochs for c in configs} == {9}


def test_orders_multiply_the_runs(tmp_path):
    changed = {**TABLES["suite"], "orders": [0, 1, 2]}
    configs = suite(tmp_path, suite=changed).configs()
    assert len(configs) == 2 * 2 * 2 * 3
    assert {c.benchmark.options["order"] for c in configs} == {0, 1, 2}


def test_orders_may_be_named(tmp_path):
    changed = {**TABLES["suite"], "orders": ["A", "E"]}
    benchmarks = [{"name": "task-digits"}]
    configs = suite(tmp_path, suite=changed, benchmarks=benchmarks).configs()
    assert {c.benchmark.options["order"] for c in configs} == {"A", "E"}


def test_a_strategy_may_stand_twice_under_different_labels(tmp_path):
    rows = [{"name": "si", "label": f"si-{c}", "c": c} for c in (1.0, 2.0)]
    special = {"si": {"xi": 0.5}, "si-2.0": {"c": 7.0}}
    benchmarks = [{"name": "split-digits", "strategies": special}]
    configs = suite(tmp_path, strategies=rows, benchmarks=benchmarks).configs()
    options = [config.strategy.options for config in configs if config.run.seed == 0]
    assert [(o["strength"], o["xi"]) for o in options] == [(1.0, 0.5), (7.0, 0.5)]


def test_an_option_that_is_called_strength_can_be_set_and_tuned(tmp_path):
    rows = [{"name": "scp"}, {"name": "pfr", "strength": 7.0}]
    benchmarks = [{"name": "split-digits", "strategies": {"scp": {"strength": 3.0}}}]
    made = suite(tmp_path, strategies=rows, benchmarks=benchmarks)
    found = {config.strategy.name: config.strategy.options["strength"] for config in made.configs()}
    assert found == {"scp": 3.0, "pfr": 7.0}
    tried = {(trial.strategy, trial.settings.get("strategy.strength")) for trial in trials(made)}
    assert tried == {("scp", 1.0), ("scp", 2.0), ("scp", 3.0), ("pfr", None)}


def test_bit_widths_multiply_the_runs_of_what_is_quantised(tmp_path):
    rows = [
        {"name": "naive", "label": "full"},
        {"name": "naive", "label": "uniform", "quantization": {"quantizer": "uniform"}},
        {"name": "lifequant"},
        {"name": "ewc", "quantization": {"weight_bits": 8}},
    ]
    benchmarks = [{"name": "split-digits"}]
    head = {"name": "small", "seeds": [0], "bits": [4, 2]}
    made = suite(tmp_path, strategies=rows, benchmarks=benchmarks, suite=head).configs()
    found = []
    for config in made:
        table = config.to_dict()["quantization" if config.quantization else "strategy"]
        bits = table.get("weight_bits"), table.get("activation_bits")
        found.append((config.strategy.name, *bits))
    assert found == [
        *(("naive", None, None), ("naive", 4, 4), ("naive", 2, 2)),
        *(("lifequant", 4, 4), ("lifequant", 2, 2), ("ewc", 8, 4)),
    ]


def test_budgets_multiply_the_runs_of_what_has_a_memory_in_bytes(tmp_path):
    rows = [
        {"name": "naive"},
        {"name": "compressed-replay"},
        {"name": "compressed-replay", "label": "large", "mem_bytes": 9000},
        {"name": "replay"},
    ]
    benchmarks = [{"name": "split-digits"}]
    head = {"name": "small", "seeds": [0], "mem_bytes": [1000, 2000]}
    made = suite(tmp_path, strategies=rows, benchmarks=benchmarks, suite=head).configs()
    found = [(c.strategy.name, c.strategy.options.get("mem_bytes")) for c in made]
    budgets = [("compressed-replay", n) for n in (1000, 2000, 9000)]
    assert found == [("naive", None), *budgets, ("replay", None)]


PUBLISHED = {
    "setting": "a network on images",
    "source": "somebody, Table 1",
    "benchmark": "split-digits",
    "metrics": ["average_accuracy"],
    "values": {"si": ["70.1 ± 0.2"]},
}


def test_published_numbers_belong_to_a_benchmark_and_change_no_run(tmp_path):
    plain = suite(tmp_path)
    with_numbers = suite(tmp_path, published=[PUBLISHED])
    assert with_numbers.published[0].values == {"si": ("70.1 ± 0.2",)}
    assert [c.hash for c in with_numbers.configs()] == [c.hash for c in plain.configs()]
    assert "70.1 ± 0.2" in describe_suite(with_numbers)
    assert "published elsewhere" not in describe_suite(plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": []}, r"at least one \[\[strategies\]\]"),
        ({"strategies": [{"c": 1}]}, "needs a name"),
        ({"strategies": [{"name": "si"}, {"name": "si"}]}, "stands twice"),
        ({"suite": {"seed": [1]}}, "did you mean seeds"),
        ({"suite": {"seeds": [1, 1]}}, "different integers"),
        ({"suite": {"seeds": ["a"]}}, "different integers"),
        ({"suite": {"seeds": []}}, "suite.seeds is empty: give at least one"),
        ({"suite": {"orders": ["A", "A"]}}, "an order stands twice"),
        ({"suite": {"orders": ["A", 1]}}, "suite.orders is"),
        ({"suite": {"orders": "A"}}, "suite.orders is"),
        ({"suite": {"bits": [4, 4]}}, "different bit-widths"),
        ({"suite": {"mem_bytes": [1000, 1000]}}, "different numbers of bytes"),
        ({"suite": {"mem_bytes": 1000}}, "suite.mem_bytes is 1000: give"),
        ({"suite": {"bits": [9]}}, "suite.bits is 9: give 1 to 8"),
        ({"strategies": [{"name": "si", "label": 1}]}, "must be a text"),
        ({"quantization": 4}, "is .*: give a table"),
        ({"suite": {"mem_bytes": [True]}}, "different numbers of bytes"),
        ({"suite": {"bits": "4"}}, "suite.bits is '4'"),
        ({"suite": [1]}, "suite in .* is .*: give a table"),
        ({"tuning": 5}, "tuning in .* is .*: give a table"),
        ({"suite": {"seeds": [date(1979, 5, 27)]}}, "suite.toml: suite.seeds is datetime.date"),
        ({"tuning": {"grid": {"train.lr": [date(1979, 5, 27)]}}}, "tuning.grid.train.lr is datet"),
        ({"bench": {}}, "unknown table"),
        ({"published": PUBLISHED}, r"write \[\[published\]\]"),
        ({"published": [{**PUBLISHED, "benchmark": "split-digit"}]}, "did you mean split-digits"),
        ({"published": [{**PUBLISHED, "values": {"si": [1, 2]}}]}, "give 1 numbers"),
    ],
)
def test_a_wrong_suite_is_answered_with_what_was_expected(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        suite(tmp_path, **changes)


@pytest.mark.parametrize("key", ["seeds", "orders", "bits", "mem_bytes"])
def test_an_integer_beyond_64_bits_is_refused_by_name(tmp_path, key):
    path = tmp_path / "suite.toml"
    path.write_text(f"[suite]\n{key} = [0x{'f' * 4500}]\n")
    with pytest.raises(UserError, match=f"suite.{key} is an integer of more than 64 bits"):
        Suite.from_toml(path)


@pytest.mark.parametrize("name", [[1], 5])
def test_what_a_strategy_needs_on_a_benchmark_has_no_odd_name(tmp_path, name):
    rows = [{"name": "split-digits", "strategies": {"si": {"name": name}}}]
    with pytest.raises(UserError, match=r"strategies.si.name in \[\[benchmarks\]\].*leave it out"):
        suite(tmp_path, benchmarks=rows)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"benchmarks": [{}]}, r"each \[\[benchmarks\]\] in the suite needs a name"),
        ({"benchmarks": "split-digits"}, "at least one"),
        ({"strategies": [{"name": "si"}, {"name": "si"}]}, "stands twice"),
        ({"seeds": "01"}, "suite.seeds is '01'"),
        ({"seeds": [16**4500]}, "suite.seeds is an integer of more than 64 bits"),
        ({"orders": 5}, "suite.orders is 5"),
        ({"bits": 4}, "suite.bits is 4"),
        ({"mem_bytes": [16**4500]}, "suite.mem_bytes is an integer of more"),
        ({"gpu_hours": 0}, "suite.gpu_hours is 0: give a number of hours above 0"),
        ({"gpu_hours": True}, "suite.gpu_hours is True: give a number"),
        ({"cpu_hours": "3 h"}, "suite.cpu_hours is '3 h': give a number"),
        ({"cpu_hours": float("nan")}, "suite.cpu_hours is nan: give a number"),
        ({"gpu_hours": 1, "cpu_hours": 2.5}, "suite.gpu_hours and suite.cpu_hours are both given"),
        ({"shared": {"train": 5}}, "train in the suite is .*: give a table"),
        ({"shared": None}, "shared in the suite is .*: give a table"),
        ({"tuning": [1]}, "tuning in the suite is .*: give a table"),
        ({"name": None}, "suite.name is None"),
        ({"published": 5}, "published is 5: give a list"),
        ({"published": [PUBLISHED]}, "published holds .*: write PublishedTable.from_dict"),
    ],
)
def test_a_suite_made_by_code_is_checked_as_one_of_a_file(parts, message):
    rows = {"benchmarks": [{"name": "split-digits"}], "strategies": [{"name": "naive"}]}
    assert len(Suite(**{**rows, "seeds": range(2), "orders": ()}).configs()) == 2
    with pytest.raises(UserError, match=message):
        Suite(**{**rows, **parts})


@pytest.mark.parametrize("path", ["a" * 300, "a\0b", None, 5])
def test_what_cannot_be_a_path_is_no_suite(path):
    with pytest.raises(UserError, match="cannot read 'a|give the path of a file"):
        Suite.from_toml(path)


def test_a_suite_that_may_not_be_looked_at_is_named(monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("cl_strategies.experiment.config.suite.os.stat", refuse)
    with pytest.raises(UserError, match="cannot read 'locked/suite.toml': Permission denied"):
        Suite.from_toml("locked/suite.toml")


def test_recipes_are_found_by_name():
    """That each is valid: ``tests/benchmarks/recipes/test_recipes.py``."""
    assert "quickstart" in recipes()
    assert Suite.from_toml("quickstart").configs()


def test_expected_hours_are_no_part_of_a_run():
    rows = {"benchmarks": [{"name": "split-digits"}], "strategies": [{"name": "naive"}]}
    (plain,), (dear,) = Suite(**rows).configs(), Suite(**rows, gpu_hours=1e6).configs()
    assert plain.hash == dear.hash and "hours" not in str(dear.to_dict())


def test_a_misspelt_recipe_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean quickstart"):
        Suite.from_toml("quickstar")


def test_tuning_tries_the_same_grid_for_every_method_on_other_seeds_and_data(tmp_path):
    grid = trials(suite(tmp_path))
    settings = [
        dict(t.settings) for t in grid if (t.benchmark, t.strategy) == ("split-digits", "si")
    ]
    assert len(settings) == 2 * 3
    assert {"train.lr": 0.2, "strategy.c": 3.0} in settings
    assert sum(t.strategy == "naive" for t in grid) == 2 * 2
    for trial in grid:
        assert [c.run.seed for c in trial.configs] == [7]
        assert all(c.benchmark.options["validation"] == 0.2 for c in trial.configs)


def test_a_strategy_may_have_a_grid_of_its_own(tmp_path):
    own = {"si": {"train.lr": [0.3], "xi": [0.1, 0.2]}}
    tuning = {**TABLES["tuning"], "strategies": own}
    whole = suite(tmp_path, tuning=tuning)
    mine = [t for t in trials(whole) if t.strategy == "si"]
    assert {t.settings["train.lr"] for t in mine} == {0.3}
    assert {t.settings["strategy.xi"] for t in mine} == {0.1, 0.2}
    shared = [t for t in trials(suite(tmp_path)) if t.strategy == "naive"]
    assert [t.settings for t in trials(whole) if t.strategy == "naive"] == [
        t.settings for t in shared
    ]
    assert trials(part_of(whole, [], ["naive"])) == shared


def test_a_part_is_named_by_labels_which_may_have_commas():
    rows = [{"name": "naive"}, {"name": "si"}, {"name": "si", "label": "si, strong, 3"}]
    whole = Suite(benchmarks=[{"name": "split-digits"}], strategies=rows)

    def kept(*names: str) -> list[str]:
        return [row.get("label", row["name"]) for row in part_of(whole, [], names).strategies]

    assert kept("si", "strong", "3") == kept("si, strong, 3") == ["si, strong, 3"]
    assert kept("naive", "si", "strong", "3") == ["naive", "si, strong, 3"]
    assert kept("si") == ["si", "si, strong, 3"]
    with pytest.raises(UserError, match="'strong'"):
        kept("naive", "strong", "3")


def test_only_strategies_with_a_grid_are_tuned(tmp_path):
    seeds = {"seeds": TABLES["tuning"]["seeds"]}
    whole = suite(tmp_path, tuning={**seeds, "strategies": {"si": {"xi": [0.1, 0.2]}}})
    assert {trial.strategy for trial in trials(whole)} == {"si"}
    with pytest.raises(UserError, match="nothing is left to tune"):
        trials(part_of(whole, [], ["naive"]))
    with pytest.raises(UserError, match="tuning.grid"):
        trials(suite(tmp_path, tuning=seeds))


def test_the_border_of_a_grid_is_the_least_and_the_largest_of_three_numbers():
    grid = {"lr": [0.1, 0.3, 1.0], "c": [1, 2], "mode": ["a", "b", "c"], "n": [1, 2, 3]}
    chosen = {"lr": 1.0, "c": 2, "mode": "c", "n": 2}
    assert at_border(grid, chosen) == {"lr": 1.0}


def test_tuning_names_what_is_best_at_the_border(tmp_path):
    few = {"name": "split-digits", "n_experiences": 1, "fraction": 0.1}
    tuning = {"seeds": [7], "grid": {"train.lr": [1e-9, 2e-9, 0.01]}}
    small = suite(tmp_path, benchmarks=[few], strategies=[{"name": "naive"}], tuning=tuning)
    said: list[str] = []
    tune(small, tmp_path, executor_name="serial", warn=said.append)
    assert len(said) == 1 and "train.lr of naive on split-digits, 0.01" in said[0]


def test_a_benchmark_that_stands_twice_is_tuned_twice(tmp_path):
    few = {"name": "split-digits", "n_experiences": 1}
    benchmarks = [{**few, "fraction": share} for share in (0.1, 0.2)]
    strategies = [{"name": "naive"}]
    grid = {"seeds": [7], "grid": {"train.lr": [0.01]}}
    small = suite(tmp_path, benchmarks=benchmarks, strategies=strategies, tuning=grid)
    tuned = tomllib.loads(tune(small, tmp_path, executor_name="serial").read_text())["benchmarks"]
    assert [row["fraction"] for row in tuned] == [0.1, 0.2]
    assert all(row["strategies"].keys() == {"naive"} for row in tuned)
    assert "split-digits (n_experiences=1, fraction=0.2)" in (tmp_path / "tuning.csv").read_text()


def test_tuning_refuses_the_seeds_of_the_comparison(tmp_path):
    with pytest.raises(UserError, match="none that the comparison uses"):
        trials(suite(tmp_path, tuning={**TABLES["tuning"], "seeds": [1, 7]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": [1]}, r"tuning.grid is \[1\]: give a table"),
        ({"grid": 5}, "tuning.grid is 5"),
        ({"grid": "ab"}, "tuning.grid is 'ab'"),
        ({"grid": {}}, "tuning.grid is {}"),
        ({"grid": {"train.lr": 0.1}}, "lists of values"),
        ({"grid": {"train.lr": []}}, "lists of values"),
        ({"grid": {"benchmark.validation": [0.0]}}, "give one tuning.validation"),
        ({"validation": "abc"}, "tuning.validation is 'abc'"),
        ({"validation": [1]}, "above 0 and below 1"),
        ({"validation": float("nan")}, "tuning.validation is nan: give a finite number"),
        ({"validation": 0}, "tuning.validation is 0"),
        ({"validation": 0.0}, "tuning.validation is 0.0"),
        ({"validation": 1}, "tuning.validation is 1"),
        ({"validation": True}, "tuning.validation is True"),
        ({"seeds": 5}, "tuning.seeds is 5"),
        ({"seed": [7]}, "did you mean seeds"),
        ({"strategies": 5}, "tuning.strategies is 5"),
        ({"strategies": {"naiv": {"train.lr": [0.1]}}}, "did you mean naive"),
        ({"strategies": {"naive": {"train.lr": 0.1}}}, "tuning.strategies.naive is"),
        ({"strategies": {"naive": {"strength": [1.0]}}}, "no such option"),
        ({"strategies": {"si": {"strenth": [1.0]}}}, "strenth"),
    ],
)
def test_a_wrong_tuning_table_is_answered_with_what_was_expected(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        trials(suite(tmp_path, tuning={**TABLES["tuning"], **changes}))
