"""Constructors that declare their hyper-parameters: checks, aliases, parts and documentation."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, Unpack

import pytest
from annotated_types import Ge
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import (
    OptionGroup,
    build_part,
    hyperparameters,
    parameters_of,
    resolve_aliases,
    take_options,
)
from cl_strategies.validation.parameter import Alias, Default

Strength = Annotated[float, Ge(0), Doc("How strong it is.")]


@hyperparameters
class Penalty:
    """A penalty."""

    def __init__(self, *, strength: Annotated[Strength, Alias("c")] = 1.0) -> None:
        self.strength = strength


@hyperparameters
class Steeper(Penalty):
    """A penalty that is steeper."""

    def __init__(self, *, a: Annotated[float, Ge(1), Doc("How steep.")] = 2.0, **options: Any):
        super().__init__(**options)
        self.a = a


@hyperparameters
class Method:
    """A method around a penalty."""

    parts = (Steeper,)

    def __init__(self, *, epochs: Annotated[int, Ge(1), Doc("How long.")] = 1, **options: Any):
        self.penalty = build_part(Steeper, options)
        self.epochs, self.rest = epochs, options


@hyperparameters
class Wrapper:
    """A wrapper around a network."""

    def __init__(self, network: str, /, *, depth: Annotated[int, Ge(1), Doc("How deep.")] = 1):
        self.network, self.depth = network, depth


@hyperparameters
class Builder:
    """A method that makes its wrapper itself."""

    parts = (Wrapper,)

    def __init__(self, *, network: str, **options: Any):
        self.wrapper = build_part(Wrapper, options, network)
        self.rest = options


@hyperparameters
def scaled(values: list[float], *, factor: Strength = 1.0) -> list[float]:
    """Return the values times a factor."""
    return [factor * value for value in values]


class Group(TypedDict, total=False):
    """Options that several functions share."""

    strength: Annotated[Strength, Alias("c"), Default(0.5)]
    name: Annotated[str, Doc("Its name."), Default("a")]


@hyperparameters
def grouped(*, own: Annotated[int, Ge(1), Doc("Its own.")] = 1, **options: Unpack[Group]) -> Any:
    """Return all options."""
    return own, options


def test_a_function_has_the_options_of_its_group() -> None:
    assert grouped() == (1, {"strength": 0.5, "name": "a"})
    assert grouped(c=2, own=3) == (3, {"strength": 2.0, "name": "a"})  # type: ignore[call-arg]
    with pytest.raises(UserError, match="strength is -1"):
        grouped(strength=-1)
    with pytest.raises(UserError, match="own is 0"):
        grouped(own=0)
    defaults = {name: p.default for name, p in parameters_of(grouped).items()}
    assert defaults == {"own": 1, "strength": 0.5, "name": "a"}
    assert list(inspect.signature(grouped).parameters) == list(defaults)
    assert ":param strength: How strong it is (0 or more; default 0.5)." in str(grouped.__doc__)
    with pytest.raises(TypeError, match="grouped.. has no argument .other"):
        grouped(other=1)  # type: ignore[call-arg]


def test_a_name_that_cannot_be_evaluated_hides_no_other_declaration() -> None:
    def made(*, factor: Strength = 1.0, rest: NotThere = None) -> NotThere:  # type: ignore[name-defined]  # noqa: F821
        return factor

    with pytest.raises(UserError, match="factor is -1"):
        hyperparameters(made)(factor=-1)


def test_a_constructor_checks_what_it_is_given() -> None:
    assert Penalty(strength=2).strength == 2.0
    with pytest.raises(UserError, match="strength is -1: give 0 or more"):
        Penalty(strength=-1)
    with pytest.raises(UserError, match="factor is 'a', a str: give 0 or more"):
        scaled([1.0], factor="a")  # type: ignore[arg-type]


def test_arguments_are_keyword_only_and_unknown_ones_are_errors() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        Penalty(2.0)  # type: ignore[misc]
    with pytest.raises(TypeError, match="stength"):
        Steeper(stength=1.0)


def test_a_subclass_has_the_parameters_of_its_base() -> None:
    assert list(parameters_of(Steeper)) == ["a", "strength"]
    assert Steeper(a=3, strength=4).strength == 4.0


def test_older_names_are_understood_and_both_at_once_are_not() -> None:
    assert Penalty(c=3.0).strength == 3.0  # type: ignore[call-arg]
    assert Steeper(c=3.0).strength == 3.0
    with pytest.raises(UserError, match="strength is given twice, also as c"):
        Penalty(c=3.0, strength=1.0)  # type: ignore[call-arg]


def test_options_reach_the_part_that_declares_them() -> None:
    made = Method(epochs=2, a=5.0, c=0.5, other=1)
    assert (made.penalty.a, made.penalty.strength, made.rest) == (5.0, 0.5, {"other": 1})
    assert list(parameters_of(Method)) == ["epochs", "a", "strength"]
    with pytest.raises(UserError, match="a is 0: give a number of at least 1"):
        Method(a=0)


def test_signature_and_docstring_tell_all_of_it() -> None:
    signature = inspect.signature(Method)
    assert str(signature.parameters["strength"]) == "strength: float = 1.0"
    assert ":param strength: How strong it is (0 or more; default 1.0)." in str(Method.__doc__)
    assert str(Method.__doc__).startswith("A method around a penalty.")


def test_what_a_part_takes_by_position_is_no_hyper_parameter() -> None:
    built = Builder(network="a", depth=2)
    assert (built.wrapper.network, built.wrapper.depth, built.rest) == ("a", 2, {})
    assert list(parameters_of(Wrapper)) == ["depth"]
    assert list(inspect.signature(Wrapper).parameters) == ["network", "depth"]
    assert list(inspect.signature(Builder).parameters) == ["network", "depth"]
    with pytest.raises(UserError, match="depth is 0"):
        Builder(network="a", depth=0)


def test_options_of_a_part_can_be_taken_out_without_building_it() -> None:
    options = {"c": 2.0, "a": 3.0, "other": 1}
    assert take_options(Steeper, options) == {"c": 2.0, "a": 3.0}
    assert options == {"other": 1}


@dataclass(frozen=True, kw_only=True)
class Sizes(OptionGroup):
    """Sizes."""

    width: Annotated[int, Ge(1), Doc("How wide it is.")] = 4


@hyperparameters(parts=(Sizes,))
def area(factor: int, **options: Any) -> int:
    """Return an area."""
    sizes: Sizes = build_part(Sizes, options)
    return factor * sizes.width


def test_a_function_hands_options_to_a_group() -> None:
    assert area(3) == 12 and area(3, width=2) == 6
    assert [*inspect.signature(area).parameters] == ["factor", "width"]
    assert ":param width: How wide it is" in (area.__doc__ or "")
    with pytest.raises(UserError, match="width is 0"):
        area(3, width=0)


def test_a_group_checks_the_fields_that_it_inherits_from_another_module() -> None:
    made = type("Made", (Sizes,), {"__module__": "builtins", "__annotations__": {}})
    inherited = dataclass(frozen=True, kw_only=True)(made)
    assert parameters_of(inherited)["width"].values == "an integer of at least 1"
    with pytest.raises(UserError, match="width is 0"):
        inherited(width=0)


class Early(Penalty):
    """A penalty that version 0.1.0 took by position."""

    first_by_position = "strength"


def test_the_first_option_by_position_is_taken_with_a_warning_for_one_version() -> None:
    early = hyperparameters(Early)
    with pytest.warns(FutureWarning, match="write strength="):
        assert early(2.0).strength == 2.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        early(2.0, 3.0)  # type: ignore[misc]
    with pytest.raises(UserError, match="strength is -1"), pytest.warns(FutureWarning):
        early(-1)  # type: ignore[misc]
    assert str(inspect.signature(early)) == "(*, strength: float = 1.0)"


@hyperparameters
class Renamed:
    def __init__(self, *, strength: Annotated[float, Ge(0), Alias("c")] = 1.0) -> None:
        self.strength = strength


class HandsOn(Renamed):
    """A third party's, of the time when the option had its older name."""

    def __init__(self, *, c: float = 2.0, **options: Any) -> None:
        super().__init__(c=c, **options)


def test_an_own_argument_hides_an_inherited_one_that_had_its_name():
    assert list(parameters_of(HandsOn)) == ["c"]
    assert resolve_aliases(HandsOn, {"c": 3.0}) == {"c": 3.0}
    assert HandsOn(c=3.0).strength == 3.0


@dataclass
class Factory:
    size: int = 1

    def __call__(self, *, beta: float = 0.5) -> None: ...


def test_a_factory_without_a_hash_has_parameters():
    assert Factory.__hash__ is None
    assert parameters_of(Factory())["beta"].default == 0.5


def test_a_compiled_factory_without_a_signature_has_no_parameters():
    assert parameters_of(min) == {}
