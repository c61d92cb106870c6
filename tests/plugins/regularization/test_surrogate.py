"""The shared state behind L2, SI and ALASSO in plain PyTorch loops, mostly in float64."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from cl_strategies.plugins.regularization.alasso import ABOVE, BELOW, ALASSOSurrogate
from cl_strategies.plugins.regularization.functional import asymmetric_surrogate
from cl_strategies.plugins.regularization.l2 import L2Surrogate
from cl_strategies.plugins.regularization.si import SISurrogate

METHODS = [L2Surrogate, SISurrogate, ALASSOSurrogate]
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
}
STEPS = 12


def network(dtype=torch.float64):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)


def batches(task, dtype=torch.float64, steps=STEPS):
    generator = torch.Generator().manual_seed(task)
    x = torch.randn(steps, 16, 6, generator=generator, dtype=dtype)
    x[..., 0] = 0  # an input that is always dark: its weights never get a gradient
    return list(zip(x, torch.randint(3, (steps, 16), generator=generator), strict=True))


def step(surrogate, model, optimizer, x, y):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    surrogate.after_backward()
    optimizer.step()
    surrogate.after_update()


def learn(surrogate, model, optimizer, tasks, dtype=torch.float64):
    for task in tasks:
        surrogate.begin_experience(model)
        for x, y in batches(task, dtype):
            step(surrogate, model, optimizer, x, y)
        surrogate.end_experience()


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def reference(method, optimizer, *, tasks=4, c=3.0, a=2.5, eps=1e-3, xi=0.05, decoupled=None):
    """The algorithm by the book: the penalty is a term of the loss, the task gradient is a second
    backward pass, the displacement is a difference of copies."""
    c_prime, a_prime, eps_prime = decoupled or (1.0, 1.0, 0.0)
    model = network()
    parameters = list(model.parameters())
    optimizer = OPTIMIZERS[optimizer](parameters)
    previous = center = flat(model)
    importance = torch.zeros_like(center)
    importances, paths = [], []
    for task in range(tasks):
        path = torch.zeros_like(center)
        for x, y in batches(task):
            loss = nn.functional.cross_entropy(model(x), y)
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
            gradient = torch.cat([g.flatten() for g in gradients])
            if task:
                theta = torch.cat([p.flatten() for p in parameters])
                loss = loss + c * surrogate_value(
                    method, theta, center, previous, importance, a, eps
                )
            optimizer.zero_grad()
            loss.backward()
            before = flat(model)
            optimizer.step()
            path -= gradient * (flat(model) - before)
        theta = flat(model)
        denominator = (theta - center) ** 2 + xi
        if method == "l2":
            importance = torch.ones_like(theta)
        elif method == "si":
            importance = (importance + path / denominator).clamp_min(0)
        else:
            past = (
                -c_prime
                * asymmetric_surrogate(
                    theta, center, previous, importance, a=a_prime, eps=eps_prime
                )[0]
            )
            estimate = (path + (past if task else 0)) / denominator
            importance = (
                torch.maximum(estimate, importance) if method == "max" else estimate.clamp_min(0)
            )
        previous, center = center, theta
        importances.append(importance)
        paths.append(path)
    return flat(model), importances, paths


def surrogate_value(method, theta, center, previous, importance, a, eps):
    if method in ("l2", "si"):
        return (importance * (theta - center) ** 2).sum()
    return asymmetric_surrogate(theta, center, previous, importance, a=a, eps=eps)[0].sum()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", ["l2", "si", "max", "literal"])
def test_training_equals_the_algorithm_by_the_book(method, optimizer):
    decoupled = (0.7, 1.4, 2e-3)
    theta, importances, paths = reference(method, optimizer, decoupled=decoupled)
    if method == "l2":
        surrogate = L2Surrogate(strength=3.0)
    elif method == "si":
        surrogate = SISurrogate(strength=3.0, xi=0.05)
    else:
        c_prime, a_prime, eps_prime = decoupled
        surrogate = ALASSOSurrogate(
            c=3.0,
            a=2.5,
            eps=1e-3,
            xi=0.05,
            c_prime=c_prime,
            a_prime=a_prime,
            eps_prime=eps_prime,
            monotone=method == "max",
        )
    model = network()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    for task, expected in enumerate(importances):
        learn(surrogate, model, optimizer, [task])
        actual = torch.cat([t.flatten() for t in surrogate.named("importance").values()])
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(flat(model), theta, rtol=1e-9, atol=1e-11)
    assert paths[-1].abs().max() > 1e-4


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_path_integral_is_task_gradient_times_true_displacement(optimizer):
    _, _, paths = reference("si", optimizer, xi=0.1, tasks=2)
    surrogate, model = SISurrogate(strength=3.0), network()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    learn(surrogate, model, optimizer, [0])
    surrogate.begin_experience(model)
    for x, y in batches(1):
        step(surrogate, model, optimizer, x, y)
    torch.testing.assert_close(surrogate._flat["path"], paths[1], rtol=1e-9, atol=1e-12)


def test_the_path_integrals_add_up_to_the_fall_of_the_loss_at_a_small_rate():
    model, surrogate = network(), SISurrogate()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, y = batches(0)[0]
    surrogate.begin_experience(model)
    first = nn.functional.cross_entropy(model(x), y).item()
    for _ in range(400):
        step(surrogate, model, optimizer, x, y)
    fall = first - nn.functional.cross_entropy(model(x), y).item()
    assert fall > 0.01
    assert surrogate._flat["path"].sum().item() == pytest.approx(fall, rel=5e-3)


@pytest.mark.parametrize("method", METHODS)
def test_the_penalty_gradient_is_the_derivative_of_the_value(method):
    model, surrogate = network(), method(strength=2.0)
    learn(surrogate, model, torch.optim.SGD(model.parameters(), lr=0.1), [0])
    surrogate.begin_experience(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
            parameter.grad = torch.zeros_like(parameter)
    surrogate.after_backward()
    for parameter in model.parameters():
        for index in (0, parameter.numel() - 1):
            entry, width = parameter.data.view(-1)[index : index + 1], 1e-4
            entry.add_(width)
            above = surrogate.value(model)
            entry.sub_(2 * width)
            below = surrogate.value(model)
            entry.add_(width)
            finite = (above - below) / (2 * width)
            assert parameter.grad.flatten()[index].item() == pytest.approx(
                finite, rel=1e-6, abs=1e-9
            )


def test_alasso_that_is_symmetric_and_starts_from_nothing_equals_si():
    """After one task the sum and the maximum of importances are the same."""
    si, alasso = (
        SISurrogate(strength=5.0),
        ALASSOSurrogate(strength=5.0, a=1.0, eps=0.0, c_prime=0.0),
    )
    finals = []
    for surrogate in (si, alasso):
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        learn(surrogate, model, optimizer, [0, 1])
        finals.append(flat(model))
    torch.testing.assert_close(*finals, rtol=1e-12, atol=1e-14)


def test_the_unobserved_side_is_away_from_where_the_task_came_from():
    surrogate, model = ALASSOSurrogate(a=3.0, eps=0.0), nn.Linear(3, 1, bias=False)
    surrogate.begin_experience(model)
    with torch.no_grad():
        model.weight += torch.tensor([[0.5, -0.5, 0.0]])
    surrogate.end_experience()
    (unobserved,) = surrogate.named("unobserved").values()
    assert unobserved.tolist() == [[ABOVE, BELOW, ABOVE | BELOW]]
    surrogate._flat["importance"].fill_(1.0)
    left, right = surrogate.sides(surrogate._flat)
    assert left.tolist() == [1, 3, 3]
    assert right.tolist() == [3, 1, 3]


@pytest.mark.parametrize("method", METHODS)
def test_without_strength_training_is_bitwise_plain(method):
    plain, regularized = network(torch.float32), network(torch.float32)
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    for task in range(3):
        for x, y in batches(task, torch.float32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(plain(x), y).backward()
            optimizer.step()
    optimizer = torch.optim.Adam(regularized.parameters(), lr=0.01)
    learn(method(strength=0.0), regularized, optimizer, range(3), torch.float32)
    assert torch.equal(flat(plain), flat(regularized))


def test_monotone_importances_never_fall_and_literal_ones_do():
    for monotone in (True, False):
        model, surrogate = network(), ALASSOSurrogate(strength=3.0, monotone=monotone)
        optimizer, falls = torch.optim.Adam(model.parameters(), lr=0.01), 0
        learn(surrogate, model, optimizer, [0])
        for task in range(1, 5):
            before = surrogate.named("importance")
            learn(surrogate, model, optimizer, [task])
            after = surrogate.named("importance")
            falls += sum(int((after[n] < before[n]).sum()) for n in before)
            assert all(bool((t >= 0).all()) for t in after.values())
        assert (falls == 0) == monotone


@pytest.mark.parametrize("method", METHODS)
def test_a_parameter_that_never_moves_stays_finite(method):
    model, surrogate = network(), method(strength=3.0)
    learn(surrogate, model, torch.optim.SGD(model.parameters(), lr=0.1), range(3))
    assert flat(model).isfinite().all()
    for tensor in surrogate.named("importance").values():
        assert tensor.isfinite().all()
    dark = surrogate.named("importance")["0.weight"][:, 0]
    assert torch.equal(dark, torch.full_like(dark, float(method is L2Surrogate)))


@pytest.mark.parametrize("method", METHODS)
def test_the_state_shares_no_memory_with_the_model(method):
    model, surrogate = network(), method()
    learn(surrogate, model, torch.optim.SGD(model.parameters(), lr=0.1), [0])
    surrogate.begin_experience(model)
    storages = {t.untyped_storage().data_ptr() for t in surrogate._flat.values()}
    for parameter in model.parameters():
        assert parameter.untyped_storage().data_ptr() not in storages
        assert parameter.grad.untyped_storage().data_ptr() not in storages
    state = surrogate.state_dict()["parameters"]["0.weight"]["center"]
    assert state.untyped_storage().data_ptr() not in storages


def allocated_and_operations(call):
    """Bytes that the operations of ``call`` allocate, and how many operations there are."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = [e for e in profiler.events() if e.name.startswith("aten::")]
    return sum(max(e.self_cpu_memory_usage, 0) for e in events), len(events)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_allocates_nothing_and_does_the_same_after_many_tasks(method):
    model, surrogate = network(), method()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    counts = []
    for tasks in (1, 9):
        learn(surrogate, model, optimizer, range(tasks))
        surrogate.begin_experience(model)
        step(surrogate, model, optimizer, *batches(0)[0])
        pointers = {name: t.data_ptr() for name, t in surrogate._flat.items()}
        x, y = batches(0)[1]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        added, operations = allocated_and_operations(surrogate.after_backward)
        optimizer.step()
        followed, more = allocated_and_operations(surrogate.after_update)
        assert (added, followed) == (0, 0)
        assert pointers == {name: t.data_ptr() for name, t in surrogate._flat.items()}
        counts.append((operations, more, len(surrogate._flat)))
    assert counts[0] == counts[1]
    assert allocated_and_operations(lambda: torch.zeros(100))[0] >= 400  # the ruler works


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_step_skipped_for_an_overflow_leaves_the_path_alone(bad):
    model, surrogate = network(), SISurrogate()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    surrogate.begin_experience(model)
    step(surrogate, model, optimizer, *batches(0)[0])
    path = surrogate._flat["path"].clone()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, bad)
    surrogate.after_backward()
    surrogate.after_update()  # a gradient scaler makes no step
    assert path.abs().max() > 0
    assert torch.equal(surrogate._flat["path"], path)


def test_clipping_after_the_backward_pass_does_not_change_the_task_gradient():
    model, surrogate = network(), SISurrogate()
    surrogate.begin_experience(model)
    x, y = batches(0)[0]
    nn.functional.cross_entropy(model(x), y).backward()
    gradient, before = torch.cat([p.grad.flatten() for p in model.parameters()]), flat(model)
    surrogate.after_backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1e-2)
    torch.optim.SGD(model.parameters(), lr=0.5).step()
    surrogate.after_update()
    expected = -gradient * (flat(model) - before)
    torch.testing.assert_close(surrogate._flat["path"], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_parameter_without_a_gradient_is_still_pulled_back(method):
    model, surrogate = network(), method(strength=1.0)
    learn(surrogate, model, torch.optim.SGD(model.parameters(), lr=0.1), [0])
    surrogate.begin_experience(model)
    weight = model[0].weight
    center = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1.0)
    for _ in range(2):  # a second step must not add to the first one's gradient
        for parameter in model.parameters():
            parameter.grad = None
        surrogate.after_backward()
        importance = surrogate.named("importance")["0.weight"]
        a, eps = (surrogate.a, surrogate.eps) if method is ALASSOSurrogate else (1.0, 0.0)
        sides = [2 * importance, 2 * (a * importance + eps)]
        shift = weight.detach() - center
        assert any_close(weight.grad, [side * shift for side in sides])
    assert weight.grad.abs().max() > 0


def any_close(actual, candidates):
    errors = torch.stack([(actual - candidate).abs() for candidate in candidates])
    return bool((errors.amin(0) <= 1e-12).all())


def test_in_the_first_experience_a_missing_gradient_stays_missing():
    model, surrogate = network(), ALASSOSurrogate()
    surrogate.begin_experience(model)
    surrogate.after_backward()
    assert all(parameter.grad is None for parameter in model.parameters())
