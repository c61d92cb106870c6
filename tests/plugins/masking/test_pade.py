"""Padé units, and networks whose ReLUs they replace."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.plugins.masking.pade import PadeActivations, count_relus
from cl_strategies.plugins.masking.pade_function import (
    RELU_DENOMINATOR,
    RELU_NUMERATOR,
    pade_activation,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "cim"
NUMERATOR, DENOMINATOR = torch.tensor(RELU_NUMERATOR), torch.tensor(RELU_DENOMINATOR)


def vectors(name):
    with np.load(GOLDEN / name) as archive:
        return {key: torch.from_numpy(archive[key]) for key in archive.files}


def test_values_and_gradients_match_the_reference_in_float64():
    golden = vectors("indep_pau.npz")
    x, a, b = (golden[name].clone().requires_grad_() for name in ("x", "num", "den"))
    y = pade_activation(x, a, b)
    torch.testing.assert_close(y, golden["y"], rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope, golden["dydx"], rtol=1e-12, atol=1e-12)
    for column, point in enumerate(golden["x4"]):
        da, db = torch.autograd.grad(pade_activation(point, a, b), (a, b))
        torch.testing.assert_close(da, golden["dyda"][:, column], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(db, golden["dydb"][:, column], rtol=1e-12, atol=1e-12)


def test_values_and_gradients_match_the_authors_package():
    golden = vectors("author_pau.npz")
    x, a, b = (golden[name].clone().requires_grad_() for name in ("x", "num", "den"))
    y = pade_activation(x, a, b)
    y.backward(golden["grad_out"].float())
    for found, name in ((y, "y"), (x.grad, "dx"), (a.grad, "dnum"), (b.grad, "dden")):
        torch.testing.assert_close(found, golden[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("m", "n"), [(5, 4), (3, 0), (0, 2), (1, 1)])
def test_first_and_second_derivatives_are_right_for_any_degrees(m, n):
    x, a, b = (torch.randn(k, dtype=torch.float64, requires_grad=True) for k in (7, m + 1, n))
    assert torch.autograd.gradcheck(pade_activation, (x, a, b))
    assert torch.autograd.gradgradcheck(pade_activation, (x, a, b))


def test_the_initial_unit_is_near_relu_where_it_was_fitted():
    golden = vectors("indep_pau.npz")
    unit = PadeActivations(1)
    assert float(unit.distances()[0]) == pytest.approx(float(golden["dist_L1_m3_3"]), abs=1e-5)
    x = torch.linspace(-3, 3, 601)
    gap = (pade_activation(x, NUMERATOR, DENOMINATOR) - x.relu()).abs().max()
    assert float(gap) == pytest.approx(float(golden["max_abs_m3_3"]), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    x = torch.tensor([-300.0, -2.0, 0.0, 2.0, 300.0], dtype=dtype)
    y = pade_activation(x, NUMERATOR, DENOMINATOR)
    assert y.dtype == dtype
    assert y.isfinite().all()
    torch.testing.assert_close(y, pade_activation(x.float(), NUMERATOR, DENOMINATOR).to(dtype))


class Mixed(nn.Module):
    """ReLUs as modules, functions and methods."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True))
        self.second = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        x = torch.relu(self.norm(self.second(self.first(x))))
        return F.relu(x - 0.1).sub(0.1).relu_()


def test_every_kind_of_relu_is_replaced_and_the_network_left_alone():
    model = Mixed().eval()
    x = torch.randn(5, 3)
    before = model(x)
    assert count_relus(lambda: model(x)) == 4
    units = PadeActivations(4)
    with units.replacing():
        replaced = model(x)
    assert not torch.equal(replaced, before)
    assert torch.equal(model(x), before)
    hidden = pade_activation(model.first[0](x), NUMERATOR, DENOMINATOR)
    hidden = pade_activation(model.norm(model.second(hidden)), NUMERATOR, DENOMINATOR)
    hidden = pade_activation(hidden - 0.1, NUMERATOR, DENOMINATOR)
    torch.testing.assert_close(replaced, pade_activation(hidden - 0.1, NUMERATOR, DENOMINATOR))


def test_only_the_last_units_are_replaced_if_asked():
    model = Mixed().eval()
    x = torch.randn(5, 3)
    units = PadeActivations(4, learnable=1)
    assert sum(p.numel() for p in units.parameters()) == 10
    with units.replacing():
        found = model(x)
    hidden = F.relu(F.relu(model.norm(model.second(model.first(x)))) - 0.1)
    torch.testing.assert_close(found, pade_activation(hidden - 0.1, NUMERATOR, DENOMINATOR))


def test_gradients_reach_units_and_weights():
    model = Mixed().eval()
    units = PadeActivations(4)
    with units.replacing():
        model(torch.randn(5, 3)).square().sum().backward()
    parameters = [*units.parameters(), model.second.weight]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters)


def test_another_number_of_relus_is_an_error():
    model = Mixed().eval()
    with pytest.raises(UserError, match="met 4 ReLUs, expected 5"), PadeActivations(5).replacing():
        model(torch.randn(5, 3))
    for sites, learnable in ((0, 0), (3, 4)):
        with pytest.raises(UserError):
            PadeActivations(sites, learnable=learnable)
