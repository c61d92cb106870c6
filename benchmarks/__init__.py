"""Benchmark streams under one contract, and the data sets behind them.

>>> from cl_strategies.benchmarks import load
>>> benchmark = load("split-digits", n_experiences=5, scenario="class")
>>> benchmark.info.n_classes
10
"""

from typing import TYPE_CHECKING

from cl_strategies._lazy import lazy_exports

if TYPE_CHECKING:
    from cl_strategies.benchmarks.builder import build_benchmark as build_benchmark
    from cl_strategies.benchmarks.cifar100_tasks import cifar100_split as cifar100_split
    from cl_strategies.benchmarks.cifar100_tasks import cifar100_superclass as cifar100_superclass
    from cl_strategies.benchmarks.classic import permuted_mnist as permuted_mnist
    from cl_strategies.benchmarks.classic import split_cifar10 as split_cifar10
    from cl_strategies.benchmarks.classic import split_cifar10_100 as split_cifar10_100
    from cl_strategies.benchmarks.classic import split_cifar100 as split_cifar100
    from cl_strategies.benchmarks.classic import split_mnist as split_mnist
    from cl_strategies.benchmarks.classic import split_tiny_imagenet as split_tiny_imagenet
    from cl_strategies.benchmarks.contract import StreamInfo as StreamInfo
    from cl_strategies.benchmarks.contract import contract_violations as contract_violations
    from cl_strategies.benchmarks.datasets import DatasetStatus as DatasetStatus
    from cl_strategies.benchmarks.datasets import check_dataset as check_dataset
    from cl_strategies.benchmarks.datasets import check_datasets as check_datasets
    from cl_strategies.benchmarks.digit_domains import digit_domains as digit_domains
    from cl_strategies.benchmarks.domains import imageclef as imageclef
    from cl_strategies.benchmarks.domains import office_31 as office_31
    from cl_strategies.benchmarks.downloads import download as download
    from cl_strategies.benchmarks.five_sources import five_datasets as five_datasets
    from cl_strategies.benchmarks.five_sources import five_datasets_offline as five_datasets_offline
    from cl_strategies.benchmarks.loading import load as load
    from cl_strategies.benchmarks.omniglot import omniglot_rotation as omniglot_rotation
    from cl_strategies.benchmarks.overlap import overlapping_cifar100 as overlapping_cifar100
    from cl_strategies.benchmarks.overlap import overlapping_digits as overlapping_digits
    from cl_strategies.benchmarks.overlap import (
        overlapping_fashion_mnist as overlapping_fashion_mnist,
    )
    from cl_strategies.benchmarks.permuted import permuted_digits as permuted_digits
    from cl_strategies.benchmarks.permuted import permuted_fashion_mnist as permuted_fashion_mnist
    from cl_strategies.benchmarks.permuted_channels import p_mnist as p_mnist
    from cl_strategies.benchmarks.photo import photo_digits as photo_digits
    from cl_strategies.benchmarks.photo import photo_fashion_mnist as photo_fashion_mnist
    from cl_strategies.benchmarks.photographs import food_101 as food_101
    from cl_strategies.benchmarks.photographs import imagenet_100 as imagenet_100
    from cl_strategies.benchmarks.photographs import imagenet_1000 as imagenet_1000
    from cl_strategies.benchmarks.rotated import rotated_digits as rotated_digits
    from cl_strategies.benchmarks.split import split_digits as split_digits
    from cl_strategies.benchmarks.split import split_fashion_mnist as split_fashion_mnist
    from cl_strategies.benchmarks.svhn import split_svhn as split_svhn
    from cl_strategies.benchmarks.task_streams import task_digits as task_digits
    from cl_strategies.benchmarks.task_streams import task_fashion_mnist as task_fashion_mnist
    from cl_strategies.benchmarks.task_streams import task_tiny_imagenet as task_tiny_imagenet

_MODULES = {
    "builder": ("build_benchmark",),
    "cifar100_tasks": ("cifar100_split", "cifar100_superclass"),
    "classic": (
        "permuted_mnist",
        "split_cifar10",
        "split_cifar100",
        "split_cifar10_100",
        "split_mnist",
        "split_tiny_imagenet",
    ),
    "contract": ("StreamInfo", "contract_violations"),
    "datasets": ("DatasetStatus", "check_dataset", "check_datasets"),
    "downloads": ("download",),
    "digit_domains": ("digit_domains",),
    "domains": ("imageclef", "office_31"),
    "five_sources": ("five_datasets", "five_datasets_offline"),
    "loading": ("load",),
    "omniglot": ("omniglot_rotation",),
    "permuted_channels": ("p_mnist",),
    "overlap": ("overlapping_cifar100", "overlapping_digits", "overlapping_fashion_mnist"),
    "permuted": ("permuted_digits", "permuted_fashion_mnist"),
    "photo": ("photo_digits", "photo_fashion_mnist"),
    "photographs": ("food_101", "imagenet_100", "imagenet_1000"),
    "rotated": ("rotated_digits",),
    "split": ("split_digits", "split_fashion_mnist"),
    "svhn": ("split_svhn",),
    "task_streams": ("task_digits", "task_fashion_mnist", "task_tiny_imagenet"),
}

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names},
)
