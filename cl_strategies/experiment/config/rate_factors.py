"""Learning rates of parts of a network, as factors of the learning rate, by names of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown

#: A pattern of names of parameters, and the factor of the learning rate of those that it fits.
RateFactors = Mapping[str, float] | Sequence[tuple[str, float]]


def rate_factors(given: Any) -> tuple[tuple[str, float], ...]:
    """Return a table of factors as pairs, in the order in which they are tried.

    Pairs keep that order where tables are sorted, as in the hash of a run.

    :param given: a table from pattern to factor, or its pairs.
    :raises UserError: for what is neither, a pattern that stands twice, or a factor that is not a
        number above 0.

    >>> rate_factors({"backbone.fc.*": 1, "backbone.*": 0.1})
    (('backbone.fc.*', 1.0), ('backbone.*', 0.1))
    """
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    if not isinstance(pairs, (list, tuple)) or not all(map(_is_pair, pairs)):
        raise UserError(
            f"train.lr_factors is {shown(given)}: give patterns of names of parameters, each with "
            'a factor of the learning rate above 0, such as { "backbone.*" = 0.1 }'
        )
    patterns = [pattern for pattern, _ in pairs]
    for pattern in patterns:
        if patterns.count(pattern) > 1:
            raise UserError(
                f"train.lr_factors has {shown(pattern)} twice: the first that fits counts, so "
                "give it once"
            )
    return tuple((pattern, float(factor)) for pattern, factor in pairs)


def _is_pair(pair: Any) -> bool:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):
        return False
    factor = pair[1]
    number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
    return number and 0 < factor < float("inf")
