"""What a run was beside its configuration: the data it saw and the code that computed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cl_strategies.results.fields import Fields

#: Between what a run was begun with and what it was continued with.
THEN = ", then "


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Data and code of a run; two runs of one configuration are the same run only if these agree.

    :param data: fingerprint of the samples and labels
        (:mod:`cl_strategies.experiment.identity.data_fingerprint`).
    :param packages: package -> version, hash of its source, or both, as text: those that supply
        the strategy, the benchmark, the model and the plugins.
    """

    data: str
    packages: Mapping[str, str]

    @classmethod
    def from_fields(cls, fields: Fields) -> Identity:
        """Of one JSON object.

        :raises UserError: naming the field that is missing, unknown or wrong.
        """
        fields.only(("data", "packages"))
        packages = fields.table("packages")
        return cls(
            data=fields.text("data"),
            packages={name: packages.text(name) for name in packages.values},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"data": self.data, "packages": dict(self.packages)}

    def other_packages(self, now: Mapping[str, str]) -> str:
        """In words what of the code differs ``now``; ``""`` if nothing does."""
        names = sorted({*self.packages, *now})
        return "; ".join(
            f"{name} was {self.packages.get(name, 'not used')}, is {now.get(name, 'not used')}"
            for name in names
            if self.packages.get(name) != now.get(name)
        )

    def last(self) -> Identity:
        """That of the part that was computed last."""
        packages = {name: text.rpartition(THEN)[2] for name, text in self.packages.items()}
        return Identity(data=self.data, packages=packages)

    def continued(self, now: Identity) -> Identity:
        """Of a run that was begun by this code and is ended by that of ``now``."""
        last = self.last().packages
        packages = {}
        for name in sorted({*last, *now.packages}):
            before, after = last.get(name, "not used"), now.packages.get(name, "not used")
            whole = self.packages.get(name, "not used")
            packages[name] = whole if before == after else f"{whole}{THEN}{after}"
        return Identity(data=now.data, packages=packages)

    def __str__(self) -> str:
        code = self.packages.get("cl-strategies", "of an unknown version")
        return f"cl-strategies {code}, data {self.data}"
