"""What is registered here; plain text, so that listing imports nothing heavy."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog import (
    adaptation,
    baselines,
    class_incremental,
    data_free,
    low_bit,
    one_network,
    per_task,
    replay,
)
from cl_strategies.strategies.catalog.entry import FIXED as FIXED

ENTRIES: tuple[Entry, ...] = (
    *baselines.ENTRIES,
    *one_network.ENTRIES,
    *replay.ENTRIES,
    *per_task.ENTRIES,
    *class_incremental.ENTRIES,
    *low_bit.ENTRIES,
    *adaptation.ENTRIES,
    *data_free.ENTRIES,
)
