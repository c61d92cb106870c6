"""The functional core of APD: reference vectors and limit cases."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from cl_strategies.errors import UserError
from cl_strategies.plugins.task_layers.apd_model import group_residuals
from cl_strategies.plugins.task_layers.functional import (
    consolidate,
    decomposed_weight,
    decomposition_penalty,
    hard_threshold,
)
from cl_strategies.plugins.task_layers.sparse_tensor import SparseTensor

GOLDEN = Path(__file__).parents[2] / "golden" / "rows" / "apd.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("case", ["apd0", "apd1"])
@pytest.mark.parametrize("kind", [list, torch.clone])
def test_weights_penalty_and_gradients_are_the_reference_ones(golden, case, kind):
    names = ["shared", "mask_logits", "residual", "old_mask_logits", "old_residuals", "old_weights"]
    given = [golden[f"{case}_{name}"].clone().requires_grad_() for name in names]
    weight = decomposed_weight(*given[:3])
    torch.testing.assert_close(weight, golden[f"{case}_weight"], rtol=1e-9, atol=1e-12)
    l1, drift, decay = golden[f"{case}_l1_drift_decay"].tolist()
    terms = decomposition_penalty(
        *given[:3], *(kind(part) for part in given[3:]), l1=l1, drift=drift, weight_decay=decay
    )
    for term, name in zip(terms, ("sparsity", "drift", "decay"), strict=True):
        assert term.shape == ()
        torch.testing.assert_close(term, golden[f"{case}_{name}"], rtol=1e-9, atol=1e-12)
    found = torch.autograd.grad(sum(terms), given, allow_unused=True)
    for gradient, name in zip(found, names, strict=True):
        expected = golden.get(f"{case}_d_{name}")
        if expected is None:
            assert gradient is None or not gradient.any()
        elif expected.numel():
            torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-12)


def test_threshold_is_the_reference_one_and_keeps_its_input(golden):
    residual = golden["threshold_residual"].clone()
    found = hard_threshold(residual, float(golden["threshold_threshold"]))
    assert torch.equal(found, golden["threshold_value"])
    assert torch.equal(residual, golden["threshold_residual"])
    assert torch.equal(hard_threshold(residual, 0.0), residual)


@pytest.mark.parametrize("case", ["group0", "group1"])
def test_components_are_the_reference_ones(golden, case):
    residuals = golden[f"{case}_residuals"]
    components, rest = consolidate(
        residuals, golden[f"{case}_groups"], spread=float(golden[f"{case}_spread"])
    )
    torch.testing.assert_close(components, golden[f"{case}_components"], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(rest, golden[f"{case}_new_residuals"], rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------------- limit cases


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 5)])
def test_an_open_mask_without_residual_is_the_shared_network(shape):
    shared = draw(*shape)
    full = torch.full((3,), 1e3, dtype=torch.float64)
    assert torch.equal(decomposed_weight(shared, full, torch.zeros_like(shared)), shared)
    assert torch.equal(decomposed_weight(shared, -full, draw(*shape, seed=1)), draw(*shape, seed=1))


def test_tasks_in_front_of_the_mask_are_tasks_in_front_of_the_weights():
    shared, masks, residuals = draw(3, 4, 2, 2), draw(5, 3, seed=1), draw(5, 3, 4, 2, 2, seed=2)
    expected = [decomposed_weight(shared, *pair) for pair in zip(masks, residuals, strict=True)]
    assert torch.equal(decomposed_weight(shared, masks, residuals), torch.stack(expected))


def test_weights_that_stay_do_not_drift_whatever_the_strength():
    shared, masks, residuals = draw(3, 4), draw(2, 3, seed=1), draw(2, 3, 4, seed=2)
    held = decomposed_weight(shared, masks, residuals)
    moved = shared + draw(3, 4, seed=3)  # and the residuals make up for it
    fitting = held - decomposed_weight(moved, masks, torch.zeros(()))
    _, drift, _ = decomposition_penalty(
        moved, masks[0], residuals[0], masks, fitting, held, drift=1e9
    )
    assert drift < 1e-18


def test_shared_weights_decay_in_the_first_task_alone():
    shared, mask, residual = draw(3, 4), draw(3, seed=1), draw(3, 4, seed=2)
    own = residual.square().sum() + mask.square().sum()
    first = decomposition_penalty(shared, mask, residual, (), (), (), weight_decay=2.0)
    old = (mask[None], residual[None], decomposed_weight(shared, mask, residual)[None])
    later = decomposition_penalty(shared, mask, residual, *old, weight_decay=2.0)
    torch.testing.assert_close(first[2], own + shared.square().sum())
    torch.testing.assert_close(later[2], own)
    assert first[1] == 0 <= later[1] < 1e-24 and later[0] == 2 * first[0]


def test_different_numbers_of_earlier_tasks_are_refused():
    w, v = draw(3, 4), draw(3)
    with pytest.raises(UserError, match=r"of \[1, 2\] tasks"):
        decomposition_penalty(w, v, w, [v, v], [w], [w, w])


@pytest.mark.parametrize("groups", [[0], [0, -1], [[0, 1]]])
def test_groups_that_are_not_one_for_each_are_refused(groups):
    with pytest.raises(UserError, match="give the number of a group"):
        consolidate(draw(2, 3), torch.tensor(groups))


def test_consolidation_is_exact_and_its_limits_are_no_group_and_one_mean():
    residuals, groups = draw(5, 3, 2), torch.tensor([0, 2, 0, 2, 2])
    for spread in (0.0, 0.5, 1e9):
        components, rest = consolidate(residuals, groups, spread=spread)
        torch.testing.assert_close(rest + components[groups], residuals, rtol=0, atol=1e-15)
        assert not components[1].any()
        if not spread:
            assert not components.any()
    for group in (0, 2):  # the last one: a spread that everything is within
        torch.testing.assert_close(components[group], residuals[groups == group].mean(0))


# ---------------------------------------------------------------------- groups, sparse tensors


def test_groups_are_found_and_the_global_generator_alone_seeds_them():
    near = [draw(4, 3, seed=n % 2) + 0.01 * draw(4, 3, seed=9 + n) for n in range(6)]
    residuals = torch.stack(near)
    torch.manual_seed(5)
    first = group_residuals(residuals, 2)
    assert first.tolist() in ([0, 1] * 3, [1, 0] * 3)
    after = torch.rand(1)
    np.random.seed(3)
    torch.manual_seed(5)
    assert torch.equal(group_residuals(residuals, 2), first) and torch.rand(1) == after


@pytest.mark.filterwarnings("error")
def test_there_are_no_more_groups_than_residuals_that_differ():
    residuals = torch.zeros(4, 3, 2)
    assert group_residuals(residuals, 3).tolist() == [0] * 4


@pytest.mark.parametrize("groups", [1, 2, 3, 5])
def test_groups_are_those_of_k_means_on_whole_residuals(groups):
    residuals = draw(3, 40, 5)[torch.arange(9) % 3] + 0.01 * draw(9, 40, 5, seed=1)
    whole = KMeans(groups, n_init=10, random_state=0).fit(residuals.flatten(1).numpy())
    torch.manual_seed(0)
    found = group_residuals(residuals, groups)
    assert len(found.unique()) == groups
    means = torch.stack([residuals[found == group].mean(0) for group in range(groups)])
    assert (residuals - means[found]).square().sum().item() <= 1.001 * whole.inertia_
    if groups == 3:
        same = found[:, None] == found
        assert torch.equal(same, torch.arange(9)[:, None] % 3 == torch.arange(9) % 3)


def test_residuals_that_are_not_finite_are_refused():
    residuals = draw(4, 3, 2)
    residuals[1, 0, 0] = torch.nan
    with pytest.raises(UserError, match="not finite: the training diverged"):
        group_residuals(residuals, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sparse_tensor_is_the_tensor_in_a_bit_for_each_entry_and_the_other_values(dtype):
    tensor = hard_threshold(draw(7, 3, 2, 2), 1.0).to(dtype)
    sparse = SparseTensor(tensor)
    assert torch.equal(sparse.dense(), tensor) and sparse.dense().dtype == dtype
    count = int(torch.count_nonzero(tensor))
    assert sparse.count == count and 0 < count < 84
    stored = sum(b.numel() * b.element_size() for b in sparse.buffers())
    assert stored == 11 + count * tensor.element_size()
    room = SparseTensor.empty(tensor, count)
    room.load_state_dict(sparse.state_dict())
    assert torch.equal(room.dense(), tensor)
