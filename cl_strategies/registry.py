"""Names of strategies, benchmarks, models and the like, and the factories behind them.

An :class:`Entry` is plain text until :meth:`Entry.load` imports its factory, so that listing
names costs nothing. Third parties add entries through the entry-point groups
``cl_strategies.strategies``, ``cl_strategies.benchmarks``, ``cl_strategies.models`` and so on for
each of :data:`KINDS`: each entry point names an :class:`Entry`, or a factory, which is then
registered under the name of the entry point. One that cannot be used is skipped
(:attr:`Registry.skipped`).
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.experiment.boundary import Boundary
from cl_strategies.experiment.failure import Failure
from cl_strategies.plain import check_plain, check_table, shown

KINDS: Mapping[str, str] = {
    "strategies": "cl_strategies.strategies.catalogue",
    "benchmarks": "cl_strategies.benchmarks.catalogue",
    "models": "cl_strategies.models.catalogue",
    "quantisers": "cl_strategies.plugins.quantization.catalogue",
    "codecs": "cl_strategies.plugins.exemplars.catalogue",
}

logger = logging.getLogger(__name__)

#: Types of values where the default is ``None``, which does not tell, and the annotation does.
_OPTIONAL = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One registered name.

    :param name: kebab-case name.
    :param factory: ``"module:attribute"`` of a callable whose keyword arguments with a
        default are the options that a user may set.
    :param summary: one line for ``cl-strategies list``.
    :param paper: citation, or ``""``.
    :param scenarios: scenarios it supports: ``"class"``, ``"task"``, ``"domain"``; none for what
        knows of no stream, such as a quantiser.
    :param needs: what it needs beyond images and labels, in words.
    :param fixed: options that the engine supplies and a user may not set.
    """

    name: str
    factory: str
    summary: str
    paper: str = ""
    scenarios: tuple[str, ...] = ("class", "task", "domain")
    needs: tuple[str, ...] = ()
    fixed: frozenset[str] = frozenset()

    def load(self) -> Callable[..., Any]:
        """Import the factory.

        :raises UserError: if a third party's cannot be imported.
        """
        module, _, attribute = self.factory.partition(":")
        if module.startswith("cl_strategies."):
            return getattr(importlib.import_module(module), attribute)
        try:
            with Boundary():
                factory: Any = importlib.import_module(module)
                for part in attribute.split("."):
                    factory = getattr(factory, part)
        except (Failure, UserError) as error:  # whatever a broken package raises
            raise UserError(
                f"{self.name} is registered as {self.factory}, which cannot be imported "
                f"({error}): mend or uninstall the package that has it"
            ) from error
        if not callable(factory):
            raise UserError(f"{self.name} is registered as {self.factory}, which cannot be called")
        return factory

    def defaults(self) -> dict[str, Any]:
        """The options a user may set, with their defaults."""
        return {
            parameter.name: parameter.default
            for parameter in inspect.signature(self.load()).parameters.values()
            if parameter.default is not inspect.Parameter.empty
            and parameter.kind is not inspect.Parameter.VAR_KEYWORD
            and parameter.name not in self.fixed
        }

    def resolve_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options: ``given`` where given, else the defaults; sorted by name.

        :raises UserError: for an option that the factory does not have, or of another type.
        """
        check_table(f"the options of {self.name}", given)
        check_plain(self.name, given)
        defaults = self.defaults()
        for key in given:
            if key not in defaults:
                raise unknown_name(f"option of {self.name}", key, defaults or ["(it has none)"])
            if defaults[key] is None:
                self._check_annotated(key, given[key])
        return {
            key: checked_type(
                f"{self.name}.{key}",
                given.get(key, default),
                () if self._is_list(key, given.get(key)) else default,
            )
            for key, default in sorted(defaults.items())
        }

    def _is_list(self, key: str, value: Any) -> bool:
        """Whether ``value`` is a list where the annotation allows one besides a single value."""
        if not isinstance(value, list | tuple):
            return False
        annotation = str(inspect.signature(self.load()).parameters[key].annotation)
        return "| Sequence[" in annotation

    def _check_annotated(self, key: str, value: Any) -> None:
        """:raises UserError: for a value of another type than ``int | None`` and the like say."""
        annotation = str(inspect.signature(self.load()).parameters[key].annotation)
        name, _, rest = annotation.partition(" | ")
        if value is None or rest != "None" or type(value) in _OPTIONAL.get(name, (type(value),)):
            return
        raise UserError(
            f"{self.name}.{key} is {shown(value)}, a {type(value).__name__}: "
            f"give a {name}, or leave it out"
        )

    def parse_options(self, settings: str) -> dict[str, Any]:
        """``"eta=9,inner=jpeg"`` as options, each of the type of its default.

        :raises UserError: for text of another form, an unknown option, or a value of another type.
        """
        defaults = self.defaults()
        given: dict[str, Any] = {}
        for part in filter(None, settings.split(",")):
            key, equals, text = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise UserError(f"{part!r} is not an option of {self.name}: write name=value")
            if key not in defaults:
                raise unknown_name(f"option of {self.name}", key, defaults or ["(it has none)"])
            given[key] = _parsed(key, text, type(defaults[key]))
        return given

    def describe(self) -> dict[str, Any]:
        """Plain data for ``cl-strategies list --json``."""
        description = asdict(self)
        del description["fixed"]
        return {key: list(v) if isinstance(v, tuple) else v for key, v in description.items()}


def checked_type(what: str, value: Any, default: Any) -> Any:
    """``value`` if it is plain and of the type of ``default`` (an int may stand for a float).

    :raises UserError: otherwise; a default of ``None`` says nothing about the type.
    """
    check_plain(what, value)
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    expected = list if isinstance(default, tuple) else type(default)
    if default is not None and type(value) is not expected:
        raise UserError(
            f"{what} is {shown(value)}, a {type(value).__name__}: "
            f"give a {expected.__name__} such as {default!r}"
        )
    return value


def check_fields(config: Any, table: str) -> None:
    """Give every field of a frozen dataclass the type of its default, or refuse its value.

    :param table: what a configuration file calls the dataclass.
    :raises UserError: as :func:`checked_type`.
    """
    for field in fields(config):
        if field.default is not MISSING:
            value = checked_type(
                f"{table}.{field.name}", getattr(config, field.name), field.default
            )
            object.__setattr__(config, field.name, value)


def _parsed(key: str, text: str, kind: type) -> Any:
    if kind is bool and text in ("true", "false"):
        return text == "true"
    try:
        if kind is not bool:
            value = kind(text)
            check_plain(key, value)
            return value
    except UserError:
        raise
    except ValueError:
        pass
    raise UserError(f"{key} is {shown(text)}: give a value of type {kind.__name__}")


class Registry:
    """The entries of one kind, ours first, then those of installed third parties.

    :ivar skipped: what third parties registered and cannot be used, in words: one message each.
    """

    def __init__(self, kind: str) -> None:
        _check_kind(kind)
        self.kind = kind
        self.skipped: list[str] = []
        self._entries: dict[str, Entry] = {}
        catalogue = importlib.import_module(KINDS[kind])
        for entry in catalogue.ENTRIES:
            self.add(entry)
        for point in entry_points(group=f"cl_strategies.{kind}"):
            try:
                with Boundary():
                    self.add(_third_party(point, getattr(catalogue, "FIXED", frozenset())))
            except (Failure, UserError) as error:  # whatever a broken package raises
                self._skip(point, error)

    def _skip(self, point: EntryPoint, error: Failure | UserError) -> None:
        package = "an installed package" if point.dist is None else f"the package {point.dist.name}"
        self.skipped.append(
            f"{package} registers the {self.singular} {point.name!r} as {point.value}, which "
            f"cannot be used and is skipped ({error}): mend or uninstall it"
        )
        logger.warning("%s", self.skipped[-1])

    @property
    def singular(self) -> str:
        """One of this kind, in words: ``"strategy"``."""
        return _SINGULAR[self.kind]

    def add(self, entry: Entry) -> None:
        """:raises UserError: if the name is taken."""
        if entry.name in self._entries:
            raise UserError(
                f"the {self.kind} name {entry.name!r} is registered twice "
                f"({self._entries[entry.name].factory} and {entry.factory}): rename one of them"
            )
        self._entries[entry.name] = entry

    def __getitem__(self, name: str) -> Entry:
        """:raises UserError: for a name that is not registered, or no name at all."""
        if not isinstance(name, str):
            raise UserError(
                f"the name of a {self.singular} is {shown(name)}: give text; "
                f"`cl-strategies list {self.kind}` prints the names"
            )
        if name not in self._entries:
            raise unknown_name(self.singular, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries


def _third_party(point: EntryPoint, fixed: frozenset[str]) -> Entry:
    """What an entry point names: an entry, or a factory that becomes one.

    :param fixed: options that the engine supplies to factories of this kind.
    :raises UserError: if it is neither.
    """
    found = point.load()
    if isinstance(found, Entry):
        return found
    if not callable(found):
        raise UserError(
            f"it is a {type(found).__name__}: name an Entry, or a callable that makes one"
        )
    summary = (inspect.getdoc(found) or f"Of {point.value}.").partition("\n")[0]
    return Entry(name=point.name, factory=point.value, summary=summary, fixed=fixed)


_SINGULAR = {
    "strategies": "strategy",
    "benchmarks": "benchmark",
    "models": "model",
    "quantisers": "quantiser",
    "codecs": "codec",
}


def registry(kind: str) -> Registry:
    """The process-wide registry of ``kind``, one of :data:`KINDS`.

    :raises UserError: for another kind.
    """
    _check_kind(kind)
    return _shared(kind)


@cache
def _shared(kind: str) -> Registry:
    return Registry(kind)


def _check_kind(kind: Any) -> None:
    if not isinstance(kind, str):
        raise UserError(f"the kind is {shown(kind)}: give one of {', '.join(KINDS)}")
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
