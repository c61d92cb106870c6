"""Split streams in task-incremental form, with the task orders A to E."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cl_strategies.benchmarks import orders
from cl_strategies.benchmarks.choices import Order, Scenario
from cl_strategies.benchmarks.loaders import load_dataset
from cl_strategies.benchmarks.orders import TaskOrder, named_order
from cl_strategies.benchmarks.split import split_stream

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

# What ImageNet's images are normalised with, as Li et al. do.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def task_digits(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "task",
    class_order: Order = None,
    order: TaskOrder = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """scikit-learn's 8x8 digits in five tasks of two classes; for the options see
    :func:`~cl_strategies.benchmarks.split.split_stream`.

    :param order: as everywhere, or with 5 tasks ``"A"`` to ``"E"``, those of Five-dataset.
    """
    return split_stream(
        load_dataset("digits", data_root),
        name="task-digits",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=class_order,
        order=named_order(order, orders.FIVE_DATASETS, n_experiences),
        fraction=fraction,
        validation=validation,
    )


def task_fashion_mnist(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "task",
    class_order: Order = None,
    order: TaskOrder = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Fashion-MNIST in five tasks of two classes; for the options see
    :func:`~cl_strategies.benchmarks.split.split_stream`.

    :param order: as everywhere, or with 5 tasks ``"A"`` to ``"E"``, those of Five-dataset.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("fashion-mnist", data_root),
        name="task-fashion-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=class_order,
        order=named_order(order, orders.FIVE_DATASETS, n_experiences),
        fraction=fraction,
        validation=validation,
    )


def task_tiny_imagenet(
    *,
    n_experiences: int = 20,
    scenario: Scenario = "task",
    order: TaskOrder = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Tiny ImageNet as Li et al. split it: 20 tasks of 10 classes, or 40 of 5.

    The classes are cut into tasks in the order of their WordNet ids. Training images are padded
    by 4 pixels, cropped and flipped at random. The official validation images are the test
    stream; the authors' code tests on a tenth of the training images and keeps the validation
    images for the importance of ranks. For the other options see
    :func:`~cl_strategies.benchmarks.split.split_stream`.

    :param order: as everywhere, or with 20 or 40 tasks one of the printed orders ``"A"`` (seed 0)
        to ``"E"`` (seed 4).
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    from torchvision import transforms

    data = load_dataset("tiny-imagenet", data_root)
    classes = sorted(range(len(data.class_names)), key=data.class_names.__getitem__)
    named = orders.TINY_IMAGENET_40 if n_experiences == 40 else orders.TINY_IMAGENET_20
    last = [transforms.ToTensor(), transforms.Normalize(_IMAGENET_MEAN, _IMAGENET_STD)]
    augment = [transforms.RandomCrop(64, padding=4), transforms.RandomHorizontalFlip()]
    return split_stream(
        data,
        name="task-tiny-imagenet",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=classes,
        order=named_order(order, named, n_experiences),
        fraction=fraction,
        validation=validation,
        transforms=(transforms.Compose([*augment, *last]), transforms.Compose(last)),
    )
