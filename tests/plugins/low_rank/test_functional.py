"""HALRP's mathematics against reference vectors, and against torch where torch has it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.low_rank import functional as F

GOLDEN = Path(__file__).parents[2] / "golden" / "halrp"
LAYERS = ("conv", "fc1", "fc2")


def golden(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {
            key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype.kind in "fi"
        }


def close(actual, expected, tolerance=1e-10):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def random_pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(2)]


# ---------------------------------------------------------------------- scales and residual


def test_scales_and_residual_meet_the_reference_with_empty_rows_and_columns():
    data = golden("edge_cases")
    free, base = data["Wfree"].double(), data["Wbase"].double()
    row, column = F.least_squares_scales(free, base)
    close(row, data["R_paper"])
    close(column, data["S_paper"])
    close(F.residual(free, base, row, column), data["B_paper"])


@pytest.mark.parametrize(("sweeps", "key"), [(1, "sweep1"), (50, "conv")])
def test_alternating_sweeps_meet_the_reference(sweeps, key):
    data = golden("edge_cases")
    row, column = F.least_squares_scales(data["als_Wfree"], data["als_Wbase"], sweeps=sweeps)
    close(row, data[f"als_R_{key}"])
    close(column, data[f"als_S_{key}"])
    left_over = F.residual(data["als_Wfree"], data["als_Wbase"], row, column).square().sum()
    close(left_over, data["als_obj"][sweeps - 1])


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3, 2)])
def test_each_scale_is_the_minimum_of_its_own_problem(shape):
    free, base = random_pair(*shape)
    row, column = F.least_squares_scales(free, base)
    kernel = (1,) * (len(shape) - 2)
    r = row.clone().requires_grad_()
    rows_only = (free - r.view(-1, 1, *kernel) * base).square().sum()
    s = column.clone().requires_grad_()
    both = (free - row.view(-1, 1, *kernel) * base * s.view(1, -1, *kernel)).square().sum()
    for loss, scale in ((rows_only, r), (both, s)):
        close(torch.autograd.grad(loss, scale)[0], torch.zeros_like(scale))


def test_scales_of_single_precision_weights_are_single_precision():
    free, base = (tensor.float() for tensor in random_pair(6, 4))
    row, column = F.least_squares_scales(free, base)
    assert (row.dtype, column.dtype) == (torch.float32, torch.float32)
    exact = F.least_squares_scales(free.double(), base.double())
    close(row.double(), exact[0], 1e-6)


def test_scales_of_equal_weights_are_one_and_leave_nothing():
    _, base = random_pair(4, 6, 3, 3)
    row, column = F.least_squares_scales(base, base)
    close(row, torch.ones(4, dtype=torch.float64))
    close(F.residual(base, base, row, column), torch.zeros(4, 6, dtype=torch.float64))


def test_full_rank_gives_a_linear_layer_back_and_a_convolution_up_to_its_kernel_mean():
    for shape in ((5, 7), (7, 5), (5, 7, 3, 3)):
        free, base = random_pair(*shape)
        row, column = F.least_squares_scales(free, base)
        rest = F.residual(free, base, row, column)
        left, right = F.Spectrum(rest).factors(min(shape[:2]))
        weight = F.materialise(base, row, column, left, right)
        if len(shape) == 2:
            close(weight, free)
        else:
            error = weight - free
            close(error.mean(dim=(2, 3)), torch.zeros_like(rest))
            assert error.abs().max() > 0.1


def test_rank_zero_leaves_the_scaled_base():
    _, base = random_pair(3, 4)
    row, column = (
        torch.tensor([1.0, 2.0, 3.0]).double(),
        torch.tensor([1.0, 0.0, 2.0, 1.0]).double(),
    )
    weight = F.materialise(base, row, column, base.new_zeros(3, 0), base.new_zeros(0, 4))
    close(weight, torch.diag(row) @ base @ torch.diag(column))


def test_increment_ratio_meets_the_reference():
    data = golden("metrics")
    for (j, i, k), expected in zip(
        data["inc_paper_JIk"].tolist(), data["inc_paper_rho"].tolist(), strict=True
    ):
        assert F.increment_ratio(j, i, k) == pytest.approx(expected, abs=1e-12)


def test_shapes_that_do_not_fit_are_refused():
    free, base = random_pair(3, 4)
    with pytest.raises(UserError, match="same shape"):
        F.least_squares_scales(free, base[:2])
    with pytest.raises(UserError, match="convolution"):
        F.least_squares_scales(free[0], base[0])
    with pytest.raises(UserError, match="do not fit"):
        F.residual(free, base, torch.ones(4), torch.ones(4))
    with pytest.raises(UserError, match="do not multiply"):
        F.materialise(base, torch.ones(3), torch.ones(4), torch.ones(3, 2), torch.ones(1, 4))
    with pytest.raises(UserError, match="sweeps"):
        F.least_squares_scales(free, base, sweeps=0)
    with pytest.raises(UserError, match="rank -1"):
        F.increment_ratio(3, 4, -1)


# ---------------------------------------------------------------------- SVD


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (120, 300), (300, 120), (128, 128)])
def test_truncated_svd_is_that_of_torch(shape):
    matrix, _ = random_pair(*shape)
    left, values, right = F.truncated_svd(matrix, 4)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    close(values, s[:4])
    close(left * values @ right, u[:, :4] * s[:4] @ v[:4])
    close(left.T @ left, torch.eye(4, dtype=torch.float64))
    close(right @ right.T, torch.eye(4, dtype=torch.float64))
    close(F.Spectrum(matrix).values, s, 1e-9)


def test_truncation_error_is_that_of_equation_1():
    matrix, _ = random_pair(130, 150)
    spectrum = F.Spectrum(matrix)
    for rank in (0, 10, 130):
        left, right = spectrum.factors(rank)
        assert (left.shape, right.shape) == ((130, rank), (rank, 150))
        error = (matrix - left @ right).norm()
        close(error, spectrum.values[rank:].square().sum().sqrt(), 1e-9)


def test_factors_share_the_root_of_the_singular_values():
    matrix, _ = random_pair(9, 6)
    spectrum = F.Spectrum(matrix)
    left, right = spectrum.factors(3)
    close(left.norm(dim=0), spectrum.values[:3].sqrt())
    close(right.norm(dim=1), spectrum.values[:3].sqrt())


def test_decaying_spectrum_keeps_single_precision_and_the_ranks_of_torch():
    generator = torch.Generator().manual_seed(0)
    decay = torch.logspace(0, -5, 200).double()
    q = torch.linalg.qr(torch.randn(400, 200, generator=generator, dtype=torch.float64)).Q
    p = torch.linalg.qr(torch.randn(200, 200, generator=generator, dtype=torch.float64)).Q
    matrix = (p * decay @ q.T).float()
    exact = torch.linalg.svd(matrix.double(), full_matrices=False)
    spectrum = F.Spectrum(matrix)
    for alpha in (0.3, 0.9, 0.999, 0.999999):
        ranks = F.select_ranks([spectrum.values], [1.0], alpha=alpha)
        assert ranks == F.select_ranks([exact.S], [1.0], alpha=alpha)
        left, right = spectrum.factors(ranks[0])
        best = exact.U[:, : ranks[0]] * exact.S[: ranks[0]] @ exact.Vh[: ranks[0]]
        assert (left.double() @ right.double() - best).norm() < 1e-5 * best.norm()


def test_matrix_of_zeros_has_factors_of_zeros():
    left, right = F.Spectrum(torch.zeros(100, 120)).factors(3)
    assert not left.any() and not right.any()
    assert all(bool(torch.isfinite(t).all()) for t in F.truncated_svd(torch.zeros(4, 5), 2))


def test_rank_or_matrix_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="at most 3"):
        F.truncated_svd(torch.zeros(3, 4), 4)
    with pytest.raises(UserError, match="not finite"):
        F.Spectrum(torch.full((3, 4), torch.nan))
    with pytest.raises(UserError, match="two dimensions"):
        F.Spectrum(torch.zeros(3))


# ---------------------------------------------------------------------- ranks


@pytest.mark.parametrize(
    ("key", "sigma", "weights", "bounds"),
    [
        ("ranks_paper_literal", "sigma", "paper", {}),
        ("ranks_paper_with_kernel_area", "sigma", "paper_area", {}),
        ("ranks_paper_sigma_of_Wfree", "sigmaWfree", "paper", {}),
        ("ranks_codeformula_sigma_code_nominmax", "sigma_code", "code_area", {}),
        ("ranks_codeformula_sigma_paperS_min1", "sigma", "code_area", {"min_rank": 1}),
        ("ranks_code_upper100", "sigma_code", "code_area", {"min_rank": 1, "max_rank": 100}),
        ("ranks_code_upper3", "sigma_code", "code_area", {"min_rank": 1, "max_rank": 3}),
    ],
)
def test_ranks_meet_the_reference(key, sigma, weights, bounds):
    data = golden("rank_selection")
    area = data["kernel_area"]
    importance = {
        "paper": data["weights_paper_g2"],
        "paper_area": data["weights_paper_g2"] * area,
        "code_area": data["weights_code_meansq"] * area,
    }[weights]
    values = [data[f"{sigma}_{layer}"] for layer in LAYERS]
    for alpha, expected in zip(data["alphas"].tolist(), data[key].tolist(), strict=True):
        if alpha == 1:  # the released code gives rank 1 here
            limit = bounds.get("max_rank", 100)
            expected = [min(len(layer), limit) for layer in values]
        assert F.select_ranks(values, importance, alpha=alpha, **bounds) == expected


def test_ranks_meet_the_hand_made_example():
    data = golden("rank_selection")
    values = [data["hand_sigma0"], data["hand_sigma1"]]
    ranks = [
        F.select_ranks(values, data["hand_w"], alpha=alpha)
        for alpha in data["hand_alphas"].tolist()
    ]
    assert ranks == data["hand_ranks"].tolist()


def test_prefix_that_reaches_alpha_exactly_is_enough():
    values = [torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0])]  # weights 9, 1, 4, 1 of 15
    for taken, expected in ((9, [1, 0]), (13, [1, 1]), (14, [2, 1])):
        assert F.select_ranks(values, [1, 1], alpha=taken / 15) == expected


def test_ranks_grow_with_alpha_from_none_to_all():
    generator = torch.Generator().manual_seed(1)
    values = [torch.rand(n, generator=generator).sort(descending=True).values for n in (5, 9, 2)]
    sums = [sum(F.select_ranks(values, [3.0, 1.0, 2.0], alpha=a / 20)) for a in range(21)]
    assert sums == sorted(sums)
    assert (sums[0], sums[-1]) == (0, 16)


def test_equal_weights_go_to_the_earlier_layer_and_zero_weights_to_nobody():
    ones = [torch.ones(3), torch.ones(3)]
    assert F.select_ranks(ones, [1, 1], alpha=0.5) == [3, 0]
    assert F.select_ranks(ones, [0, 0], alpha=0.9) == [0, 0]
    assert F.select_ranks([torch.zeros(3)], [1], alpha=0.9, min_rank=2) == [2]
    assert F.select_ranks([torch.ones(2)], [1], alpha=0.9, min_rank=5) == [2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.1}, "alpha"),
        ({"alpha": 0.9, "min_rank": 3, "max_rank": 2}, "min_rank"),
        ({"alpha": 0.9, "importance": [1.0, 2.0]}, "one for each"),
        ({"alpha": 0.9, "importance": [float("nan")]}, "finite"),
        ({"alpha": 0.9, "importance": [-1.0]}, "not negative"),
    ],
)
def test_impossible_rank_selections_are_refused(options, message):
    options = {"importance": [1.0], **options}
    with pytest.raises(UserError, match=message):
        F.select_ranks([torch.ones(2)], **options)


def test_limited_ranks_fit_the_budget_and_keep_the_most_weight_for_their_size():
    values = [torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.5])]  # weights 9, 1 and 4, 2.25
    limited = [
        F.limit_ranks([2, 2], values, [1, 1], costs=[10, 4], budget=budget)
        for budget in (-1, 3, 4, 13, 14, 18, 27, 28)
    ]
    assert limited == [[0, 0], [0, 0], [0, 1], [0, 1], [1, 1], [1, 2], [1, 2], [2, 2]]
    assert F.limit_ranks([1, 0], values, [1, 1], costs=[10, 4], budget=99) == [1, 0]


def test_random_components_cost_no_more_than_the_ranks_they_replace():
    costs, available = [10, 4, 7], [5, 20, 8]
    drawn = F.random_components([3, 2, 1], available, costs=costs)
    spent = sum(len(index) * cost for index, cost in zip(drawn, costs, strict=True))
    assert 45 - 10 < spent <= 45
    assert all(
        len(index.unique()) == len(index) and (index < n).all()
        for index, n in zip(drawn, available, strict=True)
    )


def test_importances_are_what_paper_and_code_say():
    gradients = [torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]])]
    sizes = [3, 1]
    mean = (3 * gradients[0] + gradients[1]) / 4
    assert F.grad_norm(gradients, sizes) == pytest.approx(mean.square().sum().item())
    assert F.fisher_mean(gradients, sizes) == pytest.approx((3 * 6 / 4 + 1 * 10 / 4) / 2)


# ---------------------------------------------------------------------- pruning and regularizer


def factors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for shape in ((6, 3), (3, 4), (5, 1))]


@pytest.mark.parametrize("gamma", [0.0, 0.2, 0.37, 1.0])
def test_percentile_is_that_of_numpy_over_all_factors(gamma):
    pool = np.concatenate([np.abs(f.double().numpy()).ravel() for f in factors()])
    expected = np.percentile(pool, 100 * (1 - gamma))
    assert F.percentile_threshold(factors(), gamma) == pytest.approx(expected, rel=1e-12)


def test_mixed_threshold_is_the_larger_one():
    relative = F.percentile_threshold(factors(), 0.5)
    assert F.mixed_threshold(factors(), 0.5, 1e-5) == relative
    assert F.mixed_threshold(factors(), 0.5, 7.0) == 7.0


def test_pruning_keeps_what_is_strictly_above_the_threshold():
    tensors = [torch.tensor([[0.5, -1.0], [1.5, 0.0]]), torch.tensor([[-2.0]])]
    assert F.prune_below_(tensors, 1.0) == 2
    assert tensors[0].tolist() == [[0.0, 0.0], [1.5, 0.0]]
    assert tensors[1].tolist() == [[-2.0]]


def test_budget_is_met_exactly_even_among_equal_entries():
    tensors = [torch.ones(3, 2), -torch.ones(2, 2), torch.full((1, 1), 5.0)]
    assert F.prune_to_budget_(tensors, 4) == 4
    assert [int(t.count_nonzero()) for t in tensors] == [3, 0, 1]
    assert F.prune_to_budget_(tensors, 10) == 4
    with pytest.raises(UserError, match="budget"):
        F.prune_to_budget_(tensors, -1)
    with pytest.raises(UserError, match="gamma"):
        F.percentile_threshold(tensors, 1.5)


def test_regularizer_is_equation_12_and_its_gradient_is_added():
    scales, low_rank = factors(1)[:2], factors(2)
    value = F.regularizer(scales, low_rank, l1=0.3, l2=0.7)
    by_hand = 0.3 * sum(t.abs().sum() for t in low_rank)
    by_hand += 0.7 * sum(t.square().sum() for t in (*scales, *low_rank))
    close(value, by_hand, 1e-6)

    for tensor in (*scales, *low_rank):
        tensor.requires_grad_()
    tensors = [*scales, *low_rank]
    expected = torch.autograd.grad(F.regularizer(scales, low_rank, l1=0.3, l2=0.7), tensors)
    for tensor in tensors[1:]:
        tensor.grad = torch.ones_like(tensor)
    F.add_regularizer_gradient_(scales, low_rank, l1=0.3, l2=0.7)
    assert tensors[0].grad is None
    for tensor, gradient in zip(tensors[1:], expected[1:], strict=True):
        close(tensor.grad, 1 + gradient, 1e-6)
