"""A memory that balances experiences, on experiences that come in parts."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from cl_strategies.benchmarks import load
from cl_strategies.plugins.rehearsal.memories import FullExperienceBalancedBuffer


def filled(size, **options):
    """Return the memory, and how many of its samples are of each task of two classes."""
    torch.manual_seed(0)
    stream = load("online-split-digits", experience_size=8, fraction=0.4, **options)
    memory = FullExperienceBalancedBuffer(size)
    for part in stream.train_stream:
        memory.post_adapt(None, part.train())
    return memory, Counter(label // 2 for label in memory.buffer.targets)


def test_the_parts_of_an_experience_are_one_where_boundaries_are_known():
    memory, of_task = filled(20, boundaries=True)
    assert of_task == dict.fromkeys(range(5), 4)
    assert len(memory.buffer_groups) == 5


@pytest.mark.parametrize("size", [20, 60])
def test_all_parts_are_one_where_they_are_hidden_and_none_is_left_out(size):
    """There are more parts than places in the smaller memory."""
    memory, of_task = filled(size)
    assert len(memory.buffer) == size and len(memory.buffer_groups) == 1
    late = of_task[3] + of_task[4]
    assert size // 5 < late < 4 * size // 5


def test_whole_experiences_are_groups_of_their_own():
    stream = load("online-split-digits", fraction=0.4).whole_stream
    memory = FullExperienceBalancedBuffer(20)
    for experience in stream:
        memory.post_adapt(None, experience)
    assert [len(group.buffer) for group in memory.buffer_groups.values()] == [4] * 5
