"""EWC and MAS at constant cost: the same weights as Avalanche's, however many experiences."""

import pytest
import torch
from avalanche.training.plugins import EWCPlugin as AvalancheEWC
from avalanche.training.plugins import MASPlugin as AvalancheMAS
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.benchmarks import permuted_digits
from cl_strategies.errors import UserError
from cl_strategies.plugins import EWCPlugin, MASPlugin
from cl_strategies.plugins.regularization.estimated import SumSurrogate


def train(plugin, experiences=4, dtype=torch.float64):
    benchmark = permuted_digits(n_experiences=experiences, fraction=0.2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).to(dtype)
    strategy = SupervisedTemplate(
        model=Cast(model, dtype),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=32,
        train_epochs=3,
        plugins=[plugin],
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    return nn.utils.parameters_to_vector(model.parameters()).detach()


class Cast(nn.Module):
    def __init__(self, model, dtype):
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, x):
        return self.model(x.to(self.dtype))


@pytest.fixture(scope="module")
def unpenalized():
    return train(EWCPlugin(strength=0.0))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: EWCPlugin(strength=20.0), lambda: AvalancheEWC(20.0)),
        (
            lambda: EWCPlugin(strength=20.0, mode="online", decay_factor=0.7),
            lambda: AvalancheEWC(20.0, mode="online", decay_factor=0.7),
        ),
        (lambda: MASPlugin(strength=0.3, alpha=0.4), lambda: AvalancheMAS(0.3, 0.4)),
    ],
    ids=["ewc", "online ewc", "mas"],
)
def test_the_weights_are_those_of_avalanche(ours, theirs, unpenalized):
    expected, found = train(theirs()), train(ours())
    assert not torch.allclose(unpenalized, found, rtol=1e-3)
    # Avalanche keeps its importances and anchors in float32.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_sum_of_quadratics_is_one_quadratic():
    generator = torch.Generator().manual_seed(0)
    fisher = torch.rand(5, 7, generator=generator, dtype=torch.float64)
    fisher[:, 0] = 0
    centers = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    surrogate = SumSurrogate(strength=1.0)
    importance, center = torch.zeros(7, dtype=torch.float64), centers[0]
    for f, theta in zip(fisher, centers, strict=True):
        importance, center = surrogate.merge(importance, center, f, theta).values()
    theta = torch.randn(7, generator=generator, dtype=torch.float64)
    separate = (2 * fisher * (theta - centers)).sum(0)
    torch.testing.assert_close(2 * importance * (theta - center), separate, rtol=1e-12, atol=1e-12)


def test_state_does_not_grow_with_experiences():
    sizes = []
    for experiences in (2, 5):
        plugin = EWCPlugin(strength=1.0)
        train(plugin, experiences)
        state = plugin.state_dict()["parameters"]
        sizes.append(sum(t.numel() for tensors in state.values() for t in tensors.values()))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    "build",
    [
        lambda: EWCPlugin(strength=-1.0),
        lambda: EWCPlugin(strength=1.0, mode="seperate"),
        lambda: EWCPlugin(strength=1.0, mode="online", decay_factor=1.5),
        lambda: MASPlugin(strength=1.0, alpha=-0.1),
        lambda: MASPlugin(strength=-1.0),
        lambda: MASPlugin(strength="a"),
        lambda: MASPlugin(alpha=None),
        lambda: EWCPlugin(strength=[1]),
        lambda: EWCPlugin(strength=1.0, mode=["online"]),
        lambda: EWCPlugin(strength=1.0, mode="online", decay_factor="a"),
    ],
)
def test_options_out_of_range_are_refused(build):
    with pytest.raises(UserError):
        build()
