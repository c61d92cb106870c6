"""Tables of comparisons: Holm over the table, what the notes say, and the counts of wins."""

import numpy as np
import pytest
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import (
    compare_all,
    count_verdicts,
    holm,
    matched,
    paired,
    required_seeds,
    signflip,
    wins_ties_losses,
)
from cl_strategies.statistics.power import sd_upper_limit


def scores(n, means, sd=0.01, seed=0):
    """Return scores whose means over the cells are exactly ``means`` apart."""
    generator = np.random.default_rng(seed)
    cells, noise = generator.normal(0, 0.03, n), generator.normal(0, sd, (len(means), n))
    noise = (noise - noise.mean(axis=1, keepdims=True)) if n > 1 else noise * 0
    rows = zip("abcdef", means, noise, strict=False)
    return {name: mean + cells + own for name, mean, own in rows}


def test_all_pairs_are_adjusted_together():
    given = scores(9, [0.8, 0.77, 0.7, 0.7], sd=0.004)
    table = compare_all(given)
    assert table.m == len(table.rows) == 6 and table.pairs_needed == 8
    p = [signflip(given[row.a] - given[row.b]).signflip_p_two_sided for row in table.rows]
    assert [row.test for row in table.rows] == ["sign-flip"] * 6
    assert [row.p for row in table.rows] == pytest.approx(p)
    assert [row.p_adjusted for row in table.rows] == pytest.approx(holm(p).adjusted)
    assert table.row("a", "b").comparison == paired(given["a"], given["b"])
    assert [row.verdict for row in table.rows] == ["better"] * 5 + ["equivalent"]
    assert all(row.signflip_decides and row.note == "" for row in table.rows)
    assert table.row("a", "c").by_how_much == "by more than the rope"
    with pytest.raises(KeyError):
        table.row("b", "a")


def test_a_baseline_makes_fewer_comparisons():
    given = scores(8, [0.8, 0.77, 0.7, 0.7], sd=0.004)
    table = compare_all(given, baseline="c")
    assert table.m == 3 and table.pairs_needed == 7
    assert [(row.a, row.b) for row in table.rows] == [("a", "c"), ("b", "c"), ("d", "c")]
    assert [row.verdict for row in table.rows] == ["better", "better", "equivalent"]


def test_with_too_few_pairs_the_table_says_what_it_takes():
    table = compare_all(scores(5, [0.8, 0.7, 0.7]))
    row = table.row("a", "b")
    assert row.test == "t" and row.verdict == "better" and not row.signflip_decides
    assert "n = 5 and 3 comparisons, it takes 7" in row.note and "normal" in row.note
    exact = compare_all(scores(5, [0.8, 0.7, 0.7]), test="sign-flip").row("a", "b")
    assert exact.verdict == "undecided" and exact.p == 0.0625
    assert "cannot be decided by this test with n = 5: it takes 7" in exact.note
    single = compare_all(scores(1, [0.8, 0.7])).row("a", "b")
    assert (single.verdict, single.test, single.p, single.seeds_needed) == (
        "undecided",
        "none",
        None,
        None,
    )
    assert "1 complete pair:" in single.note


def test_undecided_pairs_say_how_many_seeds_would_settle_them():
    given = {"a": [0.70, 0.72, 0.69], "b": [0.68, 0.69, 0.70], "c": [0.2, 0.21, 0.19]}
    row = compare_all(given).row("a", "b")
    d = np.subtract(given["a"], given["b"])
    assert row.verdict == "undecided" and row.seeds_needed_for == pytest.approx(d.mean())
    effect = d.mean() / sd_upper_limit(d.std(ddof=1), 3)
    assert row.seeds_needed == required_seeds(effect, comparisons=3).n_exact
    near = compare_all({"a": [0.70, 0.73], "b": [0.71, 0.721]}).row("a", "b")
    assert near.seeds_needed_for == 0.01
    assert compare_all(given).row("a", "c").seeds_needed is None


def test_equivalence_holds_for_the_whole_table():
    given = scores(8, [0.8, 0.8], sd=0.002)
    assert compare_all(given).rows[0].verdict == "equivalent"
    assert compare_all(given, rope=0).rows[0].verdict == "undecided"
    wide = compare_all({**given, **scores(8, [0.8] * 6, sd=0.05, seed=1), **given})
    assert wide.row("a", "b").verdict == "equivalent"
    same = compare_all({"a": [0.5, 0.6], "b": [0.5, 0.6]})
    assert same.rows[0].verdict == "equivalent"


def test_an_interval_with_zero_in_it_is_never_better():
    d = np.array([0.001, 0.001, 0.001, 0.001, 0.001, 0.05])
    row = compare_all({"a": 0.5 + d, "b": np.full(6, 0.5)}).rows[0]
    assert row.p_adjusted == 0.03125 and row.comparison.t_interval[0] < 0
    assert row.verdict == "undecided"


def test_equal_differences_are_as_far_apart_as_the_step_between_scores_allows():
    words = []
    for n in (2, 3, 4, 6):
        row = compare_all({"a": [0.75] * n, "b": [0.5] * n}).rows[0]
        words.append((row.test, row.verdict))
    assert words[0] == ("t", "undecided")
    assert words[1:] == [("t", "better"), ("t", "better"), ("sign-flip", "better")]
    row = compare_all({"a": [0.75] * 4, "b": [0.5] * 4}).rows[0]
    assert row.p == pytest.approx(2 * stats.t.sf(np.sqrt(12 * 4), 3))


def test_lower_is_better():
    given = scores(8, [0.3, 0.2])
    assert compare_all(given).rows[0].verdict == "better"
    row = compare_all(given, higher_is_better=False).rows[0]
    assert row.verdict == "worse" and row.comparison.mean > 0
    assert row.by_how_much == "by more than the rope"


def test_failed_runs_drop_their_pairs_only():
    given = scores(8, [0.8, 0.7, 0.7])
    given["c"][:7] = np.nan
    table = compare_all(given)
    assert [row.comparison.n for row in table.rows] == [8, 1, 1]
    assert [row.comparison.dropped for row in table.rows] == [0, 7, 7]
    assert table.rows[0].verdict == "better" and table.rows[1].verdict == "undecided"
    given["c"][:] = np.nan
    assert compare_all(given).row("a", "c").comparison is None


def test_units_count_once():
    given = scores(12, [0.8, 0.7])
    orders = [order for order in range(6) for _ in range(2)]
    row = compare_all(given, units=orders).rows[0]
    means = (given["a"] - given["b"]).reshape(6, 2).mean(axis=1)
    assert row.comparison.n == 6
    assert row.p == signflip(means).signflip_p_two_sided
    given["a"][0] = np.nan
    row = compare_all(given, units=orders).rows[0]
    assert row.comparison.n == 6 and row.comparison.dropped == 1


def test_scores_by_cell_are_matched():
    cells, arrays = matched({"a": {("s", 0): 0.5, ("s", 1): 0.6}, "b": {("s", 1): 0.4}})
    assert cells == (("s", 0), ("s", 1))
    assert np.isnan(arrays["b"][0]) and arrays["b"][1] == 0.4
    assert compare_all(arrays).rows[0].comparison.n == 1


def test_wins_ties_and_losses():
    counts = wins_ties_losses({"a": [3, 2, 1, 5], "b": [1, 2, 2, np.nan], "c": [0, 0, 0, 0.5]})
    assert counts.wins.tolist() == [[0, 1, 4], [1, 0, 3], [0, 0, 0]]
    assert counts.ties.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert (counts.losses == counts.wins.T).all()
    assert wins_ties_losses({"a": [3.0], "b": [2.5]}, tie=0.5).ties[0, 1] == 1
    assert wins_ties_losses({"a": [3.0], "b": [2.5]}, higher_is_better=False).wins[1, 0] == 1


def test_verdicts_are_counted_over_streams():
    tables = [compare_all(scores(8, means)) for means in ([0.8, 0.7], [0.6, 0.7], [0.7, 0.7])]
    counts = count_verdicts(tables)
    assert counts.methods == ("a", "b")
    assert counts.wins.tolist() == [[0, 1], [1, 0]] and counts.ties.tolist() == [[0, 1], [1, 0]]
    assert counts.losses.tolist() == [[0, 1], [1, 0]]


def test_bad_input():
    good = {"a": [1.0, 2.0], "b": [1.0, 3.0]}
    for given, words in (
        ({"a": [1.0]}, "nothing to compare"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "different numbers"),
        ({"a": ["x"], "b": [1.0]}, "the scores of a"),
    ):
        with pytest.raises(UserError, match=words):
            compare_all(given)
    for options, words in (
        (dict(baseline="z"), "method"),
        (dict(rope=-1), "rope"),
        (dict(alpha=2), "alpha"),
        (dict(test="wilcoxon"), "sign-flip"),
        (dict(units=[1]), "units"),
    ):
        with pytest.raises(UserError, match=words):
            compare_all(good, **options)
    with pytest.raises(UserError, match="tie"):
        wins_ties_losses(good, tie=-1)
