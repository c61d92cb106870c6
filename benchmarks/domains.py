"""Sequences of domains: the same classes in every task, photographed elsewhere.

Office-31 and ImageCLEF-DA come without a division into training and test images: a fixed fifth
of each class of each domain is for testing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import Order, Scenario, check_integer, train_test_rows
from cl_strategies.benchmarks.datasets import locate
from cl_strategies.benchmarks.domain_readers import (
    IMAGECLEF_CLASSES,
    Labelled,
    read_imageclef,
    read_office31,
)
from cl_strategies.benchmarks.samples import FileSamples
from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

_TEST_SHARE = 0.2
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def office_31(
    *,
    n_experiences: int | None = None,
    domains: str = "A-D-W",
    scenario: Scenario = "domain",
    image_size: int = 224,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Office-31: 31 things from Amazon (A), a DSLR camera (D) and a webcam (W).

    Training images are cropped at random and mirrored; all are normalised with ImageNet's mean and
    deviation. LifeQuant's paper has A-D-W and W-D-A.

    :param n_experiences: number of tasks, from the first of ``domains``; ``None``: all of them.
    :param domains: letters in the order of the tasks, joined by hyphens.
    :param scenario: ``"domain"`` (one head) or ``"task"`` (a head per task).
    :param image_size: height and width of the network's input.
    :param order: order of the tasks: ``None`` (natural), a seed, or a permutation.
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    transforms = domain_transforms(image_size)
    chosen = chosen_domains(domains, ["A", "D", "W"], n_experiences)
    names, found = read_office31(locate("office-31", data_root))
    return _domain_stream(
        found,
        chosen,
        names,
        name="office-31",
        scenario=scenario,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=transforms,
    )


def imageclef(
    *,
    n_experiences: int | None = None,
    domains: str = "I-P-C",
    scenario: Scenario = "domain",
    image_size: int = 224,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """ImageCLEF-DA: 12 classes from Bing (B), Caltech-256 (C), ImageNet (I) and Pascal VOC (P).

    LifeQuant's paper has I-P-C and B-C-I. The options are those of :func:`office_31`.

    :param domains: letters in the order of the tasks, joined by hyphens; up to four.
    """
    transforms = domain_transforms(image_size)
    chosen = chosen_domains(domains, ["B", "C", "I", "P"], n_experiences)
    found = read_imageclef(locate("imageclef", data_root))
    return _domain_stream(
        found,
        chosen,
        IMAGECLEF_CLASSES,
        name="imageclef",
        scenario=scenario,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=transforms,
    )


def chosen_domains(text: str, known: Sequence[str], n_experiences: int | None) -> list[str]:
    """The domains that ``text`` names, of which the first ``n_experiences``.

    >>> chosen_domains("w-d-a", ["A", "D", "W"], 2)
    ['W', 'D']

    :param text: names joined by hyphens; upper and lower case are the same.
    :raises UserError: for an unknown name, one that stands twice, or too many experiences.
    """
    spelling = {name.lower(): name for name in known}
    given = text.lower().split("-") if isinstance(text, str) else []
    if not given or len(set(given)) < len(given) or not set(given) <= set(spelling):
        raise UserError(
            f"domains is {text!r}: give different ones of {', '.join(known)}, joined by hyphens, "
            f"such as {'-'.join(known)}"
        )
    if n_experiences is not None:
        check_integer("n_experiences", n_experiences, minimum=1, maximum=len(given))
    return [spelling[name] for name in given[:n_experiences]]


def domain_transforms(size: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Resize to 8/7 of ``size`` and crop, at random and mirrored in training; normalise."""
    from torchvision import transforms as tv

    check_integer("image_size", size, minimum=1)
    larger = round(size * 8 / 7)
    last = [tv.ToTensor(), tv.Normalize(_MEAN, _STD)]
    training = [tv.Resize((larger, larger)), tv.RandomCrop(size), tv.RandomHorizontalFlip()]
    return (
        tv.Compose([*training, *last]),
        tv.Compose([tv.Resize((larger, larger)), tv.CenterCrop(size), *last]),
    )


def _domain_stream(
    found: Mapping[str, Labelled], chosen: Sequence[str], names: Sequence[str], **options: Any
) -> StreamBenchmark:
    sides: list[list[FileSamples]] = [[], []]
    for domain in chosen:
        files, labels = found[domain]
        for side, rows in zip(sides, train_test_rows(labels, _TEST_SHARE), strict=True):
            side.append(FileSamples([files[row] for row in rows], labels[rows]))
    return build_benchmark(
        sides[0],
        sides[1],
        classes=[range(len(names))] * len(chosen),
        class_names=tuple(names),
        **options,
    )
