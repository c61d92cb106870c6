"""Friedman and what follows it, beside SciPy and printed tables."""

import numpy as np
import pytest
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import cliques, friedman, nemenyi_cd, nemenyi_q


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_statistic_is_scipys_with_and_without_ties(decimals):
    table = np.random.default_rng(1).normal(0, 1, (9, 4)).round(decimals)
    expected = stats.friedmanchisquare(*table.T)
    result = friedman(table)
    assert result.chi2_tie_corrected == pytest.approx(expected.statistic)
    assert result.p_chi2 == pytest.approx(expected.pvalue)
    assert result.ranks.tolist() == stats.rankdata(-table, axis=1).tolist()
    assert friedman(-table, higher_is_better=False).mean_ranks == pytest.approx(result.mean_ranks)
    assert result.diagram_reason == ""


def test_quantiles_of_the_table():
    printed = [1.960, 2.344, 2.569, 2.728, 2.850, 2.948, 3.031, 3.102, 3.164]
    assert [nemenyi_q(k) for k in range(2, 11)] == pytest.approx(printed, abs=5.1e-4)
    assert nemenyi_cd(4, 6) == pytest.approx(1.915, abs=5e-4)


def test_permutations_agree_with_chi_squared_where_streams_are_many():
    table = np.random.default_rng(2).normal(0, 1, (40, 3)) + np.array([0.0, 0.3, 0.4])
    result = friedman(table)
    assert result.p_permutation == pytest.approx(result.p_chi2, abs=0.02)
    assert friedman(table).p_permutation == result.p_permutation


def test_streams_that_all_agree_and_methods_that_are_all_tied():
    agree = friedman([[3, 2, 1]] * 4)
    assert agree.chi2_tie_corrected == pytest.approx(8) and agree.iman_davenport_F is None
    assert agree.mean_ranks.tolist() == [1, 2, 3] and "agree" in agree.reason
    tied = friedman([[1, 1], [2, 2]])
    assert tied.chi2_tie_corrected is None and tied.p_chi2 is None and tied.p_permutation == 1
    assert "tied" in tied.reason and friedman([[1, 2], [2, 1], [2, 1]]).reason == ""
    assert tied.nemenyi_cliques == ((0, 1),)


def test_a_failed_method_ranks_last():
    result = friedman([[np.nan, 0.1, 0.2], [0.5, 0.1, 0.2]])
    assert result.ranks.tolist() == [[3, 2, 1], [1, 3, 2]]
    assert result.pairwise_signflip_p[0, 1] == 1.0
    with pytest.raises(UserError, match="no score on any stream"):
        friedman([[np.nan, 0.1], [np.nan, 0.2]])


def test_cliques_are_neighbors_of_which_none_is_separated():
    assert cliques([1, 2, 3, 4], [(0, 3)]) == ((0, 1, 2), (1, 2, 3))
    assert cliques([4, 3, 2, 1], [(0, 3), (0, 2), (3, 1)]) == ((3, 2), (2, 1), (1, 0))
    assert cliques([1, 2, 3], []) == ((0, 1, 2),)
    assert cliques([1, 2, 3], [(0, 1), (1, 2), (0, 2)]) == ()
    assert cliques([1, 2, 3], [(1, 0), (0, 2)]) == ((1, 2),)


def test_bad_input():
    for bad in ([[1, 2]], [[1], [2]], [1, 2], [[1, 2], [3]]):
        with pytest.raises(UserError):
            friedman(bad)
    assert "readable with 12" in friedman(np.random.default_rng(0).random((8, 13))).diagram_reason
