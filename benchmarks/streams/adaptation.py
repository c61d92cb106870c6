"""Streams of domain adaptation: one domain with labels, others whose images come without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from annotated_types import Ge, Le
from typing_extensions import Doc

from cl_strategies.benchmarks.core.builder import build_benchmark, unlabeled_dataset
from cl_strategies.benchmarks.core.options import (
    DataRoot,
    ImageSize,
    SameClassesScenario,
    StreamOptions,
    StreamSeed,
)
from cl_strategies.benchmarks.core.samples import FileSamples, Samples
from cl_strategies.benchmarks.core.selection import stratified_rows
from cl_strategies.benchmarks.datasets.domains import OFFICE31, Office31
from cl_strategies.benchmarks.streams.digit_domains import DIGITS, LOOKS, looks
from cl_strategies.benchmarks.streams.domains import NDomains, chosen_domains, domain_transforms
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Default

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

Source = Annotated[str, Doc("The domain that comes with labels.")]
Targets = Annotated[
    str,
    Doc(
        "The domains that come without labels, one for each task, joined by hyphens; the test "
        "images are theirs."
    ),
]


class AdaptationOptions(StreamOptions, total=False):
    """The options of a stream of domain adaptation."""

    n_experiences: Annotated[NDomains, Default(None)]
    scenario: Annotated[SameClassesScenario, Default("domain")]


@hyperparameters
def adaptation_digits(
    *,
    source: Source = "plain",
    targets: Targets = "noisy",
    image_size: Annotated[ImageSize, Ge(8), Le(64)] = 8,
    stream_seed: StreamSeed = 0,
    data_root: DataRoot = None,
    **options: Unpack[AdaptationOptions],
) -> StreamBenchmark:
    """Learn the digits in one look of ``digit-domains`` with labels, for tests in another look.

    Each task brings all training images of the source with their labels, and those of its target
    as ``experience.unlabeled``, without. Its test images are the target's, and
    ``benchmark.source_stream`` has those of the source. With ``validation`` the test stream is of
    held-out images of the source: labels of a target choose nothing.

    :raises UserError: for options out of range.
    """
    names = _domains(source, targets, list(LOOKS), options["n_experiences"])
    domains = looks(names, image_size, stream_seed, data_root)
    return _adaptation_stream(domains, DIGITS, "adaptation-digits", options, None)


@hyperparameters
def adaptation_office_31(
    *,
    source: Source = "A",
    targets: Targets = "W",
    image_size: ImageSize = 224,
    data_root: DataRoot = None,
    **options: Unpack[AdaptationOptions],
) -> StreamBenchmark:
    """Learn Office-31 in one domain with labels, for tests in another: Amazon (A), DSLR (D), webcam
    (W).

    As in the papers of domain adaptation, all images of the source are trained on, and the images
    of the target that come without labels are those that are tested. Otherwise as
    :func:`adaptation_digits`; images are treated as by ``office-31``.

    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    names = _domains(source, targets, list(OFFICE31), options["n_experiences"])
    data = Office31().load(data_root)
    whole = [FileSamples(*data.domains[name]) for name in names]
    return _adaptation_stream(
        [(samples, samples) for samples in whole],
        data.class_names,
        "adaptation-office-31",
        options,
        domain_transforms(image_size),
    )


def _domains(
    source: str, targets: str, known: Sequence[str], n_experiences: int | None
) -> list[str]:
    """Return the source and the first ``n_experiences`` targets.

    :raises UserError: for unknown names, a source that is a target, or too many experiences.
    """
    spelling = {name.lower(): name for name in known}
    if source.lower() not in spelling:
        raise UserError(f"source is {source!r}: give one of {', '.join(known)}")
    first = spelling[source.lower()]
    others = [name for name in known if name != first]
    try:
        return [first, *chosen_domains(targets, others, n_experiences)]
    except UserError as error:
        raise UserError(
            str(error).replace("domains is", f"source is {first!r}, and targets is")
        ) from error


def _adaptation_stream(
    domains: Sequence[tuple[Samples, Samples]],
    class_names: Sequence[str],
    name: str,
    options: AdaptationOptions,
    transforms: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None,
) -> StreamBenchmark:
    """Make a stream of the source, which is the first of ``domains``, and of the targets."""
    (train, test), *targets = domains
    classes = range(len(class_names))
    shares: dict[str, Any] = {"fraction": options["fraction"], "validation": options["validation"]}
    benchmark = build_benchmark(
        [train] * len(targets),
        [images for _, images in targets],
        name=name,
        scenario=options["scenario"],
        classes=[classes] * len(targets),
        transforms=transforms,
        class_names=class_names,
        order=options["order"],
        **shares,
    )
    for experience, index in zip(benchmark.train_stream, benchmark.info.task_order, strict=True):
        images, _ = targets[index]
        rows, _ = stratified_rows(
            images.labels, classes, fraction=options["fraction"], validation=0.0, where=name
        )
        experience.unlabeled = unlabeled_dataset(images, rows, experience.task_label, transforms)
    benchmark.info = replace(benchmark.info, has_target=True)
    benchmark.source_stream = build_benchmark(
        [train], [test], name=name, scenario="domain", transforms=transforms, **shares
    ).test_stream
    return benchmark
