"""Networks with prototypes in the place of a classifier: from which, and what they compute."""

from types import SimpleNamespace

import pytest
import torch
from avalanche.models import SimpleMLP, as_multitask
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel, SingleHeadModel
from cl_strategies.plugins.classes.class_order import ABSENT
from cl_strategies.plugins.contrastive.conversion import prototype_network
from cl_strategies.plugins.contrastive.network import MultiPrototypeNetwork, PrototypeNetwork


def experience(classes, label=0):
    return SimpleNamespace(task_labels=[label], classes_in_this_experience=list(classes))


def backbone():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU())


MODELS = {
    "heads per task": lambda: MultiHeadModel(backbone(), 6),
    "one head": lambda: SingleHeadModel(backbone(), nn.Linear(6, 10)),
    "layers": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 10)),
    "of Avalanche": lambda: SimpleMLP(num_classes=10, input_size=12, hidden_size=6),
    "of Avalanche, per task": lambda: as_multitask(
        SimpleMLP(num_classes=10, input_size=12, hidden_size=6), "classifier"
    ),
}


def images(n=7):
    return torch.randn(n, 3, 2, 2)


@pytest.mark.parametrize("name", MODELS)
def test_prototypes_take_the_place_of_any_linear_classifier(name):
    network = prototype_network(MODELS[name](), projection_hidden=8, projection_size=5)
    several = name.endswith("per task")
    assert isinstance(network, MultiPrototypeNetwork if several else PrototypeNetwork)
    assert isinstance(network, MultiPrototypeNetwork) == several and network.n_features == 6
    network.train()
    network.adaptation(experience([4, 1]))
    arguments = (torch.zeros(7, dtype=torch.long),) if several else ()
    x = images()
    with network.watching() as seen:
        scores = network(x, *arguments)
    assert seen[0].features.shape == (7, 6) and seen[0].projected.shape == (7, 5)
    prototypes = network.of_task(0).weight
    assert prototypes.shape == (2, 6)
    expected = seen[0].features @ F.normalize(prototypes, dim=1).T
    torch.testing.assert_close(scores[:, [1, 4]], expected)
    assert (scores[:, [0, 2, 3]] == ABSENT).all()


@pytest.mark.parametrize(
    "model",
    [nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), MultiHeadModel(backbone(), 6).head],
)
def test_models_without_such_a_classifier_are_refused(model):
    with pytest.raises(UserError, match=r"no linear classifier|multi-head"):
        prototype_network(model)


def test_classes_are_added_in_training_alone_and_old_prototypes_keep_their_values():
    network = prototype_network(MODELS["one head"](), projection_hidden=8).train()
    network.adaptation(experience([3, 0]))
    before = network.of_task(0).weight.detach().clone()
    network.eval()
    network.adaptation(experience([7, 8]))
    scores = network(images())
    assert scores.shape == (7, 9) and network.of_task(0).n_classes == 2
    assert (scores[:, [1, 2, 4, 5, 6, 7, 8]] == ABSENT).all()
    network.train()
    network.adaptation(experience([0, 7]))
    assert network.of_task(0).arrival.classes == [0, 3, 7]
    assert torch.equal(network.of_task(0).weight[:2], before)
    network.adaptation(experience([3, 0]))  # nothing new: no group of its own
    assert network.groups() == [("all", slice(0, 2)), ("all", slice(2, 3))]
    rows = network.rows(network.groups())
    assert torch.equal(torch.cat(rows), network.of_task(0).weight)


def multi():
    network = prototype_network(MODELS["heads per task"](), projection_hidden=8).train()
    network.adaptation(experience([0, 2], 5))
    network.adaptation(experience([1], 3))
    return network.eval()


def test_a_batch_of_several_tasks_is_scored_by_each_samples_own_prototypes():
    network, x = multi(), images(6)
    labels = torch.tensor([5, 3, 3, 5, 5, 3])
    mixed = network(x, labels)
    apart = network(x, None)
    assert set(apart) == {3, 5} and mixed.shape == (6, 3)
    for task in (3, 5):
        mine = labels == task
        assert torch.equal(network(x, task), apart[task])
        torch.testing.assert_close(mixed[mine][:, : apart[task].shape[1]], apart[task][mine])
    assert (mixed[labels == 3][:, 2] == ABSENT).all()


def test_a_task_before_its_training_has_equal_scores():
    network = multi()
    network.adaptation(experience([0, 1, 4], 9))
    assert torch.equal(network(images(2), torch.tensor([9, 9])), torch.zeros(2, 5))
    assert network(images(0), torch.zeros(0, dtype=torch.long)).shape == (0, 0)


def test_a_frozen_copy_stays_as_it_was():
    network = multi()
    copy, x = network.frozen_copy(), images()
    before = copy(x, 5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    network.train()
    assert torch.equal(copy(x, 5), before) and not torch.allclose(network(x, 5)[:, 0], before[:, 0])
    assert not copy.training and not any(p.requires_grad for p in copy.parameters())


def test_a_new_network_takes_over_structure_and_values():
    network = multi()
    other = prototype_network(MODELS["heads per task"](), projection_hidden=8)
    other.restore_structure(network.structure())
    other.load_state_dict(network.state_dict())
    other.eval()
    x = images()
    assert torch.equal(other(x, 5), network(x, 5)) and torch.equal(other(x, 3), network(x, 3))
    assert other.groups() == network.groups() and other.structure() == network.structure()


def test_prototypes_and_projection_are_of_the_type_of_the_network():
    network = prototype_network(MODELS["one head"]().double(), projection_hidden=8).train()
    network.adaptation(experience([0, 1]))
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    assert network(images().double()).dtype == torch.float64
