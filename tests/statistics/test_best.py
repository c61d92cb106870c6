"""What may be called best: right where methods differ, and rarely where they are equal."""

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.statistics import best, compare_all
from cl_strategies.statistics.adjust import holm_adjusted, index_pairs
from cl_strategies.statistics.intervals import t_p

REPETITIONS = 400
#: Three standard errors of a share of 0.05.
MARGIN = 3 * np.sqrt(0.05 * 0.95 / REPETITIONS)


def simulated(k, n, noise, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(REPETITIONS):
        cells = 0.7 + generator.normal(0, 0.05, n)
        yield dict(zip("abcdefghij", cells + noise(generator, (k, n)), strict=False))


def normal(generator, shape):
    return generator.normal(0, 0.01, shape)


def unequal(generator, shape):
    return generator.normal(0, 1, shape) * np.linspace(0.001, 0.03, shape[0])[:, None]


def skewed(generator, shape):
    return 0.01 * np.exp(generator.normal(0, 0.7, shape))


def counted(generator, shape):
    return generator.binomial(500, 0.8, shape) / 500


@pytest.mark.parametrize("noise", [normal, unequal, skewed, counted])
@pytest.mark.parametrize(("k", "n"), [(2, 3), (2, 6), (3, 5), (5, 8)])
def test_among_equal_methods_none_is_called_best_or_worse_too_often(k, n, noise):
    words = [set(best(given).words.values()) for given in simulated(k, n, noise)]
    false_best = np.mean(["best" in found for found in words])
    any_claim = np.mean([found != {"cannot be told apart"} for found in words])
    assert false_best <= any_claim <= 0.05 + MARGIN


@pytest.mark.parametrize(("k", "n"), [(2, 3), (2, 5), (3, 5), (5, 5), (4, 3)])
def test_five_percent_are_kept_over_many_tables(k, n):
    tables = np.random.default_rng(10 * k + n).normal(0, 1, (20_000, k, n))
    pairs = index_pairs(k)
    gains = np.stack([tables[:, i] - tables[:, j] for i, j in pairs], axis=1)
    shown = holm_adjusted(t_p(gains)) <= 0.05
    ahead = np.zeros((len(tables), k, k), dtype=bool)
    for row, (i, j) in enumerate(pairs):
        ahead[:, i, j] = shown[:, row] & (gains[:, row].mean(axis=-1) > 0)
        ahead[:, j, i] = shown[:, row] & ~ahead[:, i, j]
    false_best = (ahead.sum(axis=2) == k - 1).any(axis=1).mean()
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(tables))
    assert false_best <= shown.any(axis=1).mean() <= limit
    assert k == 2 or false_best < 0.005
    for table, own in list(zip(tables, ahead, strict=True))[:20]:
        found = best(dict(zip("abcdef", table, strict=False)))
        assert found.decided == (own.sum(axis=1) == k - 1).any()


def test_of_two_equal_leaders_none_is_called_best_however_bad_the_others_are():
    false = 0
    for given in simulated(4, 6, normal):
        given["c"], given["d"] = given["c"] - 0.3, given["d"] - 0.4
        found = best(given, test="t")
        false += found.decided
        assert found.words["c"] == found.words["d"] == "worse"
    assert false / REPETITIONS <= 0.05 + MARGIN


def test_a_method_ahead_of_all_is_best_and_the_others_worse():
    given = next(simulated(4, 7, normal))
    given["b"] = given["b"] + 0.1
    found = best(given)
    assert found.leader == "b" and found.decided and found.m == 6 and found.pairs_needed == 8
    assert found.words == {"a": "worse", "b": "best", "c": "worse", "d": "worse"}
    assert set(found.tests.values()) == {"t"} and set(found.n.values()) == {7}
    lowest = best({name: -values for name, values in given.items()}, higher_is_better=False)
    assert lowest == found


def test_words_are_those_of_the_table_of_all_pairs():
    for given in list(simulated(4, 9, unequal, seed=3))[:20]:
        given["a"], given["b"] = given["a"] + 0.05, given["b"] + 0.05
        found, table = best(given), compare_all(given)
        for row in table.rows:
            if found.leader in (row.a, row.b):
                other, word = (row.b, "better") if row.a == found.leader else (row.a, "worse")
                assert (row.verdict == word) == (found.words[other] == "worse")
                assert found.p_adjusted[other] == pytest.approx(row.p_adjusted)


def test_the_leader_is_tied_with_what_cannot_be_told_apart():
    found = best({"a": [0.8, 0.7, 0.9], "b": [0.79, 0.71, 0.88], "c": [0.1, 0.0, 0.2]})
    assert found.leader == "a" and not found.decided
    assert found.words == {
        "a": "cannot be told apart",
        "b": "cannot be told apart",
        "c": "worse",
    }


def test_failed_runs_do_not_take_the_others_with_them():
    given = next(simulated(3, 8, normal))
    given["a"] = given["a"] + 0.1
    given["c"] = np.array([*given["c"][:1], *[np.nan] * 7])
    found = best(given)
    assert found.words["b"] == "worse" and found.words["c"] == "not compared"
    assert found.words["a"] == "cannot be told apart" and found.n["c"] == 1
    assert found.p_adjusted["c"] is None and found.tests["c"] == "none"


def test_a_method_without_any_score_never_leads():
    found = best({"z": [np.nan] * 3, "a": [0.5, 0.6, 0.7], "b": [0.4, 0.55, 0.6]})
    assert found.leader == "a" and found.words["z"] == "not compared"
    ahead = best({"z": [np.nan] * 3, "a": [0.5, 0.6, 0.7], "b": [0.1, 0.21, 0.3]})
    assert ahead.words == {"z": "not compared", "a": "best", "b": "worse"} and ahead.m == 1


def test_one_lucky_run_does_not_lead():
    found = best(
        {"z": [0.9] + [np.nan] * 4, "a": [0.5, 0.6, 0.7, 0.6, 0.5], "b": [0.1, 0.2, 0.3, 0.2, 0.2]}
    )
    assert found.leader == "a" and found.words["b"] == "worse" and not found.decided
    apart = best(
        {"a": [0.5, 0.6, np.nan, np.nan], "b": [np.nan, np.nan, np.nan, 0.2], "c": [0.4] * 4}
    )
    assert apart.leader == "a" and apart.words["b"] == "not compared"


def test_claims_about_orders_count_orders():
    given = {"a": [0.8, 0.81, 0.7, 0.72], "b": [0.6, 0.61, 0.5, 0.51]}
    assert best(given, units=[0, 0, 1, 1]).n == {"b": 2}


def test_bad_input():
    for given, words in (
        ({"a": [1.0]}, "nothing to compare"),
        ({"a": [1.0, np.nan], "b": [np.nan, 1.0]}, "same cell"),
        ({"a": [1.0, 2.0], "b": [np.nan, np.nan]}, "same cell"),
    ):
        with pytest.raises(UserError, match=words):
            best(given)
