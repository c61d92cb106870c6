"""Street View House Numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from cl_strategies.benchmarks.core.options import (
    DataRoot,
    NExperiences,
    Scenario,
    SplitOptions,
)
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.split import split_stream
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark


@hyperparameters
def split_svhn(
    *,
    n_experiences: NExperiences = 5,
    scenario: Scenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Split the cropped digits of SVHN by class.

    Pixels are scaled to ``[-1, 1]`` and not augmented, as in AlignQ's experiments. The extra
    training images are left out.

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
        transforms=(transform, transform),
        **options,
    )
