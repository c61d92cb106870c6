"""What may stand in a table, and how a message shows what may not."""

import datetime
import doctest

import pytest

from cl_strategies.errors import UserError
from cl_strategies.validation import plain_data as plain
from cl_strategies.validation.plain_data import DEPTH, check_plain, shown


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [None, True, "a\nb", 2**63 - 1, -(2**63), 1e308, [1, [2.5]], {"a": {"b": (1,)}}],
)
def test_plain_values_pass(value):
    check_plain("x", value)
    check_plain("x", nested(DEPTH))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (datetime.date(1979, 5, 27), r"x is datetime.date\(1979, 5, 27\), a date: give text"),
        ([1, [datetime.time(7)]], "x is datetime.time.*, a time"),
        ({"a": {"b": 2**63}}, "x.a.b is an integer of more than 64 bits"),
        ([-(2**63) - 1], "x is an integer of more than 64 bits"),
        ([16**4500], "x is an integer of more than 64 bits"),
        ({1: 2}, "x has the key 1: give text"),
        ({16**4500: 2}, "x has the key a value of type int too large to print"),
        (nested(DEPTH + 1), "more than 20 lists or tables in one another"),
        ([float("nan")], "x is nan: give a finite number"),
        ({"a": float("-inf")}, "x.a is -inf: give a finite number"),
        (["\x1b]0;title"], "give text that can be printed"),
        ("\udcff", "give text that can be printed"),
        ({1, 2}, "a set: give text"),
    ],
)
def test_other_values_are_named_with_what_to_give(value, message):
    with pytest.raises(UserError, match=message):
        check_plain("x", value)


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(UserError, match="in one another"):
        check_plain("x", endless)


def test_any_value_can_be_shown_in_a_message():
    assert shown("a") == "'a'"
    assert len(shown("a" * 10**6)) < 200
    assert shown([16**4500]).endswith("too large to print")
    assert shown(nested(10**5)).endswith("too large to print")


def test_the_examples_in_docstrings_hold():
    result = doctest.testmod(plain)
    assert result.attempted > 0 and result.failed == 0
