"""What the command line sets: ``--set``, and options that are short forms of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cl_strategies.errors import UserError


@dataclass(frozen=True)
class ShortForm:
    """An option that sets one key.

    :param flag: as it is written.
    :param dest: where the parser leaves its value.
    :param text: whether its value is taken as it is, whatever it looks like.
    """

    flag: str
    dest: str
    key: str
    text: bool = False


SETTINGS = (
    ShortForm("--epochs", "epochs", "train.epochs"),
    ShortForm("--lr", "lr", "train.lr"),
    ShortForm("--data-root", "data_root", "benchmark.data_root", text=True),
    ShortForm("--log", "loggers", "logging.to", text=True),
)
#: Of a single run; several runs have lists of these.
OF_ONE_RUN = (
    ShortForm("--benchmark", "benchmarks", "benchmark.name", text=True),
    ShortForm("--strategy", "strategies", "strategy.name", text=True),
    ShortForm("--seed", "seeds", "run.seed"),
)


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the options of several runs set for all of them, by ``table.key``.

    :raises UserError: for text of another form, or a key that is set in two ways.
    """
    lists = {form.key: form.flag for form in OF_ONE_RUN if getattr(options, form.dest, None)}
    return _once(_given(options, SETTINGS), lists)


def without_places(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of ``given`` says what is computed, and neither where data are nor who is
    told."""
    return {
        key: value
        for key, value in given.items()
        if key != "benchmark.data_root" and not key.startswith("logging.")
    }


def settings_of_one_run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the same for a single run, which has one benchmark, strategy and seed.

    :raises UserError: as :func:`settings`, and for several of them.
    """
    for form in OF_ONE_RUN:
        value = getattr(options, form.dest) or ""
        if "," in value or (form.key == "run.seed" and "-" in value[1:]):
            raise UserError(
                f"{form.flag} {value}: `run` does one run, give one; `compare` takes several"
            )
    return _once(_given(options, (*OF_ONE_RUN, *SETTINGS)), {})


def _given(
    options: argparse.Namespace, forms: Sequence[ShortForm]
) -> Iterator[tuple[str, str, Any]]:
    """Yield how it was said, the key, and its value."""
    from cl_strategies.experiment.config.reading import parse_assignment

    for form in forms:
        value = getattr(options, form.dest)
        if value is not None:
            said = f"{form.flag} {value}"
            yield (
                said,
                *((form.key, value) if form.text else parse_assignment(f"{form.key}={value}")),
            )
    for text in options.overrides:
        yield f"--set {text}", *parse_assignment(text)


def _once(given: Iterator[tuple[str, str, Any]], said_before: dict[str, str]) -> dict[str, Any]:
    said, found = dict(said_before), {}
    for how, key, value in given:
        again = how.startswith("--set ") and said.get(key, "").startswith("--set ")
        if key in said and not again:  # of --set alone the last wins, as an alias of a shell needs
            raise UserError(f"{key} is set by {said[key]} and by {how}: give one of them")
        said[key], found[key] = how, value
    return found
