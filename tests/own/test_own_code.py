"""``module:attribute`` in the place of a name: what is found, and what is refused."""

import functools
import re
import sys

import pytest

from cl_strategies import UserError, own_code
from cl_strategies.cli import main
from cl_strategies.experiment import ExperimentConfig
from cl_strategies.experiment.config.suite import Suite
from cl_strategies.registry import Entry, registry
from cl_strategies.strategies import EWC

pytestmark = pytest.mark.usefixtures("own_folder")
STREAM = {"name": "split-digits"}


def config(strategy="my_method:Count", **options):
    return ExperimentConfig.from_dict(
        {"benchmark": STREAM, "strategy": {"name": strategy, **options}}
    )


def test_it_is_an_entry_like_any_other():
    entry = registry("strategies")["my_method:Count"]
    assert entry.summary == "Counts experiences." and entry.defaults() == {"strength": 1.0}
    assert config(strength=3).strategy.options == {"strength": 3.0}
    assert registry("models")["my_method:net"].defaults() == {"width": 4}


def test_its_options_are_checked():
    with pytest.raises(UserError, match=r"my_method:Count.strength is -1: give 0 or more"):
        config(strength=-1)
    with pytest.raises(UserError, match="unknown option of my_method:Count 'strenght'"):
        config(strenght=1)


def test_an_option_without_a_default_must_be_given(capsys):
    with pytest.raises(UserError, match="needing has no default for ratio: give a value"):
        config("my_method:needing")
    assert config("my_method:needing", ratio=2).strategy.options == {"ratio": 2.0}
    assert main(["show", "my_method:needing"]) == 0
    assert "strategy.ratio = (must be set)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:X", "no module 'no_such_module': it is looked for"),
        ("my_method.deeper:X", "no module 'my_method.deeper'"),
        ("my_method:Cuont", "unknown attribute of my_method 'Cuont': did you mean Count"),
        ("my_method:NUMBER", "my_method:NUMBER is a int: name an Entry, or a callable"),
        ("my_method:net", "my_method:net takes none of .*model.* which it is called with"),
        ("my_method:", "is no module:attribute"),
        (":Count", "is no module:attribute"),
        ("my method:Count", "is no module:attribute"),
        ("mine_broken:X", r"mine_broken cannot be imported \(ZeroDivisionError"),
        ("mine_needs:X", r"mine_needs cannot be imported \(ModuleNotFoundError: .*not_here"),
    ],
)
def test_what_cannot_be_used_is_said(own_folder, name, message, capsys):
    (own_folder / "mine_broken.py").write_text("1 / 0\n")
    (own_folder / "mine_needs.py").write_text("import not_here\n")
    with pytest.raises(UserError, match=message):
        registry("strategies")[name]
    assert main(["run", "--benchmark", "split-digits", "--strategy", name]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "name", "message"),
    [
        ("strategy", "no_strategy", "makes a dict, which is not a strategy of Avalanche's"),
        ("model", "no_net", "makes a int, which is not a torch.nn.Module"),
        ("strategy", "broken", "cannot be built .*the disk is full.*mend the code"),
    ],
)
def test_what_makes_something_else_is_refused_before_training(table, name, message, capsys):
    names = {"strategy": "naive", table: f"my_method:{name}"}
    command = ["compare", "--benchmark", "split-digits", "--strategies", names["strategy"]]
    command += ["--set", f"model.name={names.get('model', 'mlp')}", "--executor", "serial"]
    assert main(command) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_module_lies_beside_the_file_that_names_it(own_folder):
    place = own_folder / "deep" / "folder"
    place.mkdir(parents=True)
    (own_folder / "my_method.py").rename(place / "their_method.py")
    (place / "suite.toml").write_text(
        "[[benchmarks]]\nname = 'split-digits'\n[[strategies]]\nname = 'their_method:Count'\n"
    )
    (one,) = Suite.from_toml(place / "suite.toml").configs()
    assert one.strategy.name == "their_method:Count" and sys.path[-1] == str(place)
    assert ":" not in one.slug


def test_a_module_of_a_taken_name_is_said_to_be_one(own_folder):
    (own_folder / "shelve.py").write_text("class Count:\n    pass\n")
    with pytest.raises(UserError, match=r"shelve is .*not the one in .*give your module a name"):
        registry("strategies")["shelve:Count"]


def test_an_entry_may_be_named_too(own_folder):
    (own_folder / "my_entry.py").write_text(
        "from cl_strategies.registry import Entry\n"
        "E = Entry(name='count', factory='my_method:Count', summary='s', scenarios=('task',))\n"
    )
    entry = registry("strategies")["my_entry:E"]
    assert (entry.name, entry.scenarios) == ("my_entry:E", ("task",))
    assert entry.defaults() == {"strength": 1.0}


def test_nothing_is_imported_for_a_name_in_a_file_of_unknown_origin():
    from cl_strategies.experiment.config.run_config import hash_of

    tables = {"strategy": {"name": "my_method:Count", "strength": 1.0}}
    before = hash_of(tables)
    assert "my_method" not in sys.modules and "my_method:Count" not in registry("strategies")
    registry("strategies")["my_method:Count"]
    assert hash_of(tables) == before


def test_objects_have_the_name_that_they_are_registered_by():
    table_of = registry("strategies").table_of
    count = own_code.find("my_method:Count")
    assert table_of(EWC) == table_of("ewc") == {"name": "ewc"}
    assert table_of(registry("strategies")["ewc"]) == {"name": "ewc"}
    assert table_of(count) == {"name": "my_method:Count"}
    assert table_of(functools.partial(count, strength=2)) == {
        "name": "my_method:Count",
        "strength": 2,
    }
    assert table_of({"name": count, "strength": 3}) == {"name": "my_method:Count", "strength": 3}


def inner():
    class Local(EWC):
        """Of a function."""

    return Local


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (lambda **options: None, "cannot be found again by this name"),
        (inner(), "<locals>.Local cannot be found again"),
        (5, "the strategy is 5: give a name, or a class or function"),
        (None, "the strategy is None"),
        ({}, "the strategy is None"),
        (functools.partial(EWC, 3), "give its options by name"),
        (Entry(name="not-there", factory="x:y", summary=""), "unknown strategy 'not-there'"),
    ],
)
def test_objects_that_no_process_could_find_are_refused(thing, message):
    with pytest.raises(UserError, match=message):
        table = registry("strategies").table_of(thing)
        registry("strategies")[table["name"]]
