"""Hyper-parameters, each declared once: where a constructor takes it.

:func:`hyperparameters` makes a class check what it is given. Everything else that speaks of
hyper-parameters reads the same declarations through :func:`parameters_of`: the registry, the
command line, the tables of the documentation, and the tests with hostile values.
"""

from __future__ import annotations

import difflib
import inspect
import textwrap
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial, wraps
from inspect import Parameter as Argument
from types import SimpleNamespace
from typing import (
    Annotated,
    Any,
    ClassVar,
    TypeVar,
    Unpack,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from cl_strategies.errors import UserError
from cl_strategies.validation.parameter import Alias, Default, Parameter

Target = TypeVar("Target", bound=Callable[..., Any])

_VARIABLE = (Argument.VAR_POSITIONAL, Argument.VAR_KEYWORD)


def parameters_of(target: Callable[..., Any]) -> Mapping[str, Parameter]:
    """Return the arguments of a function or a constructor, by name.

    Where a constructor passes ``**options`` on, they are those of its ``parts`` (classes or
    functions that it hands some of them to) and those of the class that it extends. A function that
    takes ``**options: Unpack[Group]`` has the arguments of that ``TypedDict``, too. What is
    positional-only, such as a network to wrap, is no hyper-parameter. One whose older name a
    derived class takes for an argument of its own is hidden, as one of the same name is.
    """
    return _declared(target) if isinstance(target, Hashable) else _declared.__wrapped__(target)


@cache
def _declared(target: Callable[..., Any]) -> Mapping[str, Parameter]:
    return {
        argument.name: Parameter(argument.name, _annotation(argument), argument.default)
        for argument in _arguments(target)
        if argument.kind is not Argument.POSITIONAL_ONLY
    }


@overload
def hyperparameters(target: Target) -> Target: ...
@overload
def hyperparameters(*, parts: tuple[Callable[..., Any], ...]) -> Callable[[Target], Target]: ...
def hyperparameters(target: Any = None, *, parts: tuple[Callable[..., Any], ...] = ()) -> Any:
    """Let a class or a function check its arguments, understand aliases, and document both.

    Arguments are checked before the constructor runs. The signature and the docstring get what
    :func:`parameters_of` finds. A function that takes ``**options: Unpack[Group]`` receives every
    option of the group: those that are not given have the :class:`Default` that the group declares.

    :param parts: what a function hands its ``**options`` to; a class has an attribute of that name.
    :raises UserError: from the decorated constructor, for a value that its declaration refuses.
    """
    if target is None:
        return partial(hyperparameters, parts=parts)
    if inspect.isclass(target):
        checked: Any = target
        checked.__init__ = _checked(checked.__init__, target)
        plain = inspect.Signature()
    else:
        target.parts = parts
        checked = _checked(target, target)
        plain = inspect.signature(target)
    arguments = [a.replace(annotation=_type(a.annotation)) for a in _arguments(target)]
    checked.__signature__ = plain.replace(parameters=arguments)
    return documented(checked)


def documented(target: Target) -> Target:
    """Add what the arguments of a class or a function declare to its docstring."""
    described = [parameter_line(p) for p in parameters_of(target).values() if p.meaning]
    if described and inspect.getdoc(target):
        target.__doc__ = "\n".join([inspect.getdoc(target) or "", "", *described])
    return target


def check_fields(config: Any, table: str) -> None:
    """Check every field of a frozen dataclass against its declaration.

    :param table: what a configuration file calls the dataclass.
    :raises UserError: for a value that its declaration refuses.
    """
    for name, parameter in parameters_of(cast(Any, type(config))).items():
        object.__setattr__(config, name, parameter.check(getattr(config, name), table))


@dataclass(frozen=True, kw_only=True)
class OptionGroup:
    """Hyper-parameters that several classes take together, checked when they are put together.

    A group is a frozen dataclass, and one of the ``parts`` of the classes that take it.
    """

    #: Table of a configuration that messages name the fields by, or nothing.
    table: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check_fields(self, self.table)


def build_part(part: Callable[..., Any], options: dict[str, Any], *given: Any) -> Any:
    """Call ``part`` with those of ``options`` that are its own, and take them out.

    :param given: the positional-only arguments of ``part``, such as the network that it changes.
    """
    return part(*given, **take_options(part, options))


def take_options(part: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Take those out of ``options`` that are arguments of ``part``, and return them."""
    known = parameters_of(part)
    names = {*known, *(alias for p in known.values() for alias in p.aliases)}
    return {name: options.pop(name) for name in list(options) if name in names}


def _present_names(target: Callable[..., Any]) -> Mapping[str, str]:
    return {a: name for name, p in parameters_of(target).items() for a in p.aliases}


def refuse_unknown(target: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that are left when each part has taken its own.

    :raises TypeError: if there are any, with the nearest name.
    """
    for name in options:
        near = difflib.get_close_matches(name, parameters_of(target), n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{target.__name__}() has no argument {name!r}{hint}")


def resolve_aliases(target: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``given`` with the present name in place of each alias.

    :raises UserError: if an argument is given under two names.
    """
    present = _present_names(target)
    resolved: dict[str, Any] = {}
    for name, value in given.items():
        new = present.get(name, name)
        if new in resolved or (new != name and new in given):
            raise UserError(f"{new} is given twice, also as {name}, its older name: give {new}")
        resolved[new] = value
    return resolved


def parameter_line(parameter: Parameter) -> str:
    """Return the ``:param`` field of a docstring."""
    details = [parameter.equation, parameter.values]
    if parameter.unit:
        details.append(f"in {parameter.unit}")
    if parameter.default is not Argument.empty:
        details.append(f"default {parameter.default!r}")
    in_brackets = "; ".join(filter(None, details))
    text = f":param {parameter.name}: {parameter.meaning.rstrip('.')} ({in_brackets})."
    return textwrap.fill(text, 96, subsequent_indent="    ", break_long_words=False)


def _checked(function: Callable[..., Any], target: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` behind a check of the arguments that ``target`` declares."""
    own = [] if inspect.isclass(target) else _own(target)
    groups = [a for a in own if get_origin(a.annotation) is Unpack]
    members = [member for group in groups for member in _members(group)]
    defaults = {m.name: m.default for m in members if m.default is not Argument.empty}

    @wraps(function)
    def checked(*args: Any, **given: Any) -> Any:
        known = parameters_of(target)
        if len(args) == 2 and (first := getattr(target, "first_by_position", "")) in known:
            _warn_of_position(target, first)
            itself, value = args
            args, given = (itself,), {first: value, **given}
        resolved = {**defaults, **resolve_aliases(target, given)}
        if groups and (unknown := [name for name in resolved if name not in known]):
            raise TypeError(f"{target.__name__}() has no argument {unknown[0]!r}")
        return function(
            *args,
            **{name: known[name].check(v) if name in known else v for name, v in resolved.items()},
        )

    return checked


def _warn_of_position(target: Callable[..., Any], name: str) -> None:
    warnings.warn(
        f"{target.__name__} takes its options by name: write {name}=... (without the name, as in "
        "version 0.1.0, it will be an error in the next version)",
        FutureWarning,
        stacklevel=3,
    )


def _arguments(target: Callable[..., Any]) -> Iterator[Argument]:
    """Return the arguments with their annotations evaluated; those of a class by name where they
    can."""
    seen: set[str] = set()
    if not inspect.isclass(target):
        own = _own(target)
        yield from (a for a in own if a.kind not in _VARIABLE)
        yield from (member for a in own if a.kind in _VARIABLE for member in _members(a))
        for part in getattr(target, "parts", ()):
            yield from _new(seen, _arguments(part))
        return
    for level in target.__mro__:
        init = level.__dict__.get("__init__")
        if init is not None:
            found = _own(init, level)[1:]
            yield from _new(seen, (a for a in found if a.kind not in _VARIABLE))
        for part in level.__dict__.get("parts", ()):
            options = (a for a in _arguments(part) if a.kind is not Argument.POSITIONAL_ONLY)
            yield from _new(seen, options)
        if init is not None and not any(a.kind is Argument.VAR_KEYWORD for a in found):
            return


def _new(seen: set[str], arguments: Iterator[Argument]) -> Iterator[Argument]:
    for argument in arguments:
        marks = getattr(argument.annotation, "__metadata__", ())
        if seen.isdisjoint({argument.name, *(m.name for m in marks if isinstance(m, Alias))}):
            seen.add(argument.name)
            positional = argument.kind is Argument.POSITIONAL_ONLY
            yield argument if positional else argument.replace(kind=Argument.KEYWORD_ONLY)


def _members(argument: Argument) -> Iterator[Argument]:
    """Return the arguments of a group, which a function takes as ``**options: Unpack[Group]``."""
    if get_origin(argument.annotation) is not Unpack:
        return
    (group,) = get_args(argument.annotation)
    for name, annotation in get_type_hints(group, include_extras=True).items():
        marks = getattr(annotation, "__metadata__", ())
        default = next((m.value for m in marks if isinstance(m, Default)), Argument.empty)
        yield Argument(name, Argument.KEYWORD_ONLY, default=default, annotation=annotation)


def _type(annotation: Any) -> Any:
    """Return the type alone, as a reader of a signature wants it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _annotation(argument: Argument) -> Any:
    """Return the declaration of an argument; the type of its default where there is none."""
    kind = type(argument.default)
    if argument.annotation is not Argument.empty and not isinstance(argument.annotation, str):
        return argument.annotation
    return {bool: bool, int: int, float: float, str: str}.get(kind, Any)


def _own(function: Any, owner: Any = None) -> list[Argument]:
    function = inspect.unwrap(function)
    hints: dict[str, Any] = {}
    # A dataclass inherits fields whose annotations hold in the module of the class they are from.
    if "__dataclass_fields__" in vars(owner or object):
        with suppress(Exception):  # of a third party, with names that only a type checker can see
            hints = get_type_hints(owner, include_extras=True)
    try:
        signature = inspect.signature(function)
    except ValueError:  # compiled code need not have one: no options are known
        return []
    return [
        a.replace(annotation=hints.get(a.name) or _evaluated(a.annotation, function))
        for a in signature.parameters.values()
    ]


def _evaluated(annotation: Any, function: Any) -> Any:
    """Return ``annotation``, evaluated if it is a string."""
    if annotation is Argument.empty:
        return annotation
    names = getattr(function, "__globals__", {})
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return get_type_hints(holder, names, include_extras=True)["it"]
    except Exception:  # of a third party, or with names that only a type checker can see
        return annotation
