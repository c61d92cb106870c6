"""Peak memory of a process, counted anew."""

import mmap
from pathlib import Path

import pytest
import torch

from cl_strategies.plugins.metrics import resources
from cl_strategies.plugins.metrics.resources import PeakMemory

LINUX = Path("/proc/self/clear_refs").exists()


@pytest.mark.skipif(not LINUX, reason="only Linux counts a peak anew")
def test_peak_rises_with_what_was_held_and_falls_after_a_reset():
    memory = PeakMemory("cpu")
    memory.reset()
    before = memory.bytes()
    # Fresh pages, which what earlier tests have freed cannot stand in for.
    pages = mmap.mmap(-1, 2**26)
    held = torch.frombuffer(pages, dtype=torch.uint8).fill_(1)
    during = memory.bytes()
    assert during - before > 0.9 * held.nbytes
    del held
    pages.close()
    assert memory.bytes() == pytest.approx(during, abs=2**22)  # the kernel counts in batches
    memory.reset()
    assert memory.bytes() < during - 2**25


def test_peak_is_unknown_before_a_reset_and_where_the_system_does_not_count(monkeypatch):
    memory = PeakMemory("cpu")
    assert memory.bytes() is None
    monkeypatch.setattr(resources, "_reset_resident_peak", lambda: False)
    memory.reset()
    assert memory.bytes() is None
