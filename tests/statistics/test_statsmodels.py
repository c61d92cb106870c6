"""Beside statsmodels and scikit-posthocs, where they are installed."""

import warnings

import numpy as np
import pytest

from cl_strategies.statistics import (
    friedman,
    holm,
    mcnemar_counts,
    required_seeds,
    t_power,
    variance_components,
)

statsmodels = pytest.importorskip("statsmodels")


def test_holm():
    from statsmodels.stats.multitest import multipletests

    generator = np.random.default_rng(0)
    for m in range(1, 15):
        p = generator.random(m)
        assert holm(p).adjusted == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize(("a", "b"), [(9, 3), (0, 4), (30, 31)])
def test_mcnemar(a, b):
    from statsmodels.stats.contingency_tables import mcnemar

    r, table = mcnemar_counts(a, b), [[5, a], [b, 9]]
    assert r.p_exact == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert r.p_chi2 == pytest.approx(mcnemar(table, exact=False, correction=False).pvalue)
    assert r.p_chi2_corrected == pytest.approx(mcnemar(table, exact=False).pvalue)


@pytest.mark.parametrize("effect", [0.3, 0.5, 1.0, 2.0])
def test_power(effect):
    from statsmodels.stats.power import TTestPower

    test = TTestPower()
    n = test.solve_power(effect_size=effect, alpha=0.05, power=0.8)
    assert required_seeds(effect).n == np.ceil(n)
    assert t_power(effect, 9) == pytest.approx(test.power(effect, 9, 0.05))


def test_components_of_crossed_orders_and_seeds():
    pandas = pytest.importorskip("pandas")
    from statsmodels.regression.mixed_linear_model import MixedLM

    generator = np.random.default_rng(0)
    table = (
        generator.normal(0, 2, (5, 1))
        + generator.normal(0, 1.5, (1, 4))
        + generator.normal(0, 1, (5, 4))
    )
    orders, seeds = np.indices(table.shape)
    data = pandas.DataFrame(
        {"y": table.ravel(), "order": orders.ravel(), "seed": seeds.ravel(), "all": 1}
    )
    parts = {"order": "0 + C(order)", "seed": "0 + C(seed)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM.from_formula("y ~ 1", data, groups="all", vc_formula=parts).fit(reml=True)
    r = variance_components(table).crossed
    assert [r.var_order, r.var_seed] == pytest.approx(list(model.vcomp), rel=1e-3)
    assert r.var_resid == pytest.approx(model.scale, rel=1e-3)


def test_nemenyi():
    posthocs = pytest.importorskip("scikit_posthocs")
    generator = np.random.default_rng(1)
    for _ in range(20):
        table = generator.random((12, 4)) + np.array([0, 0.1, 0.2, 0.5])
        p = posthocs.posthoc_nemenyi_friedman(table).to_numpy()
        separated = {(i, j) for i in range(4) for j in range(i + 1, 4) if p[i, j] < 0.05}
        assert separated == set(friedman(table, draws=1).nemenyi_separated_pairs)
