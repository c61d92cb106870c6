"""Exemplars as people look at them: which ones, their boxes, where the network looks."""

import numpy as np
import pytest
import torch
from avalanche.training.plugins import ReplayPlugin
from torch import nn

from cl_strategies.benchmarks import photo_digits
from cl_strategies.plugins.exemplars.replay.metrics import byte_memory
from cl_strategies.plugins.masking.exemplar_pictures import stored_pictures
from cl_strategies.strategies.cim import CIM
from cl_strategies.strategies.compressed_replay import CompressedReplay
from cl_strategies.strategies.templates.base import Strategy


def trained(kind, body=None, **options):
    benchmark = photo_digits(n_experiences=5, image_size=16, fraction=0.05)
    torch.manual_seed(0)
    body = body or [nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    width = 6 if len(body) == 3 else 3 * 16 * 16
    model = nn.Sequential(*body, nn.Flatten(), nn.Linear(width, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    strategy = kind(model=model, optimizer=optimizer, train_mb_size=16, **options)
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    return strategy


@pytest.fixture(scope="module")
def masked():
    return trained(CIM, mem_bytes=8_000, artifact_interval=1)


def test_the_first_exemplars_of_each_class_are_shown(masked):
    memory = byte_memory(masked)
    pictures = stored_pictures(masked, per_class=2)
    labels = sorted({record.label for record in memory.records})
    assert [picture.label for picture in pictures] == sorted([*labels, *labels])
    row = next(k for k, record in enumerate(memory.records) if record.label == labels[0])
    decoded = memory.codec.decode(memory.records[row].payload)
    np.testing.assert_array_equal(pictures[0].pixels, decoded)
    assert len({picture.label for picture in stored_pictures(masked, classes=3)}) == 3


def test_two_resolution_exemplars_have_boxes_and_heat_maps(masked):
    for picture in stored_pictures(masked):
        top, bottom, left, right = picture.box
        assert 0 <= top <= bottom <= 16 and 0 <= left <= right <= 16
        assert picture.heat.shape == (16, 16) and picture.heat.min() >= 0
        assert picture.heat.max() <= 1


def test_other_codecs_have_no_boxes_and_other_networks_no_heat_maps():
    flat = trained(CompressedReplay, body=[nn.Identity()], mem_bytes=9_000, codec="raw")
    pictures = stored_pictures(flat)
    assert pictures and all(p.box is None and p.heat is None for p in pictures)


def test_a_strategy_without_a_memory_in_bytes_has_no_pictures():
    plain = trained(Strategy, method=[ReplayPlugin(mem_size=10)])
    assert byte_memory(plain) is None and stored_pictures(plain) == []
