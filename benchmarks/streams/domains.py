"""Sequences of domains: the same classes in every task, photographed elsewhere.

Office-31 and ImageCLEF-DA come without a division into training and test images: a fixed fifth
of each class of each domain is for testing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from annotated_types import Ge
from typing_extensions import Doc

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import (
    DataRoot,
    ImageSize,
    SameClassesScenario,
    StreamOptions,
)
from cl_strategies.benchmarks.core.samples import FileSamples
from cl_strategies.benchmarks.core.selection import train_test_rows
from cl_strategies.benchmarks.datasets.domains import (
    IMAGECLEF,
    OFFICE31,
    ImageClef,
    ImageDomains,
    Office31,
)
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Default

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_TEST_SHARE = 0.2
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


NDomains = Annotated[
    int | None, Ge(1), Doc("Number of tasks, from the first of ``domains``; none for all of them.")
]
Domains = Annotated[
    str, Doc("Letters of the domains in the order of the tasks, joined by hyphens.")
]


class DomainOptions(StreamOptions, total=False):
    """The options of a stream of photographs in several domains."""

    n_experiences: Annotated[NDomains, Default(None)]
    scenario: Annotated[SameClassesScenario, Default("domain")]
    image_size: Annotated[ImageSize, Default(224)]


@hyperparameters
def office_31(
    *, domains: Domains = "A-D-W", data_root: DataRoot = None, **options: Unpack[DomainOptions]
) -> StreamBenchmark:
    """Learn 31 office supplies in photographs from Amazon (A), a DSLR camera (D), a webcam (W).

    Training images are cropped at random and mirrored; all are normalized with ImageNet's mean and
    deviation. LifeQuant's paper has A-D-W and W-D-A.

    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    chosen = chosen_domains(domains, list(OFFICE31), options["n_experiences"])
    return _domain_stream(Office31().load(data_root), chosen, "office-31", options)


@hyperparameters
def imageclef(
    *, domains: Domains = "I-P-C", data_root: DataRoot = None, **options: Unpack[DomainOptions]
) -> StreamBenchmark:
    """Learn 12 classes in photographs of ImageCLEF-DA.

    Domains are Bing (B), Caltech-256 (C), ImageNet (I) and Pascal VOC (P). LifeQuant's paper has
    I-P-C and B-C-I. Images are treated as by :func:`office_31`.

    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    chosen = chosen_domains(domains, IMAGECLEF, options["n_experiences"])
    return _domain_stream(ImageClef().load(data_root), chosen, "imageclef", options)


def chosen_domains(text: str, known: Sequence[str], n_experiences: int | None) -> list[str]:
    """Return the first ``n_experiences`` of the domains that ``text`` names.

    >>> chosen_domains("w-d-a", ["A", "D", "W"], 2)
    ['W', 'D']

    :param text: names joined by hyphens; upper and lower case are the same.
    :param known: all names.
    :param n_experiences: how many of them; ``None``: all.
    :raises UserError: for an unknown name, one that stands twice, or too many experiences.
    """
    spelling = {name.lower(): name for name in known}
    given = text.lower().split("-")
    if len(set(given)) < len(given) or not set(given) <= set(spelling):
        raise UserError(
            f"domains is {text!r}: give different ones of {', '.join(known)}, joined by hyphens, "
            f"such as {'-'.join(known)}"
        )
    if n_experiences is not None and not 1 <= n_experiences <= len(given):
        raise UserError(
            f"n_experiences is {n_experiences}, and domains is {text!r}: give an integer from 1 to "
            f"{len(given)}"
        )
    return [spelling[name] for name in given[:n_experiences]]


def domain_transforms(size: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Resize to 8/7 of ``size`` and crop, at random and mirrored in training; normalize."""
    from torchvision import transforms as tv

    larger = round(size * 8 / 7)
    last = [tv.ToTensor(), tv.Normalize(_MEAN, _STD)]
    training = [tv.Resize((larger, larger)), tv.RandomCrop(size), tv.RandomHorizontalFlip()]
    return (
        tv.Compose([*training, *last]),
        tv.Compose([tv.Resize((larger, larger)), tv.CenterCrop(size), *last]),
    )


def _domain_stream(
    data: ImageDomains, chosen: Sequence[str], name: str, options: DomainOptions
) -> StreamBenchmark:
    sides: list[list[FileSamples]] = [[], []]
    for domain in chosen:
        files, labels = data.domains[domain]
        for side, rows in zip(sides, train_test_rows(labels, _TEST_SHARE), strict=True):
            side.append(FileSamples([files[row] for row in rows], labels[rows]))
    return build_benchmark(
        sides[0],
        sides[1],
        name=name,
        scenario=options["scenario"],
        classes=[range(len(data.class_names))] * len(chosen),
        transforms=domain_transforms(options["image_size"]),
        class_names=data.class_names,
        order=options["order"],
        fraction=options["fraction"],
        validation=options["validation"],
    )
