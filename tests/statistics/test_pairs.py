"""One comparison, whole: each field beside SciPy, and the limits in which some are not defined."""

import numpy as np
import pytest
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import correlated_t, paired, paired_differences, verdict
from cl_strategies.statistics.words import by_how_much

A = np.array([0.712, 0.694, 0.731, 0.702, 0.725, 0.718])
B = np.array([0.701, 0.689, 0.709, 0.704, 0.706, 0.699])


def test_every_field_has_an_independent_value():
    r, d = paired(A, B), A - B
    t = stats.ttest_rel(A, B)
    assert r.n == 6 and r.dropped == 0 and r.exact
    assert r.mean == pytest.approx(d.mean()) and r.sd == pytest.approx(d.std(ddof=1))
    assert r.se == pytest.approx(stats.sem(d))
    assert r.t_p == pytest.approx(t.pvalue)
    assert r.t_interval == pytest.approx(tuple(t.confidence_interval(0.95)))
    assert r.welch_p == pytest.approx(stats.ttest_ind(A, B, equal_var=False).pvalue)
    assert r.wilcoxon_p == pytest.approx(stats.wilcoxon(A, B).pvalue)
    assert r.sign_test_p == pytest.approx(stats.binomtest(5, 6).pvalue)
    assert r.d_z == pytest.approx(t.statistic / np.sqrt(6))
    assert r.hedges_g_z == pytest.approx(r.d_z * (1 - 3 / 19))
    assert r.probability_of_superiority_paired == pytest.approx(5 / 6)
    a12 = stats.mannwhitneyu(A, B).statistic / 36
    assert r.probability_of_superiority == pytest.approx(a12)
    assert r.cliffs_delta == pytest.approx(2 * a12 - 1)
    error = 1 - B.mean()
    assert r.relative_error_reduction == pytest.approx((error - (1 - A.mean())) / error)
    assert r.p_worse + r.p_rope + r.p_better == pytest.approx(1)
    assert r.p_better == pytest.approx(stats.t.sf((0.01 - d.mean()) / stats.sem(d), 5))
    assert r.verdict == "better" and r.by_how_much == "" and r.reasons == {}


def test_the_other_way_round_it_is_mirrored():
    r, s = paired(A, B), paired(B, A)
    assert s.mean == pytest.approx(-r.mean) and s.verdict == "worse"
    assert s.signflip_p_two_sided == r.signflip_p_two_sided and s.t_p == pytest.approx(r.t_p)
    assert s.p_worse == pytest.approx(r.p_better)
    assert s.probability_of_superiority == pytest.approx(1 - r.probability_of_superiority)


def test_where_lower_is_better_words_turn_and_differences_stay():
    r, s = paired(A, B), paired(A, B, higher_is_better=False)
    assert (s.mean, s.t_interval, s.t_p) == (r.mean, r.t_interval, r.t_p)
    assert s.verdict == "worse" and s.p_worse == pytest.approx(r.p_better)
    assert s.probability_of_superiority_paired == pytest.approx(1 / 6)
    assert s.relative_error_reduction is None and "relative_error_reduction" in s.reasons


def test_a_failed_run_drops_its_pair():
    r = paired([*A, np.nan, 0.7], [*B, 0.7, np.nan])
    assert r.dropped == 2
    assert r.mean == paired(A, B).mean and r.n == 6


def test_without_spread_what_divides_by_it_is_undefined():
    r = paired([0.75, 0.5, 0.625], [0.5, 0.25, 0.375])
    assert r.sd == 0 and r.t_interval == (0.25, 0.25) and r.verdict == "better"
    assert r.t_p is r.d_z is r.hedges_g_z is None
    assert set(r.reasons) == {"t_p", "d_z", "hedges_g_z"}
    assert (r.p_worse, r.p_rope, r.p_better) == (0, 0, 1)
    same = paired(A, A)
    assert same.verdict == "equivalent" and same.signflip_p_two_sided == 1
    assert same.wilcoxon_p is same.sign_test_p is None
    assert paired(A, A, rope=0).verdict == "equivalent"
    rounding = paired([0.3, 0.6, 0.9], [0.2, 0.5, 0.8])
    assert rounding.sd == 0 and rounding.t_p is None


def test_one_pair_decides_nothing():
    r = paired([0.9], [0.1])
    assert r.verdict == "undecided" and r.t_interval is None and r.smallest_p == 1
    assert r.reasons["sd"] == "one pair has no spread" and r.relative_error_reduction > 0.8


def test_effects_of_perfect_scores_and_scores_that_are_no_accuracies():
    assert paired([0.9, 0.8], [1.0, 1.0]).relative_error_reduction is None
    assert paired([90, 80], [70, 75]).relative_error_reduction is None
    only = paired_differences([0.1, 0.2])
    assert only.welch_p is None and only.reasons["cliffs_delta"] == "only differences were given"


@pytest.mark.parametrize(
    ("low", "high", "word", "amount"),
    [
        (0.02, 0.03, "better", "by more than the rope"),
        (0.002, 0.03, "better", ""),
        (0.002, 0.009, "better", "by less than matters"),
        (-0.03, -0.02, "worse", "by more than the rope"),
        (-0.03, -0.002, "worse", ""),
        (-0.009, -0.002, "worse", "by less than matters"),
        (-0.009, 0.009, "equivalent", ""),
        (0.0, 0.009, "equivalent", ""),
        (-0.01, 0.009, "undecided", ""),
        (-0.5, 0.5, "undecided", ""),
        (float("nan"), float("nan"), "undecided", ""),
    ],
)
def test_verdicts(low, high, word, amount):
    assert verdict(low, high) == word and by_how_much(low, high) == amount


def test_correlation_widens_the_posterior():
    d = [0.02, 0.03, 0.01, 0.04, 0.02]
    free, tied = correlated_t(d), correlated_t(d, correlation=0.1)
    assert tied.p_better < free.p_better
    scale = np.sqrt(np.var(d, ddof=1) * (1 / 5 + 0.1 / 0.9))
    assert tied.p_better == pytest.approx(stats.t.sf((0.01 - np.mean(d)) / scale, 4))
    for correlation in (1, 2, -0.1):
        with pytest.raises(UserError, match="correlation"):
            correlated_t(d, correlation=correlation)
    with pytest.raises(UserError, match="at least two"):
        correlated_t([0.1])


def test_bad_input():
    with pytest.raises(UserError, match="shapes"):
        paired([1, 2], [1])
    with pytest.raises(UserError, match="no pair with both"):
        paired([1.0, np.nan], [np.nan, 1.0])
    with pytest.raises(UserError, match="rope"):
        paired(A, B, rope=-0.01)
    with pytest.raises(UserError, match="NaN"):
        paired_differences([0.1, np.nan])
