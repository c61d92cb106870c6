"""A network with Gaussian weights: its limits, what is drawn, what it leaves alone."""

import copy

import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import GrowingClassifier, MultiHeadModel
from cl_strategies.plugins import VariationalModel
from cl_strategies.plugins.bayesian.gaussian_layers import GaussianConv2d, GaussianLinear
from cl_strategies.plugins.bayesian.gaussian_prior import GaussianPrior
from cl_strategies.plugins.bayesian.variational_model import (
    VariationalMultiTaskModel,
    mean_logits,
)
from cl_strategies.plugins.classes.class_order import ABSENT


def network(bias=True):
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=bias), nn.BatchNorm2d(3), nn.ReLU()]
    head = [nn.Flatten(), nn.Linear(3 * 9, 5, bias=bias)]
    return nn.Sequential(*layers, *head).double()


def images(n=4):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 2, 6, 6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("training", [True, False])
def test_without_variance_one_draw_is_the_plain_network(training):
    plain = network().train(training)
    model = VariationalModel(
        copy.deepcopy(plain), initial_log_variance=-80.0, train_samples=1, test_samples=1
    )
    torch.testing.assert_close(model(images()), plain(images()), rtol=1e-12, atol=1e-12)


def test_the_means_alone_are_the_plain_network_bit_by_bit():
    plain = network().eval()
    model = VariationalModel(copy.deepcopy(plain))
    with model.silent():
        assert torch.equal(model(images()), plain(images()))
    assert not torch.equal(model(images()), plain(images()))


def test_predictions_are_means_of_probabilities_and_always_the_same():
    model = VariationalModel(network(), initial_log_variance=-2.0, test_samples=30).eval()
    before = torch.get_rng_state()
    logits = model(images())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(model(images()), logits)
    close = dict(rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(logits.logsumexp(1), torch.zeros(4).double(), **close)
    with model.watching(lambda output, tasks: output) as seen:
        model(images())
    assert seen[0].shape == (30, 4, 5)
    torch.testing.assert_close(logits.exp(), seen[0].softmax(2).mean(0), **close)


def test_more_draws_come_closer_to_the_predictive_distribution():
    def predictions(samples):
        model = VariationalModel(network(), initial_log_variance=-1.0, test_samples=samples)
        return model.eval()(images(64)).exp()

    many = predictions(3_000)
    far, near = ((predictions(samples) - many).abs().mean() for samples in (1, 100))
    assert near < far / 4


def test_a_class_without_a_logit_has_none_on_average():
    draws = torch.randn(3, 2, 4)
    draws[..., 2] = ABSENT
    logits = mean_logits(draws)
    assert (logits[:, 2] == ABSENT).all() and (logits[:, [0, 1, 3]] > ABSENT).all()
    half = mean_logits(draws.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16 and half.isfinite().all()


def test_drawing_outputs_of_zeros_has_finite_gradients():
    model = VariationalModel(network(bias=False))
    model(torch.zeros_like(images())).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_parts_are_found_under_their_names_and_frozen_ones_are_numbers():
    plain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(2, 2), nn.Linear(2, 2))
    plain[0].requires_grad_(False)
    plain[2].weight.requires_grad_(False)
    plain[3].bias.requires_grad_(False)
    model = VariationalModel(plain)
    assert type(plain[0]) is nn.Conv2d
    assert list(model.layers) == ["2", "3"]
    assert plain[2].weight_log_variance is None and plain[3].bias_log_variance is None
    assert model(torch.randn(3, 1, 1, 1)).shape == (3, 2)
    x = torch.zeros(1000, 2)
    mean, variance = plain[2].moments(x)
    torch.testing.assert_close(variance, torch.full_like(mean, -6.0).exp())
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.nothing
    assert isinstance(VariationalModel(network()).get_submodule("network.0"), GaussianConv2d)


def test_a_grown_classifier_goes_on_with_the_variances_of_its_rows():
    model = VariationalModel(nn.Sequential(nn.Linear(3, 4), GrowingClassifier(4)))
    for classes in ([3, 1], [3, 1, 0]):
        before = model.layers
        if "1.classifier" in before:
            before["1.classifier"].weight_log_variance.data.fill_(-3.0)
            before["1.classifier"].learned.fill_(True)
        model.network[1].make_room(classes)
        model.make_new_gaussian(before)
    head = model.layers["1.classifier"]
    assert isinstance(head, GaussianLinear)
    assert head.weight_log_variance[:, 0].tolist() == [-3.0, -3.0, -6.0]
    assert head.learned.tolist() == [True, True, False]


def test_the_prior_is_the_posterior_where_there_is_one():
    layer = VariationalModel(nn.Linear(2, 3)).layers[""]
    layer.learned[1] = True
    prior = GaussianPrior(layer, 0.5, torch.tensor([False, True, False]))
    assert prior.divergence(layer) == 0
    (mean, log), (bias, _) = GaussianPrior(layer, 0.5).pairs
    assert torch.equal(mean[1], layer.weight[1]) and not mean[[0, 2]].any()
    torch.testing.assert_close(log[0].exp(), torch.full((2,), 0.5))
    assert torch.equal(bias[1], layer.bias[1])


def test_networks_that_cannot_be_divided_are_refused():
    with pytest.raises(UserError, match="Linear and Conv2d layers"):
        VariationalModel(nn.Sequential(nn.Flatten(), nn.Conv1d(1, 1, 1)))
    with pytest.raises(UserError, match="Gaussian weights already"):
        VariationalModel(VariationalModel(network()))
    shared = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    shared[1].weight = shared[0].weight
    with pytest.raises(UserError, match="same parameter"):
        VariationalModel(shared)
    with pytest.raises(UserError, match="train_samples is 0"):
        VariationalModel(network(), train_samples=0)


def test_a_network_of_several_heads_returns_a_table_without_task_labels():
    plain = MultiHeadModel(nn.Sequential(nn.Flatten(), nn.Linear(4, 4)), 4)
    for task in ("0", "1"):
        plain.head.heads[task] = GrowingClassifier(4, 2)
    model = VariationalMultiTaskModel(plain).eval()
    x = torch.randn(5, 4)
    table = model(x, None)
    assert {task: logits.shape for task, logits in table.items()} == {0: (5, 2), 1: (5, 2)}
    tasks = torch.tensor([0, 1, 0, 1, 1])
    assert model(x, tasks).shape == (5, 2)
    assert torch.equal(model(x, 1), model.forward_single_task(x, 1))
