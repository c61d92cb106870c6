"""Split streams in task-incremental form: with the task orders A to E, or of small tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Unpack

from annotated_types import Ge
from typing_extensions import Doc

from cl_strategies.benchmarks.core import orders
from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import (
    ClassOrder,
    DataRoot,
    ImageSize,
    NExperiences,
    Scenario,
    ShareOptions,
    SplitOptions,
    TaskOrder,
)
from cl_strategies.benchmarks.core.orders import named_order
from cl_strategies.benchmarks.core.samples import ShiftedSamples
from cl_strategies.benchmarks.core.selection import permutation
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.split import split_stream, stream_of_tasks
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Default

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

# What ImageNet's images are normalized with, as Li et al. do.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

ClassesPerTask = Annotated[
    int, Ge(1), Doc("Classes of each task; those for which no task is left are left out.")
]


class FiveTaskOptions(ShareOptions, total=False):
    """The options of a stream of five tasks of two classes."""

    n_experiences: Annotated[NExperiences, Default(5)]
    scenario: Annotated[Scenario, Default("task")]
    class_order: Annotated[ClassOrder, Default(None)]
    order: Annotated[TaskOrder, Default(None)]


@hyperparameters
def task_digits(
    *, data_root: DataRoot = None, **options: Unpack[FiveTaskOptions]
) -> StreamBenchmark:
    """Cut scikit-learn's 8x8 digits into five tasks of two classes.

    Letters as ``order`` are the orders of Five-dataset, for 5 tasks.
    """
    return _five_tasks("digits", data_root, options)


@hyperparameters
def task_fashion_mnist(
    *, data_root: DataRoot = None, **options: Unpack[FiveTaskOptions]
) -> StreamBenchmark:
    """Cut Fashion-MNIST into five tasks of two classes.

    Letters as ``order`` are the orders of Five-dataset, for 5 tasks.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _five_tasks("fashion-mnist", data_root, options)


def _five_tasks(name: str, data_root: DataRoot, options: FiveTaskOptions) -> StreamBenchmark:
    n_experiences = options["n_experiences"]
    return split_stream(
        load_dataset(name, data_root),
        name=f"task-{name}",
        n_experiences=n_experiences,
        scenario=options["scenario"],
        class_order=options["class_order"],
        order=named_order(options["order"], orders.FIVE_DATASETS, n_experiences),
        fraction=options["fraction"],
        validation=options["validation"],
    )


@hyperparameters
def task_tiny_imagenet(
    *,
    n_experiences: NExperiences = 20,
    scenario: Scenario = "task",
    order: TaskOrder = None,
    data_root: DataRoot = None,
    **options: Unpack[ShareOptions],
) -> StreamBenchmark:
    """Cut Tiny ImageNet as Li et al. do: into 20 tasks of 10 classes, or 40 of 5.

    The classes are cut into tasks in the order of their WordNet ids. Training images are padded
    by 4 pixels, cropped and flipped at random. The official validation images are the test
    stream; the authors' code tests on a tenth of the training images and keeps the validation
    images for the importance of ranks. Letters as ``order`` are for 20 and 40 tasks: ``"A"``
    (seed 0) to ``"E"`` (seed 4).

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
        transforms=(transforms.Compose([*augment, *last]), transforms.Compose(last)),
        **options,
    )


@hyperparameters
def task_cifar10_100(
    *,
    n_experiences: NExperiences = 30,
    classes_per_task: ClassesPerTask = 3,
    scenario: Scenario = "task",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Cut CIFAR-10 into tasks of few classes, and CIFAR-100 into those that come after.

    By default 30 tasks of 3 classes, as Park et al. (ALASSO) have; which 90 of the 110 classes they
    take is not stated. Here no task has classes of both data sets: the first three are of CIFAR-10.
    Images are in ``[0, 1]`` and not augmented. Class ``c`` of CIFAR-100 is class ``10 + c``.

    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    from torchvision import transforms

    first, second = load_dataset("cifar10", data_root), load_dataset("cifar100", data_root)
    size, more = len(first.class_names), len(second.class_names)
    classes = permutation("class_order", options["class_order"], size + more)
    tasks = [
        *_even_tasks([label for label in classes if label < size], classes_per_task),
        *_even_tasks([label for label in classes if label >= size], classes_per_task),
    ]
    tasks = _first_tasks(tasks, n_experiences, classes_per_task)
    sides = [
        [side[0] if task[0] < size else ShiftedSamples(side[1], size) for task in tasks]
        for side in ((first.train, second.train), (first.test, second.test))
    ]
    return build_benchmark(
        *sides,
        name="task-cifar10-100",
        scenario=scenario,
        classes=tasks,
        transforms=(transforms.ToTensor(), transforms.ToTensor()),
        class_order=[label for task in tasks for label in task],
        class_names=first.class_names + second.class_names,
        order=options["order"],
        fraction=options["fraction"],
        validation=options["validation"],
    )


@hyperparameters
def task_tiny_imagenet_224(
    *,
    n_experiences: NExperiences = 30,
    classes_per_task: ClassesPerTask = 6,
    image_size: ImageSize = 224,
    scenario: Scenario = "task",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Cut Tiny ImageNet into tasks of few classes, its images enlarged bilinearly.

    By default 30 tasks of 6 classes at 224x224 pixels, as Park et al. (ALASSO) have; which 180 of
    the 200 classes they take is not stated: here the first in the order of ``wnids.txt``. Images
    are in ``[0, 1]`` and not augmented. The official validation images are the test stream.

    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    from torchvision import transforms

    data = load_dataset("tiny-imagenet", data_root)
    classes = permutation("class_order", options["class_order"], len(data.class_names))
    tasks = _first_tasks(_even_tasks(classes, classes_per_task), n_experiences, classes_per_task)
    enlarge = transforms.Compose(
        [transforms.Resize((image_size, image_size)), transforms.ToTensor()]
    )
    return stream_of_tasks(
        data,
        tasks,
        name="task-tiny-imagenet-224",
        scenario=scenario,
        class_order=[label for task in tasks for label in task],
        transforms=(enlarge, enlarge),
        order=options["order"],
        fraction=options["fraction"],
        validation=options["validation"],
    )


def _even_tasks(classes: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Cut ``classes`` into tasks of ``size``; what is left over has no task."""
    return [tuple(classes[at : at + size]) for at in range(0, len(classes) - size + 1, size)]


def _first_tasks(
    tasks: list[tuple[int, ...]], n_experiences: int, classes_per_task: int
) -> list[tuple[int, ...]]:
    """:raises UserError: if there are fewer tasks."""
    if n_experiences > len(tasks):
        raise UserError(
            f"n_experiences is {n_experiences}, and there are classes for {len(tasks)} tasks of "
            f"{classes_per_task}: give at most as many, or a smaller classes_per_task"
        )
    return tasks[:n_experiences]
