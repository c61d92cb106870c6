"""Gradients of the masks through a step of the network."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, interpolate, relu

from cl_strategies.errors import UserError
from cl_strategies.models.heads import GrowingClassifier
from cl_strategies.plugins.masking.bilevel import MaskObjective, mask_gradients
from cl_strategies.plugins.masking.cam_extractor import CamExtractor
from cl_strategies.plugins.masking.pade import PadeActivations

LR = 0.5


class Block(nn.Module):
    """A residual block with a projection in its shortcut."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x):
        out = relu(self.norm1(self.conv1(x)))
        return relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class Net(nn.Module):
    """A small residual network; averages outside of any module."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.ReLU(True))
        self.block = Block(4, 6, 2)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        return self.fc(self.block(self.stem(x)).mean((2, 3)))


@pytest.fixture
def problem():
    model = Net().double()
    batches = [
        (torch.rand(6, 3, 12, 12, dtype=torch.float64), torch.randint(0, 5, (6,))) for _ in range(2)
    ]
    model(batches[0][0])  # some statistics
    model.eval()
    return model, PadeActivations(3).double(), CamExtractor(model, batches[0][0]), *batches


def host_loss(network, x, y):
    return cross_entropy(network(x), y)


def value(model, phi, inner, outer, *, follow, fixed=(), nearest="pillow"):
    """Eq. 9 written out once more, for differences: masks, one step, loss after it."""
    weights = {
        name: p
        for name, p in model.named_parameters()
        if not name.startswith("fc") and not any(part in name for part in fixed)
    }
    x, y = inner
    caught = []
    handle = model.block.register_forward_hook(lambda _, __, out: caught.append(out))
    with phi.replacing():
        source = model if follow else _constant(model)
        logits = source(x)
    handle.remove()
    activation = (model.fc.weight.detach()[y][:, :, None, None] * caught[-1]).sum(1)
    low, high = activation.amin((1, 2), True), activation.amax((1, 2), True)
    maps = (activation - low) / (high - low)
    up = interpolate(maps[:, None], (12, 12), mode="bilinear", align_corners=False)
    odd = torch.arange(12) // 2 * 2 + (1 if nearest == "pillow" else 0)
    soft = up * x + (1 - up) * x[..., odd, :][..., odd]
    loss = cross_entropy(model(soft), y)
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    stepped = {n: p - LR * g for (n, p), g in zip(weights.items(), slopes, strict=True)}
    after = cross_entropy(functional_call(model, stepped, (outer[0],)), outer[1])
    return after + 0.2 * cross_entropy(logits, y) + 0.1 * maps.square().mean()


def _constant(model):
    frozen = {name: p.detach() for name, p in model.named_parameters()}
    return lambda x: functional_call(model, frozen, (x,))


def relative_errors(found, expected):
    pairs = zip(found, expected, strict=True)
    return [float((a - b).norm() / b.norm()) for a, b in pairs]


@pytest.mark.parametrize(("follow", "nearest"), [(True, "floor"), (False, "pillow")])
def test_gradients_are_those_of_central_differences(problem, follow, nearest):
    model, phi, extractor, inner, outer = problem
    objective = MaskObjective(masks_follow_weights=follow, nearest=nearest)
    found = mask_gradients(
        model, phi, extractor, inner, outer, objective, lr=LR, inner_loss=host_loss
    )
    step, expected = 1e-7, [torch.zeros_like(p) for p in phi.parameters()]
    for parameter, gradient in zip(phi.parameters(), expected, strict=True):
        flat = parameter.data.view(-1)
        for i in range(len(flat)):
            old, sides = float(flat[i]), []
            for sign in (1, -1):
                flat[i] = old + sign * step
                shifted = value(model, phi, inner, outer, follow=follow, nearest=nearest)
                sides.append(float(shifted.detach()))
            flat[i] = old
            gradient.view(-1)[i] = (sides[0] - sides[1]) / (2 * step)
    assert max(relative_errors(found, expected)) < 1e-5


@pytest.mark.parametrize("fixed", [(), ("shortcut",)])
def test_gradients_are_those_of_differentiating_the_whole_expression(problem, fixed):
    model, phi, extractor, inner, outer = problem
    objective = MaskObjective(fixed=tuple(f"*{part}*" for part in fixed))
    found = mask_gradients(
        model, phi, extractor, inner, outer, objective, lr=LR, inner_loss=host_loss
    )
    expected = torch.autograd.grad(
        value(model, phi, inner, outer, follow=True, fixed=fixed), list(phi.parameters())
    )
    assert max(relative_errors(found, expected)) < 1e-10


def test_the_path_through_the_step_and_through_shortcuts_matters(problem):
    model, phi, extractor, inner, outer = problem

    def gradients(**options):
        objective = MaskObjective(**options)
        return mask_gradients(
            model, phi, extractor, inner, outer, objective, lr=LR, inner_loss=host_loss
        )

    full = gradients()
    assert min(relative_errors(gradients(second_order=False), full)) > 1e-3
    assert min(relative_errors(gradients(fixed=("*shortcut*",)), full)) > 1e-3


def test_without_second_order_only_the_two_own_terms_are_left(problem):
    model, phi, extractor, inner, outer = problem
    objective = MaskObjective(second_order=False, penalty=0.0, diversity=0.0)
    found = mask_gradients(
        model, phi, extractor, inner, outer, objective, lr=LR, inner_loss=host_loss
    )
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in found)


def test_the_network_is_left_as_it_was(problem):
    model, phi, extractor, inner, outer = problem
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mask_gradients(
        model, phi, extractor, inner, outer, MaskObjective(), lr=LR, inner_loss=host_loss
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in [*model.parameters(), *phi.parameters()])


def test_frozen_parameters_take_no_step(problem):
    model, _, extractor, *_ = problem
    model.stem.requires_grad_(False)
    names = MaskObjective().weights(model, extractor)
    assert names and all(name.startswith("block") for name in names)


def test_maps_are_read_where_features_are_averaged():
    body = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    model = nn.Sequential(*body, *head)
    x = torch.rand(3, 3, 10, 10)
    extractor = CamExtractor(model, x)
    with extractor.features() as features:
        model(x)
    assert torch.equal(features[0], nn.Sequential(*body)(x))
    maps = extractor.maps(features[0], torch.tensor([0, 1, 3]))
    assert maps.shape == (3, 5, 5) and float(maps.amin()) == 0 and float(maps.amax()) == 1


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(300, 4)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(256, 4)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 4)),
    ],
)
def test_networks_without_class_activation_maps_are_refused(model):
    with pytest.raises(UserError, match="no class activation maps"):
        CamExtractor(model, torch.rand(2, 3, 10, 10))


def test_a_growing_head_has_its_rows_in_the_order_of_arrival():
    model = Net()
    wide = model.fc
    model.fc = head = GrowingClassifier(6)
    head.make_room([3])
    head.make_room([0, 4])
    with torch.no_grad():
        head.classifier.weight.copy_(wide.weight[[3, 0, 4]])
        head.classifier.bias.copy_(wide.bias[[3, 0, 4]])
    x, labels = torch.rand(4, 3, 12, 12), torch.tensor([4, 3, 0, 3])
    found = []
    for classifier in (head, wide):
        model.fc = classifier
        extractor = CamExtractor(model, x)
        with extractor.features() as caught, torch.no_grad():
            model.eval()(x)
        found.append(extractor.maps(caught[0], labels))
    assert torch.equal(*found)
