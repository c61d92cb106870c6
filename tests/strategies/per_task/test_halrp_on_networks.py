"""HALRP on networks that it was not written for, and what it refuses."""

import itertools

import pytest
import torch
from avalanche.models import as_multitask
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.low_rank.model import HALRPModel
from cl_strategies.strategies.halrp import HALRP


@pytest.fixture(scope="module")
def stream():
    """Three tasks of two classes, told apart by the sign of a pattern."""
    generator = torch.Generator().manual_seed(0)
    tasks = []
    for _ in range(3):
        y = torch.arange(24) % 2
        pattern = torch.randn(3, 16, 16, generator=generator)
        noise = torch.randn(24, 3, 16, 16, generator=generator)
        tasks.append((noise + (2 * y[:, None, None, None] - 1) * pattern, y))
    return build_benchmark(tasks, tasks, name="patterns", scenario="task")


def trained(model, stream, tasks=3, **options):
    torch.manual_seed(0)
    learner = HALRP(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=2e-3),
        train_mb_size=8,
        train_epochs=2,
        plugins=[ResidentDataPlugin()],
        evaluator=None,
        **options,
    )
    for experience in stream.train_stream[:tasks]:
        learner.train(experience)
    return learner


def resnet():
    torch.manual_seed(0)
    return as_multitask(ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2), "fc")


def images(stream, position):
    return torch.stack([x for x, *_ in stream.test_stream[position].dataset.eval()])


@pytest.fixture(scope="module")
def learned(stream):
    """A ResNet after three tasks, and its answers to the first two before the third."""
    learner = trained(resnet(), stream, tasks=2, max_growth=0.07)
    learner.model.eval()
    with torch.no_grad():
        before = [learner.model(images(stream, task), task) for task in range(2)]
    learner.train(stream.train_stream[2])
    return learner.model.eval(), before


@pytest.mark.slow
def test_torchvisions_resnet_learns_tasks_and_forgets_no_bit(stream, learned):
    model, before = learned
    with torch.no_grad():
        after = [model(images(stream, task), task) for task in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(before, after[:2], strict=True))
    convolutions = [m for m in resnet().modules() if isinstance(m, nn.Conv2d)]
    assert len(model.layers) == len(convolutions)
    assert any("downsample" in name for name in model.layers)
    assert 0 < model.growth() <= 2 * 0.07
    for task, logits in enumerate(after):
        y = torch.tensor([y for _, y, *_ in stream.test_stream[task].dataset.eval()])
        assert (logits.argmax(1) == y).float().mean() > 0.8


def test_mixed_tasks_and_batches_of_one_answer_as_whole_tasks_do(stream, learned):
    model, _ = learned
    labels = torch.tensor([2, 0, 1, 2, 0, 0, 1])
    x = torch.cat([images(stream, int(task))[:1] for task in labels])
    with torch.no_grad():
        whole = {task: model(x, task) for task in range(3)}
        expected = torch.stack([whole[int(task)][row] for row, task in enumerate(labels)])
        torch.testing.assert_close(model(x, labels), expected, atol=1e-4, rtol=1e-4)
        single = torch.cat([model(x[i : i + 1], labels[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(single, expected, atol=1e-4, rtol=1e-4)


def test_growth_counts_what_is_stored(learned):
    model, _ = learned
    stored = 0
    for name, tensor in model.state_dict().items():
        parts = name.split(".")
        own = any(
            p in ("tasks", "classifiers") and q in ("1", "2") for p, q in itertools.pairwise(parts)
        )
        if own and parts[-1] in ("left", "right"):
            stored += int(tensor.count_nonzero())
        elif own and tensor.is_floating_point() and parts[-1] != "active_units":
            stored += tensor.numel()
    base = sum(p.numel() for p in ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2).parameters())
    assert model.base_size() == base
    assert sum(size.total for size in model.sizes().values()) == stored
    assert model.growth() == stored / base


def test_one_hidden_layer_is_enough_and_none_is_refused(stream):
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 16))
    assert trained(MultiHeadModel(flat, 16), stream, tasks=2).model.layers
    with pytest.raises(UserError, match="Linear and Conv2d"):
        HALRPModel(MultiHeadModel(nn.Flatten(), 3 * 256))


def test_parameters_shared_between_layers_are_refused(stream):
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    body = nn.Sequential(nn.Flatten(), nn.Linear(768, 8), first, nn.ReLU(), second)
    with pytest.raises(UserError, match=r"2\.weight and .*4\.weight are the same parameter"):
        trained(MultiHeadModel(body, 8), stream)


def test_a_stream_without_task_labels_is_refused(stream):
    tasks = [(torch.randn(8, 3, 4, 4), torch.arange(8) % 2 + 2 * k) for k in range(2)]
    plain = build_benchmark(tasks, tasks, name="classes", scenario="class")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(48, 8))
    with pytest.raises(UserError, match="already learned"):
        trained(MultiHeadModel(flat, 8), plain, tasks=2)
