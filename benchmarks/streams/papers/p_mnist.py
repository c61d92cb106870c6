"""Permuted MNIST on 3x32x32 images, as Li et al. (HALRP) train their LeNet on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np
from PIL import Image
from torch import Tensor

from cl_strategies.benchmarks.core import orders
from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import (
    DataRoot,
    NExperiences,
    SameClassesScenario,
    ShareOptions,
    StreamSeed,
    TaskOrder,
)
from cl_strategies.benchmarks.core.orders import named_order
from cl_strategies.benchmarks.core.pixels import Normalized, as_bytes, resized
from cl_strategies.benchmarks.core.samples import TensorSamples
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.permuted import PixelPermutation
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_SIZE = 32
_MEAN, _STD = (0.1307,), (0.3081,)


@hyperparameters
def p_mnist(
    *,
    n_experiences: NExperiences = 10,
    scenario: SameClassesScenario = "task",
    stream_seed: StreamSeed = 0,
    order: TaskOrder = None,
    data_root: DataRoot = None,
    **options: Unpack[ShareOptions],
) -> StreamBenchmark:
    """Permute all values of MNIST, enlarged to 3x32x32 and normalized, in every task.

    Task 0 is permuted, too, and a longer stream begins with the tasks of a shorter one. The authors
    draw permutation ``i`` with a seed that depends on the order of the first run; here task ``i``
    has the ``i``-th permutation of ``stream_seed``. Letters as ``order`` are for 10 tasks: ``"A"``
    (seed 0) to ``"E"`` (seed 4).

    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    generator = np.random.RandomState(stream_seed)
    transforms = [
        _Permuted(PixelPermutation(generator.permutation(3 * _SIZE * _SIZE)))
        for _ in range(n_experiences)
    ]
    order = named_order(order, orders.P_MNIST, n_experiences)
    data = load_dataset("mnist", data_root)
    train, test = (
        (resized(as_bytes(part), _SIZE, Image.Resampling.BILINEAR), part.labels)
        for part in (data.train, data.test)
    )
    return build_benchmark(
        [TensorSamples(*train, transform) for transform in transforms],
        [TensorSamples(*test, transform) for transform in transforms],
        name="p-mnist",
        scenario=scenario,
        classes=[range(len(data.class_names))] * n_experiences,
        order=order,
        **options,
        class_names=data.class_names,
    )


class _Permuted:
    """Normalize, then permute pixels and channels together."""

    def __init__(self, permutation: PixelPermutation) -> None:
        self.normalize = Normalized(_MEAN, _STD)
        self.permutation = permutation

    def __call__(self, images: Tensor) -> Tensor:
        return self.permutation(self.normalize(images))
