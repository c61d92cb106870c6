"""Reprogramming of channels: the filter, and networks whose tasks have kernels of their own."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.task_layers.functional import identity_kernels, reprogram
from cl_strategies.plugins.task_layers.reprogramming import ReprogrammedConv2d, ReprogrammingModel
from cl_strategies.registry import registry

VECTORS = np.load(Path(__file__).parents[2] / "golden" / "rows" / "clr.npz")


def vector(name):
    return torch.from_numpy(VECTORS[name])


# ---------------------------------------------------------------------- functional core


@pytest.mark.parametrize("case", ["clr0", "clr1"])
def test_reference_vectors(case):
    features, kernels = vector(f"{case}_features"), vector(f"{case}_kernels")
    found = reprogram(features, kernels)
    torch.testing.assert_close(found, vector(f"{case}_value"), rtol=1e-9, atol=1e-12)
    identity = identity_kernels(len(kernels), kernels.shape[-1])
    assert torch.equal(identity.double(), vector(f"{case}_identity"))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_identity_kernels_give_back_the_same_bits(size):
    features = torch.randn(3, 4, 6, 5)
    assert torch.equal(reprogram(features, identity_kernels(4, size)), features)


def test_a_channel_is_filtered_by_its_own_kernel_within_zeros():
    features, kernels = torch.randn(2, 3, 4, 5), torch.randn(3, 1, 3, 3)
    found = reprogram(features, kernels)
    for n, c, i, j in np.ndindex(2, 3, 4, 5):
        total = sum(
            float(kernels[c, 0, a + 1, b + 1] * features[n, c, i + a, j + b])
            for a in (-1, 0, 1)
            for b in (-1, 0, 1)
            if 0 <= i + a < 4 and 0 <= j + b < 5
        )
        assert found[n, c, i, j].item() == pytest.approx(total, abs=1e-5)


def test_gradients_reach_features_and_kernels():
    features = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(reprogram, (features, kernels))


def test_kernels_that_do_not_fit_are_refused():
    for shape in ((3, 1, 3, 3), (2, 1, 2, 2), (2, 2, 3, 3), (2, 1, 3, 5)):
        with pytest.raises(UserError, match=r"give kernels \(2, 1, k, k\) with an odd k"):
            reprogram(torch.ones(1, 2, 4, 4), torch.ones(shape))
    with pytest.raises(UserError, match="size of a kernel is 4: give an odd one"):
        identity_kernels(2, 4)
    with pytest.raises(UserError, match="there are 0 channels"):
        identity_kernels(0)


# ---------------------------------------------------------------------- networks


def experience(label, classes=(0, 1, 2)):
    return SimpleNamespace(task_labels=[label], classes_in_this_experience=list(classes))


def backbone():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 1),
        nn.ReLU(),
        nn.Conv2d(8, 4, (1, 3), padding=(0, 1), bias=False),
        nn.Flatten(),
        nn.Linear(4 * 9, 12),
        nn.Tanh(),
    )


def network():
    return MultiHeadModel(backbone(), 12)


def images(n=40, seed=0):
    return torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def begin(model, label):
    model.train()
    model.adaptation(experience(label))


def learn(model, label, steps=3):
    begin(model, label)
    trained = [p for p in model.parameters_of(model.current) if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.05)
    for step in range(steps):
        optimizer.zero_grad()
        x = images(16, seed=100 * label + step)
        F.cross_entropy(model(x, label), torch.arange(16) % 3).backward()
        optimizer.step()
    model.finish()
    model.eval()


@torch.no_grad()
def features(model, x, label):
    """What the head of a task is given."""
    seen = []
    hook = model.network.backbone.register_forward_hook(lambda m, a, out: seen.append(out))
    model(x, label)
    hook.remove()
    return seen[0]


def test_a_new_task_begins_with_the_features_of_the_base_bit_by_bit():
    model, x = ReprogrammingModel(network()), images()
    learn(model, 4)
    base = features(model, x, 4)
    model.train()
    model.adaptation(experience(1))
    model.eval()
    assert torch.equal(features(model, x, 1), base)


#: Small versions of the registered convolutional models.
MODELS = {
    "cnn": {"channels": [4, 6], "hidden": 16},
    "wide-lenet": {"channels": [4, 6], "hidden": [24, 16]},
    "lenet": {},
    "small-alexnet": {},
    "reduced-resnet18": {"width": 2},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_convolutional_model_begins_a_task_as_its_base_and_learns_it(name):
    make = registry("models")[name].load()
    given = make(input_shape=(3, 32, 32), n_classes=3, scenario="task", **MODELS[name])
    model, x = ReprogrammingModel(given), torch.randn(6, 3, 32, 32)
    seen = []
    given.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    for label in (0, 1):
        begin(model, label)
        model.eval()
        model(x, label)
        if label:
            model(x, 0)
            assert torch.equal(seen[-1], seen[-2])
        model.train()
        F.cross_entropy(model(x, label), torch.arange(6) % 3).backward()
        assert all(p.grad is not None for p in model.parameters_of(model.current))
        model.finish()
    large = [m for m in model.modules() if isinstance(m, nn.Conv2d) and max(m.kernel_size) > 1]
    assert len(large) == len(model.entries(model.tasks[1])) > 0


def test_a_given_base_is_what_the_first_task_begins_with_and_stays():
    given, x = network().eval(), images()
    with torch.no_grad():
        expected = given.backbone(x)
        weights = [p.clone() for p in given.backbone.parameters()]
    model = ReprogrammingModel(given, pretrained_base=True)
    begin(model, 0)
    model.eval()
    assert torch.equal(features(model, x, 0), expected)
    model.finish()
    learn(model, 1)
    fresh = network()
    model = ReprogrammingModel(fresh, pretrained_base=True)
    shared = [p.detach().clone() for p in model.shared_parameters()]
    learn(model, 0)
    assert all(torch.equal(a, b) for a, b in zip(shared, model.shared_parameters(), strict=True))
    assert len(weights) == len(list(fresh.backbone.parameters())) - 2  # two sets of kernels
    entries = model.entries(model.tasks[0]).values()
    assert all(
        not torch.equal(e.kernels, identity_kernels(*e.kernels.shape[:2])[:, 0]) for e in entries
    )


def test_kernels_are_behind_convolutions_larger_than_one_by_one():
    model = ReprogrammingModel(network())
    learn(model, 0)
    learn(model, 1)
    kinds = {name: type(layer) for name, layer in model.layers.items()}
    assert kinds == {
        "backbone.0": ReprogrammedConv2d,
        "backbone.3": nn.Conv2d,
        "backbone.5": ReprogrammedConv2d,
        "backbone.7": nn.Linear,
    }
    assert model.entries(model.tasks[0]) == {}
    shapes = {name: tuple(e.kernels.shape) for name, e in model.entries(model.tasks[1]).items()}
    assert shapes == {"backbone.0": (6, 3, 3), "backbone.5": (4, 3, 3)}


def test_a_later_task_trains_kernels_normalizations_and_head_and_stores_nothing_else():
    model = ReprogrammingModel(network())
    learn(model, 4)
    old = {id(p) for p in model.parameters()}
    begin(model, 1)
    new = [p for p in model.parameters() if id(p) not in old]
    assert {id(p) for p in new} == {id(p) for p in model.parameters_of(model.current)}
    assert all(p.requires_grad == (id(p) not in old) for p in model.parameters())
    assert sum(p.numel() for p in new) == 9 * (6 + 4) + 2 * 6 + 12 * 3 + 3
    model.finish()
    learn(model, 2)
    norms = 4 * 6 * 4 + 8  # scale, shift, mean and variance; batches counted
    later = 9 * (6 + 4) * 4 + norms + (12 * 3 + 3) * 4
    assert model.stored_bytes()[1] == model.stored_bytes()[2] == later
    shared = 4 * sum(p.numel() for p in model.shared_parameters())
    first = shared + norms + (12 * 3 + 3) * 4
    assert model.growth() == pytest.approx(2 * later / first)


@torch.no_grad()
def outputs(model):
    mixed = model(images(10), torch.tensor([4, 1]).repeat(5))
    return [*(model(images(n), label) for label in (4, 1) for n in (40, 4)), mixed]


@pytest.mark.parametrize("pretrained_base", [False, True])
def test_old_tasks_answer_with_the_same_bits_after_new_ones_and_in_a_new_model(pretrained_base):
    model = ReprogrammingModel(network(), pretrained_base=pretrained_base)
    learn(model, 4)
    learn(model, 1)
    before = outputs(model)
    learn(model, 7)
    after = outputs(model)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert (after[0] - after[2]).abs().max() > 1e-2
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = ReprogrammingModel(network(), pretrained_base=pretrained_base)
    other.load_state_dict(torch.load(file, weights_only=True))
    other.eval()
    assert all(torch.equal(a, b) for a, b in zip(after, outputs(other), strict=True))


def test_a_task_computes_with_a_depthwise_convolution_behind_each_convolution():
    model = ReprogrammingModel(network(), kernel_size=5)
    learn(model, 4)
    learn(model, 1)
    reference = network()
    state = reference.backbone.state_dict()
    for name in state:
        layer = name.partition(".")[0]
        found = model.network.backbone[int(layer)]
        if layer == "1":
            found = found.tasks["1"]
        state[name] = found.state_dict()[name.partition(".")[2]]
    reference.backbone.load_state_dict(state)
    parts = []
    for index, layer in enumerate(reference.backbone):
        parts.append(layer)
        if index in (0, 5):
            kernels = model.network.backbone[index].tasks["1"].kernels
            depthwise = nn.Conv2d(
                len(kernels), len(kernels), 5, padding=2, groups=len(kernels), bias=False
            )
            depthwise.weight.data = kernels.detach()[:, None].clone()
            parts.append(depthwise)
    x = images()
    with torch.no_grad():
        expected = model.head.heads["1"](nn.Sequential(*parts).eval()(x))
        torch.testing.assert_close(model(x, 1), expected, rtol=0, atol=1e-6)


def test_a_frozen_convolution_gets_kernels_and_stays_as_it_is():
    given = network()
    for parameter in given.backbone[0].parameters():
        parameter.requires_grad_(False)
    before = [p.clone() for p in given.backbone[0].parameters()]
    model = ReprogrammingModel(given)
    learn(model, 0)
    learn(model, 1)
    layer = model.layers["backbone.0"]
    assert torch.equal(layer.weight, before[0]) and torch.equal(layer.bias, before[1])
    assert "1" in layer.tasks


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            lambda: MultiHeadModel(nn.Sequential(nn.Flatten(), nn.Linear(72, 12)), 12),
            {},
            "none below its heads",
        ),
        (
            lambda: MultiHeadModel(nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten()), 108),
            {},
            "larger than 1 x 1",
        ),
        (network, {"kernel_size": 4}, "kernel_size is 4: give an odd number"),
        (network, {"kernel_size": 0}, "kernel_size is 0"),
        (backbone, {}, "multi-head"),
    ],
)
def test_what_cannot_be_reprogrammed_is_refused_and_left_alone(make, options, message):
    given = make()
    before = [type(module) for module in given.modules()]
    with pytest.raises(UserError, match=message):
        ReprogrammingModel(given, **options)
    assert [type(module) for module in given.modules()] == before


def test_a_state_with_kernels_of_another_size_is_refused():
    model = ReprogrammingModel(network(), kernel_size=5)
    learn(model, 0)
    learn(model, 1)
    with pytest.raises(UserError, match="kernels of size 5, and this model of 3"):
        ReprogrammingModel(network()).load_state_dict(model.state_dict())
