"""From a stream of whole experiences to one of small parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cl_strategies.benchmarks.core.online_options import Boundaries, ExperienceSize, SampleSeed
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.online import OnlineBenchmark
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_SAMPLE_ORDER = 0x0A5E


@hyperparameters
def cut_into_parts(
    benchmark: StreamBenchmark,
    name: str,
    /,
    *,
    experience_size: ExperienceSize = 10,
    boundaries: Boundaries = False,
    sample_seed: SampleSeed = 0,
) -> OnlineBenchmark:
    """Make the online form of a benchmark: every sample comes once, in one part.

    The samples of a task come in the same order wherever the task stands in the stream.

    :param benchmark: under the stream contract.
    :param name: of the online stream.
    """
    from cl_strategies.benchmarks.core.online import OnlineBenchmark

    whole, info = list(benchmark.train_stream), benchmark.info
    rows = [
        np.random.RandomState([_SAMPLE_ORDER, sample_seed, task]).permutation(len(one.dataset))
        for one, task in zip(whole, info.task_order, strict=True)
    ]
    counts = tuple(-(-len(few) // experience_size) for few in rows)
    cut = rows, experience_size, boundaries
    info = replace(info, name=name, parts=counts)
    return OnlineBenchmark(whole, list(benchmark.test_stream), info, cut)
