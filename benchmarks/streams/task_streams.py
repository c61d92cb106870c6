"""Split streams in task-incremental form, with the task orders A to E."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Unpack

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
from cl_strategies.validation.parameter import Default

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

# What ImageNet's images are normalized with, as Li et al. do.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


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
