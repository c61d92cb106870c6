"""Permuted MNIST on 3x32x32 images, as Li et al. (HALRP) train their LeNet on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor

from cl_strategies.benchmarks import choices, orders
from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import Scenario
from cl_strategies.benchmarks.loaders import load_dataset
from cl_strategies.benchmarks.orders import TaskOrder, named_order
from cl_strategies.benchmarks.permuted import PixelPermutation
from cl_strategies.benchmarks.pixels import Normalised, as_bytes, resized
from cl_strategies.benchmarks.samples import TensorSamples

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

_SIZE = 32
_MEAN, _STD = (0.1307,), (0.3081,)


def p_mnist(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "task",
    stream_seed: int = 0,
    order: TaskOrder = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """MNIST, enlarged to 3x32x32 and normalised, all 3,072 values permuted anew in each task.

    Task 0 is permuted, too. The authors draw permutation ``i`` with a seed that depends on the
    order of the first run; here task ``i`` has the ``i``-th permutation of ``stream_seed``.

    :param n_experiences: number of tasks. A longer stream begins with the tasks of a shorter one.
    :param scenario: ``"task"`` (a head per task) or ``"domain"`` (one head).
    :param stream_seed: seed of the permutations.
    :param order: as everywhere, or with 10 tasks one of the printed orders ``"A"`` (seed 0) to
        ``"E"`` (seed 4).
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    choices.check_integer("n_experiences", n_experiences, minimum=1)
    choices.check_scenario(scenario, ("task", "domain"))
    generator = np.random.RandomState(choices.check_seed("stream_seed", stream_seed))
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
        fraction=fraction,
        validation=validation,
        class_names=data.class_names,
    )


class _Permuted:
    """Normalises, then permutes pixels and channels together."""

    def __init__(self, permutation: PixelPermutation) -> None:
        self.normalise = Normalised(_MEAN, _STD)
        self.permutation = permutation

    def __call__(self, images: Tensor) -> Tensor:
        return self.permutation(self.normalise(images))
