"""A network with weights per task: what it computes, what it freezes, what it refuses."""

import copy
import io
from types import SimpleNamespace

import pytest
import torch
from avalanche.models import MTSimpleMLP, MultiHeadClassifier, SimpleMLP, as_multitask
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHead, MultiHeadModel
from cl_strategies.plugins.low_rank.functional import materialise
from cl_strategies.plugins.low_rank.layers import Factors
from cl_strategies.plugins.low_rank.model import HALRPModel


def experience(label, classes=(0, 1, 2)):
    return SimpleNamespace(task_labels=[label], classes_in_this_experience=list(classes))


def backbone():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2, padding_mode="reflect"),
        nn.GroupNorm(2, 6),
        nn.PReLU(),
        nn.Flatten(),
        nn.Linear(6 * 9, 12),
        nn.BatchNorm1d(12),
        nn.Dropout(0.5),
    )


def images(n=40, seed=0):
    return torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def randomise(modules):
    with torch.no_grad():
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand_like(tensor) + 0.1)


def learn(model, label, rank=2, classes=(0, 1, 2)):
    """A task with random contents."""
    model.train()
    model.adaptation(experience(label, classes))
    if model.warming_up:
        model.set_factors(
            {
                name: (
                    torch.rand(layer.weight.shape[0]) + 0.5,
                    torch.rand(layer.weight.shape[1]) + 0.5,
                    torch.randn(layer.weight.shape[0], min(rank, *layer.weight.shape[:2])) / 9,
                    torch.randn(min(rank, *layer.weight.shape[:2]), layer.weight.shape[1]) / 9,
                )
                for name, layer in model.layers.items()
            }
        )
    own = model.modules_of(model.current)
    randomise(m for m in own if not isinstance(m, Factors))
    model.finish()


def learned(*labels, network=None):
    model = HALRPModel(MultiHeadModel(backbone(), 12) if network is None else network)
    for label in labels:
        learn(model, label)
    return model.eval()


def plain(model, label):
    """An ordinary network with the weights of one task."""
    network = MultiHeadModel(backbone(), 12)
    target = dict(network.backbone.named_modules())
    task = model.task(label)
    entries = model.entries(task)
    with torch.no_grad():
        for name, layer in model.layers.items():
            own = entries.get(name)
            plain_layer = target[name.removeprefix("backbone.")]
            bias = layer.bias if own is None else own.bias
            weight = layer.weight if own is None else own.weight(layer.weight)
            plain_layer.weight.copy_(weight)
            if bias is not None:
                plain_layer.bias.copy_(bias)
        for name, norm in zip(model.norms, model.norms_of(task), strict=True):
            target[name.removeprefix("backbone.")].load_state_dict(norm.state_dict())
    network.head.heads[str(label)] = copy.deepcopy(model.head.heads[str(label)])
    return network.eval()


# ---------------------------------------------------------------------- computing


@torch.no_grad()
@pytest.mark.parametrize("label", [7, 0, 3])
def test_each_task_computes_what_a_network_with_its_weights_computes(label):
    model = learned(7, 0, 3)
    expected = plain(model, label)(images(), label)
    torch.testing.assert_close(model(images(), label), expected, rtol=1e-5, atol=1e-5)
    assert (model(images(), 7) - model(images(), 0)).abs().max() > 1e-2


@torch.no_grad()
def test_batch_of_several_tasks_is_answered_by_each_samples_own_task():
    model = learned(7)
    learn(model, 0, classes=(0, 1, 2, 3, 4))
    learn(model, 3, classes=(0, 1))
    model.eval()
    labels = torch.tensor([7, 0, 3, 3, 0, 7, 7, 0] * 5)
    mixed = model(images(), labels)
    assert mixed.shape == (40, 5)
    for label, width in ((7, 3), (0, 5), (3, 2)):
        rows = labels == label
        alone = model(images()[rows], label)
        torch.testing.assert_close(mixed[rows, :width], alone, rtol=1e-5, atol=1e-5)
        assert (mixed[rows, width:] == -1000).all()
    every = model(images(), None)
    assert list(every) == [7, 0, 3]
    assert torch.equal(every[0], model(images(), 0))


@torch.no_grad()
def test_small_batches_use_factors_and_large_ones_the_same_weights_materialized():
    model = learned(0, 1)
    layer = model.layers["backbone.7"]
    assert layer._cache is None
    few = model(images(32)[:31], 1)
    assert layer._cache is None
    many = model(images(32), 1)
    weight = layer._cache[1]
    torch.testing.assert_close(many[:31], few, rtol=1e-5, atol=1e-5)
    model(images(32), 1)
    assert layer._cache[1] is weight
    entry = layer.tasks["1"]
    expected = materialise(layer.weight, entry.row, entry.column, entry.left, entry.right)
    assert torch.equal(weight, expected)
    model(images(1), 1)  # a batch of one works, too


@torch.no_grad()
def test_kept_weights_are_given_up_when_they_change():
    model = learned(0, 1)
    entry = model.layers["backbone.7"].tasks["1"]
    before = model(images(), 1)
    entry.left.zero_()
    after = model(images(), 1)
    assert not torch.equal(before, after)
    model.double()
    doubled = model(images().double(), 1)
    assert doubled.dtype == torch.float64
    model.train()
    assert model.layers["backbone.7"]._cache is None


def test_training_uses_factors_for_few_samples_and_weights_for_many_with_equal_gradients():
    model = learned(0)
    model.train()
    model.adaptation(experience(1))
    layer = model.layers["backbone.7"]
    model.set_factors(
        {
            name: (
                torch.ones(part.weight.shape[0]),
                torch.ones(part.weight.shape[1]),
                torch.randn(part.weight.shape[0], 1),
                torch.randn(1, part.weight.shape[1]),
            )
            for name, part in model.layers.items()
        }
    )
    entry = layer.tasks["1"]
    x = torch.randn(12, 54)
    gradients = []
    for n in (1, 4):  # 12 x 54 weights: factors below 9.8 samples
        layer.switch.task = "1"
        batch = x[: n * 3]
        assert layer._factored_is_cheaper(batch) == (n == 1)
        (layer(batch)[:3].square().sum()).backward()
        gradients.append([p.grad.clone() for p in entry.parameters()])
        entry.zero_grad()
    layer.switch.task = None
    for few, many in zip(*gradients, strict=True):
        torch.testing.assert_close(few, many, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_task_evaluated_before_it_is_trained_gets_equal_logits_and_no_parameters():
    model = learned(0)
    before = list(model.state_dict())
    model.adaptation(experience(5, (0, 1, 2, 3)))
    assert torch.equal(model(images(4), 5), torch.zeros(4, 4))
    model.adaptation(experience(0, (0, 1, 2, 3)))
    assert model(images(4), 0)[:, 3].tolist() == [-1000.0] * 4
    assert list(model.state_dict()) == before
    with pytest.raises(UserError, match="task 9 was not learned"):
        model(images(4), 9)


def test_network_refuses_to_be_called_without_its_task():
    model = learned(0, 1)
    with pytest.raises(UserError, match=r"strategy\.model"):
        model.network(images(), 1)


# ---------------------------------------------------------------------- freezing


def test_new_task_begins_as_the_base_network_and_leaves_old_ones_alone():
    model = learned(0, 1)
    with torch.no_grad():
        old = {label: model(images(), label) for label in (0, 1)}
    state = {name: value.clone() for name, value in model.state_dict().items()}

    model.train()
    model.adaptation(experience(2))
    task = model.current
    for name, layer in model.layers.items():
        assert torch.equal(model.entries(task)[name].weight, layer.weight)
    for norm, base in zip(model.norms_of(task), model.norms_of(model.task(0)), strict=True):
        assert norm.training and not base.training
        for key, value in base.state_dict().items():
            assert torch.equal(norm.state_dict()[key], value)

    optimizer = torch.optim.SGD(model.parameters_of(task), lr=0.1)
    for seed in range(3):
        x = images(seed=seed)
        (model(x, 2).square().mean() + model(x, 1).square().mean()).backward()
        optimizer.step()
    model.finish()
    model.eval()
    for name, value in state.items():
        if name != "_extra_state":
            assert torch.equal(model.state_dict()[name], value), name
    with torch.no_grad():
        assert all(torch.equal(model(images(), label), old[label]) for label in (0, 1))
        assert not torch.equal(model(images(), 2), old[0])


def test_parameters_of_a_task_are_what_it_trains_and_nothing_else():
    model = HALRPModel(MultiHeadModel(backbone(), 12))
    model.train()
    model.adaptation(experience(4))
    everything = {id(p) for p in model.parameters()}
    assert {id(p) for p in model.parameters_of(model.current)} == everything
    model.finish()
    assert not any(p.requires_grad for p in model.parameters())
    model.adaptation(experience(1))
    new = {id(p) for p in model.parameters()} - everything
    own = model.parameters_of(model.current)
    assert {id(p) for p in own} == new and len(own) == len(new)
    assert all(p.requires_grad for p in own)


# ---------------------------------------------------------------------- sizes and state


def test_sizes_count_what_is_stored_without_the_zeros():
    model = learned(0, 1)
    size = model.sizes()[1]
    assert list(model.sizes()) == [1]
    assert size.scales == (4 + 2) + (6 + 2) + (12 + 54)
    assert size.low_rank == 2 * ((4 + 2) + (6 + 2) + (12 + 54))
    assert size.biases == 6 + 12
    assert size.norms == 2 * 4 + 2 * 6 + 1 + 2 * 12
    assert size.statistics == 2 * 4 + 2 * 12
    assert size.head == 12 * 3 + 3
    own = [p for m in model.modules_of(model.task(1)) for p in m.parameters()]
    assert size.total == sum(p.numel() for p in own) + size.statistics
    fresh = MultiHeadModel(backbone(), 12)
    assert model.base_size() == sum(p.numel() for p in fresh.parameters()) + size.head
    assert model.growth() == size.total / model.base_size()

    with torch.no_grad():
        model.layers["backbone.7"].tasks["1"].left[:5] = 0
    assert model.sizes()[1].low_rank == size.low_rank - 10


@torch.no_grad()
def test_saved_model_loads_into_a_new_one_with_all_its_tasks():
    model = learned(7, 0, 3)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = HALRPModel(MultiHeadModel(backbone(), 12))
    drawn = torch.random.get_rng_state()
    other.load_state_dict(state)
    assert torch.equal(drawn, torch.random.get_rng_state())
    other.eval()
    for label in (7, 0, 3):
        assert torch.equal(other(images(), label), model(images(), label))
    assert other.structure() == model.structure()
    assert not any(p.requires_grad for p in other.parameters())
    learn(other, 9)
    with pytest.raises(UserError, match="into a new model"):
        other.load_state_dict(state)


@torch.no_grad()
def test_copy_of_a_model_is_independent():
    model = learned(0, 1)
    expected = model(images(), 1)
    other = copy.deepcopy(model)
    learn(other, 2)
    randomise([other.layers["backbone.7"]])
    assert torch.equal(model(images(), 1), expected)
    assert [task.label for task in model.tasks] == [0, 1]


# ---------------------------------------------------------------------- other networks


@torch.no_grad()
@pytest.mark.parametrize(
    "network",
    [
        lambda: MTSimpleMLP(input_size=72, hidden_size=8),
        lambda: as_multitask(SimpleMLP(input_size=72, hidden_size=8, num_classes=3), "classifier"),
        lambda: MultiHeadModel(nn.Sequential(nn.Flatten(), nn.Linear(72, 8), nn.ReLU()), 8),
    ],
)
def test_multi_head_networks_of_avalanche_and_of_this_package_work(network):
    model = learned(3, 0, network=network())
    outputs = {label: model(images(), label) for label in (3, 0)}
    assert all(output.shape == (40, 3) for output in outputs.values())
    other = HALRPModel(network())
    other.load_state_dict(model.state_dict())
    other.eval()
    learn(other, 1)
    other.eval()
    assert all(torch.equal(other(images(), label), outputs[label]) for label in (3, 0))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight


class Headless(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = MultiHead(4)
        self.more = MultiHeadClassifier(4)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: MultiHeadModel(nn.Flatten(), 4), "none below its heads"),
        (lambda: MultiHeadModel(Tied(), 4), r"first\.weight and .*second\.weight are the same"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), "multi-head"),
        (lambda: MultiHead(4), "multi-head"),
        (Headless, "2 of them"),
        (lambda: MultiHeadModel(nn.GRU(4, 4), 4), "GRU with parameters"),
        (lambda: MultiHeadModel(nn.Conv1d(4, 4, 1), 4), "Conv1d with parameters"),
        (
            lambda: MultiHeadModel(
                nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)), 4
            ),
            "without running statistics",
        ),
    ],
)
def test_network_that_cannot_be_perturbed_is_refused_with_the_reason_and_left_alone(
    network, message
):
    network = network()
    before = [type(module) for module in network.modules()]
    with pytest.raises(UserError, match=message):
        HALRPModel(network)
    assert [type(module) for module in network.modules()] == before


def test_network_of_another_strategy_is_refused():
    network = MultiHeadModel(backbone(), 12)
    HALRPModel(network)
    with pytest.raises(UserError, match="by another strategy"):
        HALRPModel(network)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SimpleNamespace(classes_in_this_experience=[0]), "no task labels"),
        (SimpleNamespace(classes_in_this_experience=[0], task_labels=[0, 1]), r"\[0, 1\]"),
        (experience(7), "task label 7 was already learned"),
    ],
)
def test_experience_without_a_label_of_its_own_is_refused(given, message):
    model = learned(7).train()
    with pytest.raises(UserError, match=message):
        model.adaptation(given)


def test_task_after_an_interrupted_one_is_refused():
    model = learned(7).train()
    model.adaptation(experience(1))
    with pytest.raises(UserError, match="task 1 was not finished"):
        model.adaptation(experience(2))
