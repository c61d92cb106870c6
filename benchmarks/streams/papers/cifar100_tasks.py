"""CIFAR-100 in task-incremental form, as Yoon et al. (APD, 2020) and Li et al. (HALRP) split it.

Images are normalized and not augmented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from cl_strategies.benchmarks.core import orders
from cl_strategies.benchmarks.core.options import (
    ClassOrder,
    DataRoot,
    NExperiences,
    Scenario,
    ShareOptions,
    TaskOrder,
)
from cl_strategies.benchmarks.core.orders import named_order
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.split import split_stream
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_MEAN = (0.507, 0.487, 0.441)
_STD = (0.267, 0.256, 0.276)

#: The five classes of each of CIFAR-100's twenty superclasses, as its authors group them.
SUPERCLASSES: tuple[tuple[int, ...], ...] = (
    (4, 30, 55, 72, 95),
    (1, 32, 67, 73, 91),
    (54, 62, 70, 82, 92),
    (9, 10, 16, 28, 61),
    (0, 51, 53, 57, 83),
    (22, 39, 40, 86, 87),
    (5, 20, 25, 84, 94),
    (6, 7, 14, 18, 24),
    (3, 42, 43, 88, 97),
    (12, 17, 37, 68, 76),
    (23, 33, 49, 60, 71),
    (15, 19, 21, 31, 38),
    (34, 63, 64, 66, 75),
    (26, 45, 77, 79, 99),
    (2, 11, 35, 46, 98),
    (27, 29, 44, 78, 93),
    (36, 50, 65, 74, 80),
    (47, 52, 56, 59, 96),
    (8, 13, 48, 58, 90),
    (41, 69, 81, 85, 89),
)


@hyperparameters
def cifar100_split(
    *,
    n_experiences: NExperiences = 10,
    scenario: Scenario = "task",
    class_order: ClassOrder = None,
    order: TaskOrder = None,
    data_root: DataRoot = None,
    **options: Unpack[ShareOptions],
) -> StreamBenchmark:
    """Cut CIFAR-100 into ten tasks: task ``i`` has the classes ``10 i`` to ``10 i + 9``.

    With ``n_experiences=20`` and a seed as ``class_order`` it is CIFAR100-20, the random tasks of
    Hyder et al. (IRU, 2022). Letters as ``order`` are for 10 tasks.

    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("cifar100", data_root),
        name="cifar100-split",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=class_order,
        order=named_order(order, orders.CIFAR100_SPLIT, n_experiences),
        transforms=_transforms(),
        **options,
    )


@hyperparameters
def cifar100_superclass(
    *,
    n_experiences: NExperiences = 20,
    scenario: Scenario = "task",
    order: TaskOrder = None,
    data_root: DataRoot = None,
    **options: Unpack[ShareOptions],
) -> StreamBenchmark:
    """Cut CIFAR-100 into twenty tasks: task ``i`` has the five classes of superclass ``i``.

    With fewer tasks, neighboring superclasses share a task. Letters as ``order`` are for 20 tasks.

    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("cifar100", data_root),
        name="cifar100-superclass",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=[label for group in SUPERCLASSES for label in group],
        order=named_order(order, orders.CIFAR100_SUPERCLASS, n_experiences),
        transforms=_transforms(),
        **options,
    )


def _transforms() -> tuple[Any, Any]:
    from torchvision import transforms

    normalize = transforms.Compose([transforms.ToTensor(), transforms.Normalize(_MEAN, _STD)])
    return normalize, normalize
