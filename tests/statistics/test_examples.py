"""Worked examples: every expected value is the field of that name."""

import numpy as np
import pytest

from cl_strategies.statistics import (
    aggregates,
    friedman,
    holm,
    order_disparity,
    paired_differences,
    signflip,
    variance_components,
)

CLOSE = dict(rel=0, abs=1e-9)


def agrees(result, expected, without=()):
    for name in set(expected) - set(without):
        found = getattr(result, name)
        assert np.shape(found) == np.shape(expected[name]), name
        assert np.allclose(np.asarray(found, float), expected[name], rtol=0, atol=1e-9), name


def test_signflip_with_a_loss(example):
    given, expected = example("signflip_with_a_loss")
    agrees(paired_differences(given["d"]), expected)
    agrees(signflip(given["d"]), expected, without=["t_p"])


def test_holm(example):
    given, expected = example("holm")
    agrees(holm(given["p"]), expected)


def test_friedman(example):
    given, expected = example("friedman")
    result = friedman(given["streams_by_method"])
    pairwise = ("pairwise_signflip_p", "pairwise_signflip_holm")
    agrees(result, expected, without=pairwise)
    for name in pairwise:
        found = {f"{i},{j}": p for (i, j), p in getattr(result, name).items()}
        assert found == pytest.approx(expected[name], **CLOSE)
    assert result.nemenyi_cliques == ((0, 1, 2), (1, 2, 3))
    assert result.signflip_cliques == ((0, 1, 2, 3),)
    assert "at least 8" in result.diagram_reason


def test_order_disparity(example):
    given, expected = example("order_disparity")
    scores = given["final_accuracy_order_seed_task"]
    agrees(order_disparity(scores, range_constant_d2=given["range_constant_d2"]), expected)
    assert order_disparity(scores).aopd_floor == pytest.approx(expected["aopd_floor"], rel=1e-5)


def test_variance_components(example):
    given, expected = example("variance_components")
    result = variance_components(given["orders_by_seeds"])
    for design in ("nested", "crossed"):
        agrees(getattr(result, design), expected[design])
    agrees(result, expected, without=["nested", "crossed"])


def test_aggregates(example):
    given, expected = example("rliable")
    result = aggregates(
        given["x_runs_by_streams"],
        given["y_runs_by_streams"],
        gamma=given["gamma"],
        taus=given["taus"],
    )
    agrees(result, expected)
