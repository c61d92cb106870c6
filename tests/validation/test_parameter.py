"""What a declaration of a hyper-parameter says, takes and refuses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt, Unit
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.validation.parameter import Alias, Equation, Parameter, ValueAlias

SHARE = Annotated[float, Ge(0), Le(1)]
SIZE = Annotated[int, Ge(1)]


@pytest.mark.parametrize(
    ("annotation", "value", "taken"),
    [
        (float, 1, 1.0),
        (float, np.float32(0.5), 0.5),
        (int, np.int64(3), 3),
        (bool, True, True),
        (str, "a", "a"),
        (SHARE, 0, 0.0),
        (Annotated[float, Gt(0), Lt(1)], 0.5, 0.5),
        (Annotated[float, Interval(ge=0, le=1)], 1.0, 1.0),
        (Annotated[int | None, Ge(1)], None, None),
        (Annotated[int | None, Ge(1)], 5, 5),
        (Literal["a", "b"], "b", "b"),
        (Annotated[Sequence[int], Ge(0)], [1, 2], [1, 2]),
        (Sequence[str], ("a",), ("a",)),
        (Annotated[float | Sequence[float], Ge(0)], [1, 0.5], [1.0, 0.5]),
        (Annotated[float | Sequence[float], Ge(0)], 2, 2.0),
        (Annotated[Literal["center"], ValueAlias("centre", "center")], "centre", "center"),
        (object, [object], [object]),
    ],
)
def test_values_are_taken_in_the_declared_type(annotation: Any, value: Any, taken: Any) -> None:
    found = Parameter("x", annotation).check(value)
    assert found == taken
    assert type(found) is type(taken)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (float, "1", "x is '1', a str: give a number"),
        (float, True, "x is True, a bool: give a number"),
        (float, float("nan"), "x is nan: give a number that is finite"),
        (float, 10**400, "x is 1000.*: give a number that is finite"),
        (int, 0.5, "x is 0.5: give an integer"),
        (int, 2**63, "of at most 64 bits"),
        (bool, 1, "x is 1: give true or false"),
        (str, None, "x is None, a NoneType: give text"),
        (SHARE, 1.5, "x is 1.5: give a number from 0 to 1"),
        (SIZE, 0, "x is 0: give an integer of at least 1"),
        (Annotated[float, Ge(0)], -1, "x is -1: give 0 or more"),
        (Annotated[float, Gt(0), Lt(1)], 1, "give a number above 0 and below 1"),
        (Annotated[int | None, Ge(1)], 0, "give an integer of at least 1, or leave it out"),
        (Literal["mean", "sum"], "men", "unknown x 'men': did you mean mean?"),
        (Literal["mean", "sum"], 3, "x is 3: give one of mean, sum"),
        (Sequence[str], "a", "give a list of texts"),
        (Annotated[Sequence[int], Ge(0)], [1, -1], "give a list of integers of at least 0"),
        (Sequence[float], {"a": 1}, "give a list of numbers"),
    ],
)
def test_all_else_is_refused_in_words(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Parameter("x", annotation).check(value)


def test_the_owner_stands_in_the_message() -> None:
    with pytest.raises(UserError, match=r"^ewc\.x is -1: give 0 or more$"):
        Parameter("x", Annotated[float, Ge(0)]).check(-1, "ewc")


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "5", 5),
        (float, "5", 5.0),
        (bool, "true", True),
        (str, "true", "true"),
        (Literal["a", "b"], "a", "a"),
        (Annotated[int | None, Ge(1)], "3", 3),
        (Annotated[Literal["center"], ValueAlias("centre", "center")], "centre", "center"),
    ],
)
def test_text_becomes_a_value_of_the_declared_type(annotation: Any, text: str, value: Any) -> None:
    assert Parameter("x", annotation).parse(text) == value


@pytest.mark.parametrize(
    ("annotation", "text"), [(int, "5.5"), (bool, "True"), (float, "a"), (SIZE, "0"), (int, "")]
)
def test_text_that_stands_for_no_such_value_is_refused(annotation: Any, text: str) -> None:
    with pytest.raises(UserError, match="x is "):
        Parameter("x", annotation).parse(text)


def test_a_declaration_says_everything() -> None:
    declared = Parameter(
        "mem_size",
        Annotated[int, Ge(1), Doc("Size."), Unit("samples"), Equation("Eq. 3"), Alias("memory")],
        200,
    )
    assert declared.meaning == "Size."
    assert declared.unit == "samples"
    assert declared.equation == "Eq. 3"
    assert declared.aliases == ("memory",)
    assert declared.values == "an integer of at least 1"


def test_an_older_choice_is_hashed_as_it_was() -> None:
    declared = Parameter("x", Annotated[Literal["center"], ValueAlias("centre", "center")])
    assert declared.oldest(declared.check("centre")) == "centre"
    assert declared.oldest("center") == "centre"


def test_an_integer_stays_one_where_there_may_be_no_number():
    """As version 0.1.0 hashed it; elsewhere it counts as the float."""
    optional = Parameter("alpha", Annotated[float | None, Gt(0)], None)
    assert type(optional.check(10)) is int and type(optional.check(10.0)) is float
    assert type(Parameter("alpha", Annotated[float, Gt(0)], 1.0).check(10)) is float


def test_choices_may_be_numbers():
    bits = Parameter("bits", Literal[1, 2, 32] | None, None)
    assert bits.check(32) == 32 and bits.check(None) is None
    for wrong in (3, True, 2.0, "2", [2]):
        with pytest.raises(UserError, match="give one of 1, 2, 32, or leave it out"):
            bits.check(wrong)


def test_a_fraction_that_no_float_can_hold_is_refused():
    with pytest.raises(UserError, match="x is"):
        Parameter("x", float).check(Fraction(10**400))
