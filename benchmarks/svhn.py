"""Street View House Numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cl_strategies.benchmarks.choices import Order, Scenario
from cl_strategies.benchmarks.loaders import load_dataset
from cl_strategies.benchmarks.split import split_stream

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark


def split_svhn(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """SVHN, cropped digits, split by class; see
    :func:`~cl_strategies.benchmarks.split.split_stream` for the options.

    Pixels are scaled to ``[-1, 1]`` and not augmented, as in AlignQ's experiments. The extra
    training images are left out.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    from torchvision import transforms as tv

    halves = (0.5, 0.5, 0.5)
    transform = tv.Compose([tv.ToTensor(), tv.Normalize(halves, halves)])
    return split_stream(
        load_dataset("svhn", data_root),
        name="split-svhn",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=(transform, transform),
    )
