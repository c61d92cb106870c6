"""Online forms of split and permuted streams: each sample comes once, a few of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cl_strategies.benchmarks.core.parts import cut_into_parts
from cl_strategies.benchmarks.streams.classic import (
    permuted_mnist,
    split_cifar10,
    split_cifar100,
    split_mnist,
)
from cl_strategies.benchmarks.streams.permuted import permuted_digits, permuted_fashion_mnist
from cl_strategies.benchmarks.streams.split import split_digits, split_fashion_mnist
from cl_strategies.validation.hyperparameters import hyperparameters, take_options

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.online import OnlineBenchmark
    from cl_strategies.benchmarks.core.stream import StreamBenchmark


@hyperparameters(parts=(cut_into_parts, split_digits))
def online_split_digits(**options: Any) -> OnlineBenchmark:
    """Bring the 8x8 digits of scikit-learn, split by class, in small parts."""
    return _online(split_digits, options)


@hyperparameters(parts=(cut_into_parts, permuted_digits))
def online_permuted_digits(**options: Any) -> OnlineBenchmark:
    """Bring scikit-learn's 8x8 digits with permuted pixels, in small parts."""
    return _online(permuted_digits, options)


@hyperparameters(parts=(cut_into_parts, split_fashion_mnist))
def online_split_fashion_mnist(**options: Any) -> OnlineBenchmark:
    """Bring Fashion-MNIST, split by class, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _online(split_fashion_mnist, options)


@hyperparameters(parts=(cut_into_parts, permuted_fashion_mnist))
def online_permuted_fashion_mnist(**options: Any) -> OnlineBenchmark:
    """Bring Fashion-MNIST with permuted pixels, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _online(permuted_fashion_mnist, options)


@hyperparameters(parts=(cut_into_parts, split_mnist))
def online_split_mnist(**options: Any) -> OnlineBenchmark:
    """Bring MNIST, split by class, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _online(split_mnist, options)


@hyperparameters(parts=(cut_into_parts, permuted_mnist))
def online_permuted_mnist(**options: Any) -> OnlineBenchmark:
    """Bring MNIST with permuted pixels, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _online(permuted_mnist, options)


@hyperparameters(parts=(cut_into_parts, split_cifar10))
def online_split_cifar10(**options: Any) -> OnlineBenchmark:
    """Bring CIFAR-10, split by class, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _online(split_cifar10, options)


@hyperparameters(parts=(cut_into_parts, split_cifar100))
def online_split_cifar100(**options: Any) -> OnlineBenchmark:
    """Bring CIFAR-100, split by class, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _online(split_cifar100, options)


def _online(make: Callable[..., StreamBenchmark], options: dict[str, Any]) -> OnlineBenchmark:
    parts = take_options(cut_into_parts, options)
    benchmark = make(**options)
    return cut_into_parts(benchmark, f"online-{benchmark.info.name}", **parts)
