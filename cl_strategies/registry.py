"""Names of strategies, benchmarks, models and the like, and the factories behind them.

An :class:`Entry` is plain text until :meth:`Entry.load` imports its factory, so that listing
names costs nothing. Third parties add entries through the entry-point groups
``cl_strategies.strategies``, ``cl_strategies.benchmarks``, ``cl_strategies.models`` and so on for
each of :data:`KINDS`: each entry point names an :class:`Entry`, or a factory, which is then
registered under the name of the entry point. One that cannot be used is skipped
(:attr:`Registry.skipped`). What no package registers is named ``module:attribute``
(:mod:`cl_strategies.own_code`), and is an entry like any other.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.errors.boundary import Boundary
from cl_strategies.errors.failure import Failure
from cl_strategies.own_code import find, is_reference, reference_to, takes_any
from cl_strategies.validation.hyperparameters import parameters_of, resolve_aliases
from cl_strategies.validation.parameter import Parameter
from cl_strategies.validation.plain_data import check_plain, check_table, shown

KINDS: Mapping[str, str] = {
    "strategies": "cl_strategies.strategies.catalog",
    "benchmarks": "cl_strategies.benchmarks.catalog",
    "models": "cl_strategies.models.catalog",
    "quantizers": "cl_strategies.plugins.quantization.quantizers.catalog",
    "codecs": "cl_strategies.plugins.exemplars.codecs.catalog",
}

#: Kinds that had another name in earlier versions; entry points of that name count, too.
OLDER_KINDS: Mapping[str, str] = {"quantisers": "quantizers"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One registered name.

    :param name: kebab-case name.
    :param factory: ``"module:attribute"`` of a callable whose keyword arguments with a
        default are the options that a user may set.
    :param summary: one line for ``cl-strategies list``.
    :param paper: citation, or ``""``.
    :param scenarios: scenarios it supports: ``"class"``, ``"task"``, ``"domain"``; none for what
        knows of no stream, such as a quantizer.
    :param needs: what it needs beyond images and labels, in words.
    :param datasets: of a stream: the published data sets that it is cut from, as
        ``cl-strategies datasets`` names them; with ``|`` between those of which one will do.
    :param fixed: options that the engine supplies and a user may not set.
    :param older_names: names of earlier versions, which are still understood.
    """

    name: str
    factory: str
    summary: str
    paper: str = ""
    scenarios: tuple[str, ...] = ("class", "task", "domain")
    needs: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    fixed: frozenset[str] = frozenset()
    older_names: tuple[str, ...] = ()

    def load(self) -> Callable[..., Any]:
        """Import the factory.

        :raises UserError: if a third party's cannot be imported.
        """
        module, _, attribute = self.factory.partition(":")
        if module.startswith("cl_strategies."):
            ours: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
            return ours
        try:
            with Boundary():
                factory: Any = importlib.import_module(module)
                for part in attribute.split("."):
                    factory = getattr(factory, part)
        except (Failure, UserError) as error:  # whatever a broken package raises
            raise UserError(
                f"{self.name} is registered as {self.factory}, which cannot be imported "
                f"({error}): fix or uninstall the package that has it"
            ) from error
        if not callable(factory):
            raise UserError(f"{self.name} is registered as {self.factory}, which cannot be called")
        theirs: Callable[..., Any] = factory
        return theirs

    def parameters(self) -> dict[str, Parameter]:
        """Return the options that a user may set, as the factory declares them; one without a
        default must be set."""
        declared = parameters_of(self.load())
        return {name: declared[name] for name in declared if name not in self.fixed}

    def defaults(self) -> dict[str, Any]:
        """Return the options a user may set, with their defaults where they have one."""
        return {n: p.default for n, p in self.parameters().items() if not p.required}

    def resolve_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options: ``given`` where given, else the defaults; sorted by name.

        Names of earlier versions become present ones.

        :raises UserError: for an option that the factory does not have, of another type, or out of
            its limits, or if one that has no default is missing.
        """
        check_table(f"the options of {self.name}", given)
        check_plain(self.name, given)
        known = self.parameters()
        values = self.defaults()
        for key, value in resolve_aliases(self.load(), given).items():
            if key not in known:
                raise unknown_name(f"option of {self.name}", key, known or ["(it has none)"])
            values[key] = known[key].check(value, self.name)
        if missing := [name for name in known if name not in values]:
            raise UserError(f"{self.name} has no default for {', '.join(missing)}: give a value")
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in sorted(values.items())
        }

    def hashed_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``options`` as the first version that had them wrote them, for the hash of a
        run."""
        known = self.parameters()
        hashed = {}
        for name, value in options.items():
            parameter = known.get(name)
            if parameter and parameter.since and value == parameter.default:
                continue
            key = parameter.aliases[-1] if parameter and parameter.aliases else name
            hashed[key] = parameter.oldest(value) if parameter else value
        return hashed

    def parse_options(self, settings: str) -> dict[str, Any]:
        """Return ``"eta=9,inner=jpeg"`` as options, each of the type that the factory declares.

        :raises UserError: for text of another form, an unknown option, or a value that the option
            does not take.
        """
        given: dict[str, str] = {}
        for part in filter(None, settings.split(",")):
            key, equals, text = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise UserError(f"{part!r} is not an option of {self.name}: write name=value")
            given[key] = text
        known = self.parameters()
        parsed = {}
        for key, text in resolve_aliases(self.load(), given).items():
            if key not in known:
                raise unknown_name(f"option of {self.name}", key, known or ["(it has none)"])
            parsed[key] = known[key].parse(text, self.name)
        return parsed

    def describe(self) -> dict[str, Any]:
        """Return plain data for ``cl-strategies list --json``."""
        description = asdict(self)
        del description["fixed"], description["older_names"]
        return {key: list(v) if isinstance(v, tuple) else v for key, v in description.items()}


class Registry:
    """The entries of one kind, ours first, then those of installed third parties.

    :ivar skipped: what third parties registered and cannot be used, in words: one message each.
    """

    def __init__(self, kind: str) -> None:
        _check_kind(kind)
        self.kind = kind
        self.skipped: list[str] = []
        self._entries: dict[str, Entry] = {}
        self._unlisted: dict[str, Entry] = {}
        catalog = importlib.import_module(KINDS[kind])
        self._fixed: frozenset[str] = getattr(catalog, "FIXED", frozenset())
        for entry in catalog.ENTRIES:
            self.add(entry)
        groups = [kind, *(older for older, new in OLDER_KINDS.items() if new == kind)]
        for point in (p for group in groups for p in entry_points(group=f"cl_strategies.{group}")):
            try:
                with Boundary():
                    self.add(_third_party(point.load(), point.name, point.value, self._fixed))
            except (Failure, UserError) as error:  # whatever a broken package raises
                self._skip(point, error)

    def _skip(self, point: EntryPoint, error: Failure | UserError) -> None:
        package = "an installed package" if point.dist is None else f"the package {point.dist.name}"
        self.skipped.append(
            f"{package} registers the {self.singular} {point.name!r} as {point.value}, which "
            f"cannot be used and is skipped ({error}): fix or uninstall it"
        )
        logger.warning("%s", self.skipped[-1])

    @property
    def singular(self) -> str:
        """One of this kind, in words: ``"strategy"``."""
        return _SINGULAR[self.kind]

    def add(self, entry: Entry) -> None:
        """:raises UserError: if the name is taken."""
        if entry.name in self:
            raise UserError(
                f"the {self.kind} name {entry.name!r} is registered twice "
                f"({self[entry.name].factory} and {entry.factory}): rename one of them"
            )
        self._entries[entry.name] = entry

    def add_unlisted(self, entry: Entry) -> None:
        """Let this process find ``entry``, which is no part of any package, and is not listed."""
        self._unlisted[entry.name] = entry

    def __getitem__(self, name: str) -> Entry:
        """Return the entry of a registered name, or of a ``module:attribute``.

        :raises UserError: for a name that is not registered, or no name at all.
        """
        if not isinstance(name, str):
            raise UserError(
                f"the name of a {self.singular} is {shown(name)}: give text; "
                f"`cl-strategies list {self.kind}` prints the names"
            )
        name = self.present_name(name)
        if name in self._unlisted:
            return self._unlisted[name]
        if name not in self._entries and is_reference(name):
            return self._own(name)
        if name not in self._entries:
            raise unknown_name(self.singular, name, self._entries)
        return self._entries[name]

    def _own(self, reference: str) -> Entry:
        """:raises UserError: if it cannot be found, or is no factory."""
        found = find(reference)
        try:
            with Boundary():
                return replace(
                    _third_party(found, reference, reference, self._fixed), name=reference
                )
        except Failure as error:  # whatever its signature raises
            raise UserError(f"{reference} cannot be used ({error}): mend it") from error

    def present_name(self, name: str) -> str:
        """Return ``name``, or the present name of what had this one in an earlier version."""
        renamed = (entry.name for entry in self if name in entry.older_names)
        return name if name in self._entries else next(renamed, name)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        """Return whether ``name`` is registered; nothing is imported for a ``module:attribute``."""
        if not isinstance(name, str):
            return False
        return name in self._unlisted or self.present_name(name) in self._entries

    def table_of(self, thing: Any) -> dict[str, Any]:
        """Return a class or function as a table with its name: that by which it is registered, or
        else ``module:attribute``.

        :param thing: see :func:`~cl_strategies.own_code.reference_to`.
        :raises UserError: if it has no name by which another process could find it.
        """
        if isinstance(thing, Entry):
            thing = thing.name
        table = reference_to(thing, self.singular)
        module, _, attribute = table["name"].partition(":")
        for entry in self:
            place, _, name = entry.factory.partition(":")
            if attribute and name == attribute and module.startswith(place):
                found = getattr(importlib.import_module(module), attribute, None)
                if entry.load() is found:
                    return {**table, "name": entry.name}
        return table


def _third_party(found: Any, name: str, reference: str, fixed: frozenset[str]) -> Entry:
    """Return an entry, or a factory that becomes one.

    :param found: what an entry point or a ``module:attribute`` names.
    :param datasets: of a stream: the published data sets that it is cut from, as
        ``cl-strategies datasets`` names them; with ``|`` between those of which one will do.
    :param fixed: options that the engine supplies to factories of this kind.
    :raises UserError: if it is neither.
    """
    if isinstance(found, Entry):
        return replace(found, fixed=found.fixed | fixed)
    if not callable(found):
        raise UserError(
            f"{reference} is a {type(found).__name__}: name an Entry, or a callable that makes one"
        )
    if fixed and not takes_any(found, fixed):
        raise UserError(
            f"{reference} takes none of {', '.join(sorted(fixed))}, which it is called with: name "
            "a class or function that does"
        )
    summary = (inspect.getdoc(found) or f"Of {reference}.").partition("\n")[0]
    return Entry(name=name, factory=reference, summary=summary, fixed=fixed)


_SINGULAR = {
    "strategies": "strategy",
    "benchmarks": "benchmark",
    "models": "model",
    "quantizers": "quantizer",
    "codecs": "codec",
}


def registry(kind: str) -> Registry:
    """Return the process-wide registry of ``kind``, one of :data:`KINDS`.

    :raises UserError: for another kind.
    """
    _check_kind(kind)
    return _shared(OLDER_KINDS.get(kind, kind))


@cache
def _shared(kind: str) -> Registry:
    return Registry(kind)


def _check_kind(kind: Any) -> None:
    if not isinstance(kind, str):
        raise UserError(f"the kind is {shown(kind)}: give one of {', '.join(KINDS)}")
    if OLDER_KINDS.get(kind, kind) not in KINDS:
        raise unknown_name("kind", kind, KINDS)
