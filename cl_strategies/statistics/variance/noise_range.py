"""What a range over orders would be if only noise made it: its constants."""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, sqrt

import numpy as np
from scipy import integrate, special

from cl_strategies.validation.numbers import whole


def range_constant(n: int) -> float:
    """Return d2, the mean range of n independent standard normal values: 1.128, 1.693, 2.059...

    The integral of 1 - F(x)^n - (1 - F(x))^n.

    :raises UserError: for n below 2.
    """
    whole(2, n=n)
    return _range_constant(int(n))


@lru_cache(maxsize=64)
def _range_constant(n: int) -> float:
    def rest(x: float) -> float:
        below = float(special.ndtr(x))
        return 1 - below**n - (1 - below) ** n

    return float(2 * integrate.quad(rest, 0, np.inf, epsabs=1e-12, epsrel=1e-12)[0])


def c4(df: int) -> float:
    """Return the mean of a standard deviation of ``df`` degrees of freedom over the true one.

    sqrt(2 / df) Gamma((df + 1) / 2) / Gamma(df / 2): 0.921 with 3, 1 in the limit.

    :raises UserError: for df below 1.
    """
    whole(1, df=df)
    return sqrt(2 / df) * exp(lgamma((df + 1) / 2) - lgamma(df / 2))
