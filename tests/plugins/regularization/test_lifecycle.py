"""What the state of L2, SI and ALASSO does when models change, freeze, stop and go on."""

import copy
import io

import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins import ALASSOPlugin, L2Plugin, SIPlugin
from cl_strategies.plugins.regularization.alasso import ALASSOSurrogate
from cl_strategies.plugins.regularization.l2 import L2Surrogate
from cl_strategies.plugins.regularization.si import SISurrogate

METHODS = [L2Surrogate, SISurrogate, ALASSOSurrogate]


def network(dtype=torch.float64):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)


def batches(task, dtype=torch.float64, steps=6):
    generator = torch.Generator().manual_seed(task)
    x = torch.randn(steps, 16, 6, generator=generator, dtype=dtype)
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


def test_grown_rows_start_free_and_old_rows_keep_their_state():
    model, surrogate = nn.Sequential(nn.Linear(4, 2)).double(), ALASSOSurrogate(eps=0.5)
    surrogate.begin_experience(model)
    with torch.no_grad():
        model[0].weight.add_(0.3)
    surrogate._flat["path"].fill_(1.0)
    surrogate.end_experience()
    old = surrogate.state_dict()["parameters"]["0.weight"]

    grown = nn.Linear(4, 5).double()
    with torch.no_grad():
        grown.weight[:2] = model[0].weight
    model[0] = grown
    surrogate.begin_experience(model)
    assert torch.equal(surrogate.named("importance")["0.weight"][:2], old["importance"])
    assert torch.equal(surrogate.named("center")["0.weight"][:2], old["center"])
    assert torch.equal(surrogate.named("center")["0.weight"][2:], grown.weight[2:].detach())
    with torch.no_grad():
        grown.weight.add_(1.0)
    grown.weight.grad = torch.zeros_like(grown.weight)
    surrogate.after_backward()
    assert (grown.weight.grad[:2] > 0).all()
    assert (grown.weight.grad[2:] == 0).all()


def test_parameters_replaced_in_mid_experience_are_followed_with_their_path():
    model, surrogate = nn.Sequential(nn.Linear(6, 3)).double(), SISurrogate()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    surrogate.begin_experience(model)
    step(surrogate, model, optimizer, *batches(0)[0])
    path = surrogate._flat["path"][:18].clone()
    surrogate.refresh(model)
    assert torch.equal(surrogate._flat["path"][:18], path)
    model[0] = nn.Linear(6, 5).double()
    surrogate.refresh(model)
    assert torch.equal(surrogate._flat["path"][:18], path)
    assert surrogate._flat["path"].numel() == 35


def test_a_parameter_that_shrank_is_refused():
    model, surrogate = nn.Sequential(nn.Linear(4, 3)), SISurrogate()
    surrogate.begin_experience(model)
    surrogate.end_experience()
    model[0] = nn.Linear(4, 2)
    with pytest.raises(UserError, match=r"0\.weight.*\(3, 4\).*\(2, 4\)"):
        surrogate.begin_experience(model)


def test_a_model_with_other_names_is_refused():
    model, surrogate = network(), SISurrogate()
    surrogate.begin_experience(model)
    surrogate.end_experience()
    with pytest.raises(UserError, match="none of the 4 known parameters"):
        surrogate.begin_experience(nn.ModuleDict({"wrapped": model}))


@pytest.mark.parametrize("method", METHODS)
def test_a_frozen_layer_is_left_alone_and_keeps_its_importance(method):
    model, surrogate = network(), method(strength=1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    learn(surrogate, model, optimizer, [0])
    importance, weight = surrogate.named("importance")["0.weight"], model[0].weight.detach().clone()
    model[0].requires_grad_(False)
    learn(surrogate, model, optimizer, [1])
    model[2].requires_grad_(False)
    surrogate.begin_experience(model)  # nothing is left to train
    surrogate.after_backward()
    surrogate.after_update()
    surrogate.end_experience()
    assert torch.equal(surrogate.named("importance")["0.weight"], importance)
    assert surrogate.value(model) >= 0
    model.requires_grad_(True)
    surrogate.begin_experience(model)
    assert torch.equal(surrogate.named("importance")["0.weight"], importance)
    assert torch.equal(surrogate.named("center")["0.weight"], weight)


def test_excluded_parameters_have_no_state():
    model, surrogate = network(), SISurrogate(exclude=["*.bias"])
    learn(surrogate, model, torch.optim.SGD(model.parameters(), lr=0.1), [0])
    assert sorted(surrogate.named("importance")) == ["0.weight", "2.weight"]


def test_a_shared_parameter_counts_once():
    model, surrogate = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4)), SISurrogate()
    model[1].weight = model[0].weight
    surrogate.begin_experience(model)
    assert surrogate._flat["center"].numel() == 20


def test_low_precision_parameters_have_state_in_single_precision():
    model, surrogate = network(torch.bfloat16), ALASSOSurrogate(strength=1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    learn(surrogate, model, optimizer, range(3), torch.bfloat16)
    importance = surrogate.named("importance")["2.weight"]
    assert importance.dtype == torch.float32
    assert importance.max() > 0


@pytest.mark.parametrize("method", METHODS)
def test_a_restored_state_goes_on_as_if_uninterrupted(method):
    model, surrogate = network(), method(strength=3.0)
    learn(surrogate, model, torch.optim.SGD(model.parameters(), lr=0.1), [0, 1])
    file = io.BytesIO()
    torch.save(surrogate.state_dict(), file)
    file.seek(0)
    restored, twin = method(strength=3.0), copy.deepcopy(model)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert restored.value(twin) == surrogate.value(model)
    for s, m in ((surrogate, model), (restored, twin)):
        learn(s, m, torch.optim.SGD(m.parameters(), lr=0.1), [2, 3])
    assert torch.equal(flat(model), flat(twin))
    for name, tensor in surrogate.named("importance").items():
        assert torch.equal(tensor, restored.named("importance")[name])


def test_a_state_of_another_method_is_refused():
    model, surrogate = network(), SISurrogate()
    surrogate.begin_experience(model)
    surrogate.end_experience()
    with pytest.raises(UserError, match="ALASSOSurrogate"):
        ALASSOSurrogate().load_state_dict(surrogate.state_dict())


def test_an_experience_that_was_given_up_starts_over_from_the_present_parameters():
    model, surrogate = network(), SISurrogate()
    surrogate.begin_experience(model)
    step(surrogate, model, torch.optim.SGD(model.parameters(), lr=0.1), *batches(0)[0])
    surrogate.begin_experience(model)
    assert torch.equal(surrogate._flat["center"], flat(model))
    assert not surrogate._flat["path"].any()


def test_a_sparse_gradient_is_refused():
    model, surrogate = nn.Embedding(5, 2, sparse=True), SISurrogate()
    surrogate.begin_experience(model)
    model(torch.tensor([1])).sum().backward()
    with pytest.raises(UserError, match="sparse"):
        surrogate.after_backward()


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (L2Surrogate, {"strength": -1.0}),
        (SISurrogate, {"xi": 0.0}),
        (SISurrogate, {"exclude": "*.bias"}),
        (ALASSOSurrogate, {"xi": 0.0}),
        (ALASSOSurrogate, {"a_prime": -1.0}),
        (ALASSOSurrogate, {"eps": float("nan")}),
        (L2Surrogate, {"exclude": -1}),
        (L2Surrogate, {"exclude": [1]}),
        (L2Plugin, {"strength": None}),
        (L2Plugin, {"strength": 10**400}),
        (SIPlugin, {"xi": [1]}),
        (SIPlugin, {"exclude": -1}),
        (ALASSOPlugin, {"strength": "a"}),
        (ALASSOPlugin, {"eps_prime": None}),
    ],
)
def test_bad_options_are_refused_by_name(method, options):
    with pytest.raises(UserError, match=next(iter(options))):
        method(**options)
