"""Bit budgets and corner cases of the functional forms."""

import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization import functional as f
from cl_strategies.plugins.quantization.functional.additive_powers import apot_codes


def step(x):
    return torch.tensor(0.37, dtype=x.dtype)


EVERY_BIT = {
    "cdf weight": f.cdf_align_weight,
    "cdf activation": f.cdf_align_activation,
    "proxq": f.prox_weight,
    "dorefa weight": f.dorefa_weight,
    "dorefa activation": f.dorefa_activation,
    "dorefa activation, signed": lambda x, bits: f.dorefa_activation(x, bits, signed=True),
    "pact": lambda x, bits: f.pact(x, step(x), bits),
    "pact, signed": lambda x, bits: f.pact(x, step(x), bits, signed=True),
    "lsq": lambda x, bits: f.lsq(x, step(x) / 100, bits),
    "lsq, unsigned": lambda x, bits: f.lsq(x, step(x) / 100, bits, signed=False),
    "llsq": lambda x, bits: f.llsq(x, step(x) / 100, bits),
    "apot, unsigned": lambda x, bits: f.apot(x, step(x), bits, signed=False),
    "uniform": f.uniform_minmax,
}
ONE_FEWER = {
    "apot": lambda x, bits: f.apot(x, step(x), bits),
    "uniform, symmetric": lambda x, bits: f.uniform_minmax(x, bits, symmetric=True),
}
ALL = {**EVERY_BIT, **ONE_FEWER}
BITS = range(1, 9)


def values(name=""):
    """Every place of a normal distribution; evenly spread for what places levels by the range."""
    even = torch.linspace(-1, 1, 60_001, dtype=torch.float64)
    return (
        even if name.startswith(("uniform", "apot")) else torch.special.ndtri(even[1:-1] / 2 + 0.5)
    )


@pytest.mark.parametrize("name", EVERY_BIT)
def test_every_level_of_the_bit_budget_is_used(name):
    x = values(name)
    for bits in BITS:
        assert len(EVERY_BIT[name](x, bits).unique()) == 2**bits


@pytest.mark.parametrize("name", ONE_FEWER)
def test_grids_around_zero_have_one_level_fewer(name):
    x = values(name)
    for bits in BITS:
        assert len(ONE_FEWER[name](x, bits).unique()) == max(2**bits - 1, 2)


def test_released_forms_overshoot_the_bit_budget():
    x = values()
    for bits in (2, 3, 4, 8):
        assert len(f.cdf_align_weight(x, bits, levels="released").unique()) == 2 ** (bits + 1) - 1
        released = f.cdf_align_activation(x, bits, levels="released")
        assert len(released.unique()) == 2 ** (bits + 2) - 3
        assert len(f.prox_weight(x, bits, clamp=False).unique()) > 2**bits
    assert f.prox_weight(x, 1, clamp=False).unique().numel() == 2
    assert f.cdf_align_weight(x, 1, levels="released").unique().tolist() == [-1, 1]


@pytest.mark.parametrize("name", ALL)
def test_full_precision_passes_the_tensor_through(name):
    x = torch.randn(3, 2)
    assert ALL[name](x, 32) is x


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("bits", [0, 9, 16, -1, 2.0, True, "4", None])
def test_other_bits_are_refused(name, bits):
    with pytest.raises(UserError, match="1 to 8, or 32"):
        ALL[name](torch.randn(3), bits)


CORNERS = {
    "constant": torch.full((4, 3), 0.1),
    "zeros": torch.zeros(4, 3),
    "one element": torch.tensor([[-0.7]]),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(0.3),
    "huge": torch.tensor([[1e30, -1e30, 1.0]]),
    "tiny": torch.tensor([[1e-30, -3e-30, 2e-30]]),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("corner", CORNERS)
def test_corner_cases_are_finite_with_a_finite_gradient(name, corner):
    for bits in (1, 2, 4, 8):
        x = CORNERS[corner].clone().requires_grad_()
        quantized = ALL[name](x, bits)
        assert quantized.shape == x.shape
        assert quantized.isfinite().all()
        quantized.sum().backward()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    "quantize", [f.cdf_align_weight, f.prox_weight, f.uniform_minmax, f.binary]
)
def test_channels_of_one_element_are_finite(quantize):
    x = torch.randn(5, 1, requires_grad=True)
    quantized = quantize(x, channel=0) if quantize is f.binary else quantize(x, 3, channel=0)
    quantized.sum().backward()
    assert quantized.isfinite().all() and x.grad.isfinite().all()


def test_a_range_of_one_point_is_that_point():
    x = torch.tensor([[5.0, 5.0], [0.0, 0.0], [-3.0, 1.0]])
    for bits in BITS:
        quantized = f.uniform_minmax(x, bits, channel=0)
        assert torch.equal(quantized[:2], x[:2])


@pytest.mark.parametrize("quantize", [f.cdf_align_weight, f.prox_weight, f.uniform_minmax])
def test_channels_are_quantized_on_their_own(quantize):
    x = torch.randn(3, 40, dtype=torch.float64) * torch.tensor([[1.0], [10.0], [0.1]])
    rows = torch.stack([quantize(row, 3) for row in x])
    torch.testing.assert_close(quantize(x, 3, channel=0), rows, rtol=0, atol=1e-12)
    torch.testing.assert_close(quantize(x.T, 3, channel=-1).T, rows, rtol=0, atol=1e-12)
    with pytest.raises(UserError, match="no dimension 2"):
        quantize(x, 3, channel=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("signed", [True, False])
def test_apot_codes_are_those_of_a_search(dtype, signed):
    for bits in BITS:
        levels = f.apot_levels(bits, signed=signed)
        middle = ((levels[1:] + levels[:-1]) / 2).to(dtype)
        up, down = (middle.nextafter(middle.new_tensor(end)) for end in (9.0, -9.0))
        x = torch.cat([torch.randn(20_000, dtype=dtype), middle, up, down, levels.to(dtype)])
        expected = torch.bucketize(x, middle, out_int32=True)
        assert torch.equal(apot_codes(x, bits, signed=signed), expected)


def test_apot_levels_need_a_bit_width():
    with pytest.raises(UserError, match="no levels for 32"):
        f.apot_levels(32, signed=True)


def test_unknown_choices_are_refused():
    x = torch.randn(4, 4)
    with pytest.raises(UserError, match="released"):
        f.cdf_align_weight(x, 4, levels="relased")
    with pytest.raises(UserError, match="standard space"):
        f.prox_weight(x, 4, alpha=0.0)
    with pytest.raises(UserError, match="textbook"):
        f.admm_loss(x, x, x, mu=1, rho=1, form="text-book")
    with pytest.raises(UserError, match="probability"):
        f.balanced_logits(x, torch.ones(4), form="probabilty")


def test_a_batch_of_one_sample_has_no_correlation():
    assert torch.equal(f.correlation(torch.randn(1, 5)), torch.zeros(1, 1))
    assert f.correlation(torch.zeros(0, 5)).shape == (0, 0)
    assert torch.equal(f.correlation(torch.full((3, 5), 0.1)), torch.zeros(3, 3))


def test_correlations_of_independent_standard_features_have_the_batch_on_the_diagonal():
    found = f.correlation(torch.randn(6, 50_000))
    torch.testing.assert_close(found.diagonal(), torch.full((6,), 5 / 6), atol=0.02, rtol=0)
    torch.testing.assert_close(found.sum(0), torch.zeros(6), atol=1e-3, rtol=0)


def test_admm_shrinks_a_small_change_to_nothing():
    small = torch.full((3, 3), 0.01)
    auxiliary, dual = f.admm_update(small, small, torch.zeros(3, 3), mu=0.2, rho=0.3)
    assert torch.equal(auxiliary, torch.zeros(3, 3))
    torch.testing.assert_close(dual, 0.3 * small)
    zero = torch.zeros(3, 3)
    assert torch.equal(f.admm_update(zero, zero, zero, mu=0.2, rho=0.3)[0], zero)


@pytest.mark.parametrize("form", ["probability", "logit", "prior"])
def test_balanced_classes_leave_the_cross_entropy_alone(form):
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    counts = torch.full((4,), 7)
    torch.testing.assert_close(f.balanced_logits(logits, counts, form=form), logits)
    plain = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(f.balanced_cross_entropy(logits, labels, counts, form=form), plain)


def test_released_form_of_balanced_classes_is_not_the_cross_entropy():
    logits = torch.randn(6, 4)
    adjusted = f.balanced_logits(logits, torch.full((4,), 7), form="released")
    torch.testing.assert_close(adjusted, logits + logits.softmax(1) / 2)


def test_classes_without_samples_are_left_out():
    logits = torch.randn(5, 4)
    labels = torch.tensor([0, 1, 0, 1, 1])
    counts = torch.tensor([30, 10, 0, 0])
    for form in ("probability", "logit", "prior"):
        both = f.balanced_cross_entropy(logits, labels, counts, form=form)
        alone = f.balanced_cross_entropy(logits[:, :2], labels, counts[:2], form=form)
        torch.testing.assert_close(both, alone)
        adjusted = f.balanced_logits(logits, counts, form=form)
        assert torch.equal(adjusted[:, 2:], logits[:, 2:])


@pytest.mark.parametrize("form", ["probability", "logit", "prior", "released"])
def test_extreme_logits_and_shares_stay_finite(form):
    logits = torch.tensor([[80.0, -80.0, 3.0], [-80.0, 80.0, 0.0]], requires_grad=True)
    counts = torch.tensor([1.0, 1e6, 1e6])
    loss = f.balanced_cross_entropy(logits, torch.tensor([0, 1]), counts, form=form)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


def test_the_factor_of_a_rare_class_can_be_bounded():
    logits, counts = torch.tensor([[1.0, 1.0]]), torch.tensor([1, 999])
    bounded = f.balanced_logits(logits, counts, form="logit", max_ratio=5.0)
    torch.testing.assert_close(bounded[0, 0], torch.tensor(5.0))


def test_counts_must_fit_the_logits():
    with pytest.raises(UserError, match="one count for each"):
        f.balanced_logits(torch.randn(2, 3), torch.ones(4))
