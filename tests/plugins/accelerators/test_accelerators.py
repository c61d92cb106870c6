from __future__ import annotations

import copy

import pytest
import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import nn

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.models.heads import GrowingClassifier, SingleHeadModel
from cl_strategies.plugins import AutocastPlugin, ChannelsLastPlugin, CompilePlugin
from cl_strategies.strategies import Naive

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def stream():
    return split_digits()


def network():
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten()
    )
    return SingleHeadModel(backbone, GrowingClassifier(32))


def train(stream, *plugins, experiences=2, model=None):
    net = network() if model is None else model
    strategy = Naive(
        model=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        train_mb_size=32,
        train_epochs=1,
        evaluator=None,
        plugins=list(plugins),
    )
    torch.manual_seed(1)
    for experience in list(stream.train_stream)[:experiences]:
        strategy.train(experience)
    strategy.eval(stream.test_stream[0])
    return strategy


class Watch(SupervisedPlugin):
    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def before_backward(self, strategy, **kwargs):
        self.outputs.append(strategy.mb_output.dtype)


def distance(a, b):
    pairs = zip(a.model.parameters(), b.model.parameters(), strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


@pytest.mark.parametrize(
    ("plugin", "tolerance"),
    [
        (ChannelsLastPlugin(), 2e-4),
        (CompilePlugin(backend="eager"), 0.0),
        (AutocastPlugin(), 5e-2),
    ],
)
def test_training_ends_with_the_weights_of_plain_training(stream, plugin, tolerance):
    assert distance(train(stream, plugin), train(stream)) <= tolerance


def test_autocast_computes_in_bfloat16_and_hands_on_float32(stream):
    seen = []
    net = network()
    net.backbone[0].register_forward_hook(lambda *given: seen.append(given[-1].dtype))
    outputs = []
    train(stream, AutocastPlugin(), Watch(outputs), experiences=1, model=net)
    assert set(seen) == {torch.bfloat16}
    assert set(outputs) == {torch.float32}
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert not torch.is_autocast_enabled("cpu")


def test_autocast_is_off_again_after_a_failure_and_the_next_start(stream):
    plugin = AutocastPlugin()
    broken = network()
    broken.backbone[4] = nn.Flatten(0)
    with pytest.raises((RuntimeError, ValueError)):
        train(stream, plugin, model=broken)
    train(stream, plugin, experiences=1)
    assert not torch.is_autocast_enabled("cpu")


def test_autocast_refuses_other_types():
    with pytest.raises(UserError, match="bfloat16"):
        AutocastPlugin(dtype=torch.float32)


def test_channels_last_holds_for_weights_and_batches(stream):
    seen = []
    net = SingleHeadModel(
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.AvgPool2d(4), nn.Flatten()),
        GrowingClassifier(8),
    )
    net.backbone[1].register_forward_hook(lambda _, given, output: seen.append(given[0]))
    train(stream, ChannelsLastPlugin(), experiences=1, model=net)
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in seen)
    assert net.backbone[1].weight.is_contiguous(memory_format=torch.channels_last)


def test_compiling_keeps_names_and_is_not_repeated_when_the_head_grows(stream):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    strategy = train(stream, CompilePlugin(backend=backend), experiences=3)
    assert list(strategy.model.state_dict()) == list(network().state_dict())
    assert strategy.model.head.out_features > 2
    # training and evaluation, the full batch and the last one: not one per experience
    assert 1 <= len(graphs) <= 4
    assert copy.deepcopy(strategy.model)(torch.zeros(2, 1, 8, 8)).shape[0] == 2


def test_a_part_that_does_not_exist_is_named(stream):
    with pytest.raises(UserError, match=r"no part 'trunk'.*backbone, head"):
        train(stream, CompilePlugin(part="trunk", backend="eager"))
