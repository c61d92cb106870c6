"""What a run would be here and now, and whether a finished or interrupted one is the same.

A configuration names its data and its methods; the same names may stand for other data and other
code. A run of other data is no answer. One of other code is an answer with a warning: its numbers
stay what they were, and nothing says that they would be others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig, Named
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.identity.present_data import data_here
from cl_strategies.reports.reading.side_files import read_environment
from cl_strategies.results.fields import Fields
from cl_strategies.results.identity import Identity
from cl_strategies.results.record import RunRecord

#: Called with what a person should know of a run.
Told = Callable[[str], None]

_REMEDY = "do it again with --rerun, or give another folder with --out"


def identity_of_training(config: ExperimentConfig, benchmark: Any, strategy: Any) -> Identity:
    """Of the run that trains ``strategy`` on ``benchmark`` in this process."""
    from cl_strategies.experiment.identity.data_fingerprint import fingerprint
    from cl_strategies.experiment.identity.suppliers import (
        describe,
        named_suppliers,
        used_suppliers,
    )

    return Identity(
        data=fingerprint(benchmark),
        packages=describe(named_suppliers(config) | used_suppliers(strategy)),
    )


def continued(checkpoint: Any, path: Any, now: Identity, told: Told) -> Identity:
    """Return the identity of a run that continues from a checkpoint.

    :param checkpoint: the identity that the checkpoint holds; ``None`` if it holds none.
    :param now: what the run is here.
    :raises UserError: if it was begun with other data.
    """
    if checkpoint is None:
        told(f"{path} does not say with which data and code the run was begun; it goes on")
        return Identity(data=now.data, packages=now.packages)
    before = Identity.from_fields(Fields({"identity": checkpoint}, str(path)).table("identity"))
    if before.data != now.data:
        raise UserError(
            f"{path}: the run was begun with other data ({before.data}, here are {now.data}), and "
            f"half of each would be neither: {_REMEDY}"
        )
    if code := before.last().other_packages(now.packages):
        told(
            f"{path}: the run was begun by other code, and goes on with that of now ({code}); "
            "--rerun begins anew"
        )
    return before.continued(now)


class Identities:
    """What runs are here and now, asked for one after the other: data and packages are looked at
    once for all of them. Make a new one for the next call, as both may change in between."""

    def __init__(self) -> None:
        self._data: dict[str, str | Exception] = {}
        self._packages: dict[tuple[str, ...], dict[str, str]] = {}

    def difference(self, directory: RunDirectory, record: RunRecord) -> str:
        """Return what is to be known before the result of ``directory`` is taken for the answer.

        :returns: in words, ``""`` if it is the run that would be done here and now.
        :raises UserError: if it was done with other data.
        """
        identity, config = record.identity, directory.config
        if identity is None and record.error is not None and record.error["kind"] == "error":
            return ""  # it ended before it had one, and is tried again
        if identity is None:
            made = _made_by(directory)
            return (
                f"identity unknown: done with {made}, which recorded neither its data nor its code"
            )
        data = self._data_of(config.benchmark)
        if isinstance(data, str) and data != identity.data:
            raise UserError(
                f"{directory.result}: done with {identity}, but the data of {record.benchmark} "
                f"here are others ({data}): {_REMEDY}"
            )
        code = identity.other_packages(self._packages_of(config, identity))
        differences = [f"done with other code: {code}"] if code else []
        if not isinstance(data, str):
            differences.append(f"its data were not compared: {str(data).partition(chr(10))[0]}")
        return "; ".join(differences)

    def _data_of(self, benchmark: Named) -> str | Exception:
        key = json.dumps(benchmark.to_dict(), sort_keys=True)
        if key not in self._data:
            try:
                self._data[key] = data_here(benchmark)
            except Exception as error:  # whatever a benchmark raises: the result is there
                self._data[key] = error
        return self._data[key]

    def _packages_of(self, config: ExperimentConfig, identity: Identity) -> dict[str, str]:
        from cl_strategies.experiment.identity import suppliers

        # Those that are only found when the strategy is made stand in what was recorded.
        recorded = set(identity.packages) - {suppliers.OWN, *suppliers.ALWAYS}
        key = tuple(sorted(suppliers.named_suppliers(config) | recorded))
        if key not in self._packages:
            self._packages[key] = suppliers.describe(key)
        return self._packages[key]


def read_not_computed(directory: RunDirectory, record: RunRecord, difference: str) -> str:
    """In words that the result of ``directory`` is of before, and of what."""
    written = (directory.stamp() or 0) / 1e9
    done = f"{datetime.fromtimestamp(written):%Y-%m-%d %H:%M}"
    made = "" if record.identity is None else f"done with {record.identity}"
    said = [made, difference, "--rerun does it again"]
    return f"read, not computed, from {done}: " + "; ".join(filter(None, said))


def _made_by(directory: RunDirectory) -> str:
    environment, _ = read_environment(directory.path / "environment.json")
    version = environment.get("cl-strategies")
    return f"cl-strategies {version}" if isinstance(version, str) else "an unknown version"
