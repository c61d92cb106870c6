"""The command line's short notations, and what they cannot mean."""

import pytest

from cl_strategies.cli.arguments import notation as arguments
from cl_strategies.errors import UserError


@pytest.mark.parametrize(
    ("text", "meant"), [("0", [0]), ("0,2,5-7", [0, 2, 5, 6, 7]), (" 3-3 ", [3])]
)
def test_integers_are_listed_or_spanned(text, meant):
    assert arguments.integers("--seeds", text) == meant


def test_a_range_may_be_as_long_as_it_can_be_meant():
    assert len(arguments.integers("--seeds", f"1-{arguments.LONGEST}")) == arguments.LONGEST


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0-99999999999", "more than 10000 numbers"),
        ("0-9999,20000-29999", "more than 10000 numbers"),
        ("9" * 5000, "at most 18 digits"),
        ("0-" + "9" * 5000, "at most 18 digits"),
        ("3-1", "empty"),
        ("1,1", "different integers"),
        ("0-", "give integers"),
        ("٣", "give integers"),
    ],
)
def test_other_integers_are_refused_in_a_short_message(text, message):
    for parse in (arguments.integers, arguments.orders):
        with pytest.raises(UserError, match=message) as refused:
            parse("--seeds", text)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["1/" + "9" * 5000, "9" * 5000 + "/2", "1", "a/b", "-1/2", ""])
def test_a_shard_is_two_numbers(text):
    with pytest.raises(UserError, match="give I/N") as refused:
        arguments.shard(text)
    assert len(str(refused.value)) < 300


def test_orders_are_numbers_or_letters():
    assert arguments.orders("--orders", "0-2") == [0, 1, 2]
    assert arguments.orders("--orders", "A-C,E") == ["A", "B", "C", "E"]
