"""Names, options and their types."""

import json
import sys
from importlib.metadata import EntryPoint

import pytest

from cl_strategies import registry as registry_module
from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.registry import KINDS, Entry, Registry, registry


@pytest.mark.parametrize("kind", KINDS)
def test_every_factory_loads_and_has_describable_options(kind):
    for entry in registry(kind):
        assert entry.summary, entry.name
        json.dumps(entry.resolve_options({}))
        assert entry.describe()["name"] == entry.name


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean alasso"):
        registry("strategies")["alaso"]


def test_an_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="unknown option of ewc 'strenght'.*strength"):
        registry("strategies")["ewc"].resolve_options({"strenght": 1.0})


@pytest.mark.parametrize("name", [None, 5, ["si"], {"si": 1}, [16**4500]])
def test_a_name_is_text(name):
    assert name not in registry("strategies")
    with pytest.raises(UserError, match="the name of a strategy is .*: give text"):
        registry("strategies")[name]


def test_an_option_in_short_notation_has_a_size_too():
    with pytest.raises(UserError, match="mem_size is 1.*at most 64 bits"):
        Entry(
            name="x",
            factory=f"{__name__}:of_a_size",
            summary="",
        ).parse_options("mem_size=1" + "0" * 30)


@pytest.mark.parametrize("value", [[], "a", True, 1.5])
def test_an_option_without_a_default_has_the_type_of_its_annotation(value):
    with pytest.raises(UserError, match="halrp.max_rank is .*: give an integer.*, or leave it out"):
        registry("strategies")["halrp"].resolve_options({"max_rank": value})


@pytest.mark.parametrize("value", [None, 0, 3])
def test_an_option_without_a_default_may_be_given_or_not(value):
    assert registry("strategies")["halrp"].resolve_options({"max_rank": value})["max_rank"] == value


def of_a_size(mem_size: int = 5) -> int:
    return mem_size


def test_a_name_cannot_be_registered_twice():
    own = Registry("models")
    entry = Entry(name="mlp", factory="somewhere:else", summary="a second mlp")
    with pytest.raises(UserError, match="registered twice"):
        own.add(entry)


class TheirModel:
    """A network of another package.

    With more to say.
    """

    def __init__(self, input_shape=(1,), n_classes=2, scenario="class", width=3):
        self.width = width


ENTRY = Entry(name="their-model", factory="collections:OrderedDict", summary="from outside")


@pytest.fixture
def points(monkeypatch):
    """Entry points for models, as packages register them: name -> module:attribute."""

    def register(**values):
        made = [
            EntryPoint(name=name, value=value, group="cl_strategies.models")
            for name, value in values.items()
        ]
        for module in ("cl_strategies.registry", "cl_strategies.cli.doctor"):
            monkeypatch.setattr(
                f"{module}.entry_points",
                lambda group: made if group == "cl_strategies.models" else [],
            )

    monkeypatch.setitem(sys.modules, "their_package", sys.modules[__name__])
    return register


def test_third_parties_register_an_entry_or_a_factory(points):
    points(**{"their-model": "their_package:ENTRY", "other": "their_package:TheirModel"})
    models = Registry("models")
    assert models["their-model"].factory == ENTRY.factory and not models.skipped
    assert models["their-model"].fixed >= {"input_shape", "n_classes"}
    assert models["other"].summary == "A network of another package."
    assert models["other"].load() is TheirModel
    assert models["other"].resolve_options({}) == {"width": 3}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_package:thing", "ModuleNotFoundError"),
        ("their_package:no_such_name", "AttributeError"),
        ("their_package:NUMBER", "is a int: name an Entry"),
        ("their_package:TAKEN", "registered twice"),
        ("their_package", "is a module"),
    ],
)
def test_what_cannot_be_used_is_skipped_and_named(points, caplog, value, reason):
    points(broken=value, **{"their-model": "their_package:ENTRY"})
    models = Registry("models")
    assert "their-model" in models and "mlp" in models and "broken" not in models
    (message,) = models.skipped
    assert "an installed package registers the model 'broken'" in message and reason in message
    assert message in caplog.text


NUMBER = 5
TAKEN = Entry(name="mlp", factory="collections:OrderedDict", summary="a name that is ours")


def test_a_command_goes_on_and_doctor_lists_what_is_skipped(points, monkeypatch, capsys):
    points(broken="no_such_package:thing")
    registry_module._shared.cache_clear()
    try:
        assert main(["list", "models"]) == 0
        assert "mlp" in capsys.readouterr().out
        main(["doctor"])
        assert "no_such_package:thing" in capsys.readouterr().out
    finally:
        registry_module._shared.cache_clear()


def test_a_factory_that_cannot_be_imported_is_one_message():
    entry = Entry(name="theirs", factory="their_missing_package:thing", summary="")
    with pytest.raises(UserError, match=r"theirs is registered as .*ModuleNotFoundError"):
        entry.load()


def test_an_unknown_kind_is_refused():
    with pytest.raises(UserError, match="did you mean strategies"):
        registry("strategy")


@pytest.mark.parametrize("kind", [None, 5, ["strategies"]])
def test_a_kind_is_text(kind):
    for find in (registry, Registry):
        with pytest.raises(UserError, match="give one of strategies, benchmarks"):
            find(kind)


@pytest.mark.parametrize("options", [None, 5, [1], "c=1"])
def test_options_are_a_table(options):
    with pytest.raises(UserError, match="the options of si is .*: give a table"):
        registry("strategies")["si"].resolve_options(options)
