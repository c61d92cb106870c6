"""McNemar's test beside SciPy's, and aggregates over streams beside their definitions."""

import numpy as np
import pytest
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import (
    aggregates,
    cliffs_delta,
    interquartile_mean,
    mcnemar,
    mcnemar_counts,
    stream_normalized,
    superiority,
)


def test_mcnemar_is_the_binomial_test_of_samples_one_model_gets_right_alone():
    a, b = [1, 1, 1, 1, 0, 0, 1, 1, 1, 0], [1, 0, 0, 0, 1, 0, 0, 1, 0, 0]
    r = mcnemar(a, np.array(b, dtype=bool))
    assert (r.n, r.only_a, r.only_b) == (10, 5, 1) and r.difference == pytest.approx(0.4)
    assert r.p_exact == pytest.approx(stats.binomtest(5, 6).pvalue)
    assert r.p_mid == pytest.approx(r.p_exact - stats.binom.pmf(1, 6, 0.5))
    assert r.chi2 == pytest.approx(16 / 6) and r.chi2_corrected == pytest.approx(9 / 6)
    assert r.p_chi2 == pytest.approx(stats.chi2.sf(16 / 6, 1))
    assert mcnemar(b, a).p_exact == r.p_exact


def test_large_counts_agree_with_chi_squared():
    r = mcnemar_counts(260, 200)
    assert r.p_exact == pytest.approx(r.p_chi2_corrected, abs=2e-4)
    assert r.p_mid == pytest.approx(r.p_chi2, abs=2e-4)


def test_models_that_are_right_on_the_same_samples():
    r = mcnemar([1, 0, 1], [1, 0, 1])
    assert r.p_exact == r.p_mid == 1 and r.chi2 is None and "same samples" in r.reason
    assert mcnemar_counts(3, 3).p_mid <= 1


def test_bad_samples():
    with pytest.raises(UserError, match="true and false"):
        mcnemar([2, 0], [1, 0])
    with pytest.raises(UserError, match="shapes"):
        mcnemar([1], [1, 0])
    with pytest.raises(UserError, match="only_b"):
        mcnemar_counts(1, -1)


def test_superiority_counts_all_pairs():
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 6, 7), generator.integers(0, 6, 9)
    pairs = [(x > y) + 0.5 * (x == y) for x in a for y in b]
    assert superiority(a, b) == pytest.approx(np.mean(pairs))
    assert cliffs_delta(a, b) == pytest.approx(np.mean([np.sign(x - y) for x in a for y in b]))
    assert superiority([1, 2], [0]) == 1 and cliffs_delta([0], [1, 2]) == -1


def test_the_interquartile_mean_cuts_a_quarter_from_each_end():
    assert interquartile_mean([[9, 1, 2], [3, 4, -50]]) == pytest.approx(2.5)
    assert interquartile_mean([5.0]) == 5
    x = np.random.default_rng(0).random((4, 5))
    assert interquartile_mean(x) == pytest.approx(np.sort(x.ravel())[5:15].mean())


def test_aggregates_without_another_method_and_without_thresholds():
    r = aggregates([[0.5, 1.5]])
    assert r.probability_of_improvement is None and r.run_profile == ()
    assert r.optimality_gap == pytest.approx(0.25) and r.worst_stream_mean == 0.5


def test_streams_without_room_are_undefined():
    x = stream_normalized([[0.5, 0.3], [1.1, 0.3]], [0.1, 0.4], [0.9, 0.4])
    assert x[:, 0] == pytest.approx([0.5, 1.25]) and np.isnan(x[:, 1]).all()
    with pytest.raises(UserError, match="one number for each of 2"):
        stream_normalized([[0.5, 0.3]], [0.1], [0.9])
    with pytest.raises(UserError, match="streams"):
        aggregates([[0.5, 0.3]], [[0.5]])
    with pytest.raises(UserError, match="NaN"):
        aggregates([[0.5, np.nan]])
