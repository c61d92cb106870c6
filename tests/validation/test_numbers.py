"""Options of another type or out of range are named with what to give."""

from functools import partial

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.validation import numbers as ranges

CHECKS = [
    ranges.positive,
    ranges.not_negative,
    ranges.finite,
    ranges.fraction,
    partial(ranges.whole, 1),
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("value", ["a", None, [1], {}, True, float("nan"), [10**5000]])
def test_no_check_lets_another_type_pass(check, value):
    with pytest.raises(UserError, match="option is .*: (give|it has)"):
        check(option=value)


@pytest.mark.parametrize("check", CHECKS)
def test_no_check_lets_a_number_pass_that_no_float_holds(check):
    with pytest.raises(UserError, match="option has more digits"):
        check(option=10**5000)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("value", [1, np.int64(1)])
def test_numbers_of_any_kind_pass(check, value):
    check(option=value, other=1)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (ranges.positive, 0),
        (ranges.not_negative, -0.5),
        (ranges.finite, float("-inf")),
        (ranges.fraction, 1.5),
        (partial(ranges.whole, 3), 2),
        (partial(ranges.whole, 3), 3.5),
    ],
)
def test_a_number_out_of_range_is_named(check, value):
    with pytest.raises(UserError, match=f"option is {value}: "):
        check(option=value)
