"""Ranks of methods over many streams: Friedman, Nemenyi, and cliques of a critical-difference
diagram. Rows are streams: seeds as rows would pretend to be data sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics.adjust import holm_adjusted, index_pairs
from cl_strategies.statistics.flips import flip_p
from cl_strategies.validation.arrays import Floats, numbers
from cl_strategies.validation.numbers import whole

Pair = tuple[int, int]
#: A critical-difference diagram wants at least so many streams, and at most so many methods.
FEWEST_STREAMS, MOST_METHODS = 8, 12


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """Whether any of k methods differ over N streams, and which pairs.

    Pairs (i, j) are positions of methods, i < j.

    :param ranks: shape (N, k): 1 is best, ties averaged; ``mean_ranks`` over streams.
    :param chi2_tie_corrected: SciPy's statistic; ``p_chi2`` its p with k - 1 degrees of freedom.
    :param iman_davenport_F: less conservative; ``p_F`` its p. ``None`` where all streams agree.
    :param p_permutation: of the statistic under permutations within streams, drawn: for few
        streams, where chi-squared is rough.
    :param q_05: of the studentized range over sqrt 2; ``nemenyi_cd_05`` the critical difference.
    :param nemenyi_separated_pairs: mean ranks further apart. A pair's result depends on the
        other methods: prefer the pairwise tests.
    :param pairwise_signflip_p: of each pair over streams, ``pairwise_signflip_holm`` adjusted.
    :param reason: why a statistic is ``None``; empty if none is.
    :param diagram_reason: why no critical-difference diagram should be drawn; empty if it may.
    """

    ranks: Floats
    mean_ranks: Floats
    chi2_tie_corrected: float | None
    p_chi2: float | None
    iman_davenport_F: float | None
    p_F: float | None
    p_permutation: float
    chi2_without_tie_correction: float
    q_05: float
    nemenyi_cd_05: float
    nemenyi_separated_pairs: tuple[Pair, ...]
    pairwise_signflip_p: dict[Pair, float]
    pairwise_signflip_holm: dict[Pair, float]
    reason: str
    diagram_reason: str

    @property
    def nemenyi_cliques(self) -> tuple[tuple[int, ...], ...]:
        """Methods that Nemenyi's test does not separate."""
        return cliques(self.mean_ranks.tolist(), self.nemenyi_separated_pairs)

    @property
    def signflip_cliques(self) -> tuple[tuple[int, ...], ...]:
        """Methods that the pairwise tests do not separate."""
        separated = [pair for pair, p in self.pairwise_signflip_holm.items() if p <= 0.05]
        return cliques(self.mean_ranks.tolist(), separated)


def friedman(scores: Any, *, higher_is_better: bool = True, draws: int = 10_000) -> Friedman:
    """Rank k methods on N streams and test whether they differ.

    :param scores: mean score of each method on each stream, shape (N, k), N and k at least 2;
        ``NaN`` where a method failed: it ranks last there.
    :param draws: permutations for ``p_permutation``.
    :raises UserError: for a table of another shape, or a method that failed on every stream.
    """
    whole(1, draws=draws)
    table = numbers(scores, "the scores (streams, methods)", ndim=2, missing=True)
    n, k = table.shape
    if n < 2 or k < 2:
        raise UserError(f"there are {n} streams and {k} methods: give at least two of each")
    if np.isnan(table).all(axis=0).any():
        raise UserError("a method has no score on any stream: leave it out")
    gains = table if higher_is_better else -table
    ranks = stats.rankdata(np.where(np.isnan(gains), np.inf, -gains), axis=1)
    means = ranks.mean(axis=0)
    plain = 12 * n / (k * (k + 1)) * float((means**2).sum()) - 3 * n * (k + 1)
    correction = 1 - _tied(ranks) / (n * k * (k**2 - 1))
    chi2 = plain / correction if correction > 1e-12 else None
    rest = None if chi2 is None else n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if chi2 is not None and rest is not None and rest > 1e-9 else None
    cd = nemenyi_cd(k, n)
    pairs = index_pairs(k)
    p = np.array([_pair_p(gains[:, i] - gains[:, j]) for i, j in pairs])
    return Friedman(
        ranks=ranks,
        mean_ranks=means,
        chi2_tie_corrected=chi2,
        p_chi2=None if chi2 is None else float(stats.chi2.sf(chi2, k - 1)),
        iman_davenport_F=f,
        p_F=None if f is None else float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))),
        p_permutation=_permutation_p(ranks, draws),
        chi2_without_tie_correction=plain,
        q_05=nemenyi_q(k),
        nemenyi_cd_05=cd,
        nemenyi_separated_pairs=tuple((i, j) for i, j in pairs if abs(means[i] - means[j]) > cd),
        pairwise_signflip_p=dict(zip(pairs, p.tolist(), strict=True)),
        pairwise_signflip_holm=dict(zip(pairs, holm_adjusted(p).tolist(), strict=True)),
        reason=(
            "all methods are tied on every stream"
            if chi2 is None
            else "all streams agree: F is infinite"
            if f is None
            else ""
        ),
        diagram_reason=_diagram_reason(n, k),
    )


def nemenyi_q(k: int, alpha: float = 0.05) -> float:
    """Return the studentized range of k means, infinite degrees of freedom, over sqrt 2."""
    return float(stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2))


def nemenyi_cd(k: int, n: int, alpha: float = 0.05) -> float:
    """Return the critical difference of mean ranks, q sqrt(k (k + 1) / (6 N)) (Demsar 2006)."""
    return float(nemenyi_q(k, alpha) * np.sqrt(k * (k + 1) / (6 * n)))


def cliques(
    mean_ranks: Sequence[float], separated: Collection[Pair]
) -> tuple[tuple[int, ...], ...]:
    """Return the bars of a critical-difference diagram: neighbors of which no pair is separated.

    :param separated: pairs (i, j) of positions, in either order.
    :return: positions from the best rank on; bars of two or more, none within another.
    """
    apart = {frozenset(pair) for pair in separated}
    order = sorted(range(len(mean_ranks)), key=lambda method: (mean_ranks[method], method))
    bars: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(
            frozenset((order[end], method)) in apart for method in order[start:end]
        ):
            end += 1
        if end - start > 1 and end > reached:
            bars.append(tuple(order[start:end]))
            reached = end
    return tuple(bars)


def _tied(ranks: Floats) -> float:
    counts = [np.unique(row, return_counts=True)[1] for row in ranks]
    return float(sum((count.astype(np.float64) ** 3 - count).sum() for count in counts))


def _pair_p(differences: Floats) -> float:
    kept = differences[~np.isnan(differences)]
    return flip_p(kept / len(kept)) if len(kept) else float("nan")


def _permutation_p(ranks: Floats, draws: int) -> float:
    generator = np.random.default_rng(0)
    observed = float((ranks.sum(axis=0) ** 2).sum())
    shuffled = generator.permuted(np.broadcast_to(ranks, (draws, *ranks.shape)), axis=-1)
    reached = ((shuffled.sum(axis=1) ** 2).sum(axis=-1) >= observed - 1e-9).sum()
    return float((reached + 1) / (draws + 1))


def _diagram_reason(n: int, k: int) -> str:
    if n < FEWEST_STREAMS:
        return f"{n} streams: a critical-difference diagram takes at least {FEWEST_STREAMS}"
    if k > MOST_METHODS:
        return f"{k} methods: a critical-difference diagram is readable with {MOST_METHODS} at most"
    return ""
