"""The mathematics of IMM: reference vectors and limit cases."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.merging.functional import (
    mean_merge,
    merge_weights,
    mode_merge,
    share_of_last,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "rows" / "imm.npz"
CASES = ["merge0", "merge1"]


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", ["weights0", "weights1", "weights2"])
def test_weights(golden, case):
    count, alpha = int(golden[f"{case}_count"]), float(golden[f"{case}_alpha"])
    close(merge_weights(count, alpha), golden[f"{case}_value"])


@pytest.mark.parametrize("case", CASES)
def test_mean(golden, case):
    found = mean_merge(golden[f"{case}_parameters"], golden[f"{case}_weights"])
    close(found, golden[f"{case}_mean"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("value", "precisions", "options"),
    [
        ("mode", "precisions", {}),
        ("mode_eps0", "precisions", {"eps": 0.0}),
        ("mode_with_zeros", "precisions_with_zeros", {}),
    ],
)
def test_mode(golden, case, value, precisions, options):
    found = mode_merge(
        list(golden[f"{case}_parameters"]),
        list(golden[f"{case}_{precisions}"]),
        golden[f"{case}_weights"],
        **options,
    )
    close(found, golden[f"{case}_{value}"])


@pytest.mark.parametrize("case", CASES)
def test_equal_precisions_give_the_mean(golden, case):
    parameters, weights = golden[f"{case}_parameters"], golden[f"{case}_weights"]
    found = mode_merge(parameters, torch.full_like(parameters, 0.3), weights, eps=0.0)
    close(found, golden[f"{case}_mode_equal"])
    close(found, mean_merge(parameters, weights))


def test_one_network_is_itself_and_alpha_one_is_the_last():
    theta = torch.randn(3, 4, dtype=torch.float64)
    assert torch.equal(mean_merge(theta[:1], merge_weights(1, 0.3)), theta[0])
    assert torch.equal(mean_merge(theta, merge_weights(3, 1.0)), theta[2])
    assert torch.equal(merge_weights(4, None), torch.full((4,), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("alpha", [None, 0.0, 0.3, 1.0])
def test_merging_the_last_with_the_mean_of_the_others_is_merging_all(alpha):
    theta, fisher = torch.rand(2, 5, 7, dtype=torch.float64)
    weights = merge_weights(5, alpha)
    mass = fisher[:4].sum(0)
    mean = (fisher[:4] * theta[:4]).sum(0) / mass
    share = share_of_last(mass, fisher[4], networks=5, alpha=alpha)
    close(torch.lerp(mean, theta[4], share), mode_merge(theta, fisher, weights, eps=0.0))


def test_inputs_stay_and_gradients_flow():
    theta = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    fisher = torch.rand(3, 4, dtype=torch.float64)
    before = theta.detach().clone(), fisher.clone()
    weights = merge_weights(3, 0.5)
    assert torch.autograd.gradcheck(lambda t: mode_merge(t, fisher, weights), (theta,))
    assert torch.equal(theta, before[0]) and torch.equal(fisher, before[1])
    assert mean_merge(theta.float(), weights).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: merge_weights(0, 0.5), "count is 0"),
        (lambda: merge_weights(2, 1.5), "alpha is 1.5"),
        (lambda: merge_weights(2, float("nan")), "alpha is nan"),
        (lambda: mean_merge([], torch.ones(0)), "no network"),
        (lambda: mean_merge([torch.ones(1)], torch.ones(2)), "1 networks"),
        (lambda: mean_merge([torch.ones(1), torch.ones(2)], torch.ones(2)), "one shape"),
        (lambda: mode_merge([torch.ones(1)], [torch.ones(2)], torch.ones(1)), "one shape"),
        (lambda: mode_merge([torch.ones(1)], [], torch.ones(1)), "0 precisions"),
        (
            lambda: mode_merge([torch.ones(1)], [torch.ones(1)], torch.ones(1), eps=-1.0),
            "eps is -1",
        ),
    ],
)
def test_bad_input_is_refused_in_words(call, message):
    with pytest.raises(UserError, match=message):
        call()
