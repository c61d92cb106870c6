"""Code that no package registers: ``module:attribute`` in the place of a registered name.

A module is imported as Python does it. One that is not found so is looked for in the folder of
the configuration that names it (:func:`look_in`), then in the current folder; that folder is then
at the end of ``sys.path``, where it hides no other module.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.errors.boundary import Boundary
from cl_strategies.errors.failure import Failure
from cl_strategies.validation.hyperparameters import parameters_of
from cl_strategies.validation.plain_data import shown

#: Folders of configurations, the last one read first.
_FOLDERS: list[str] = []


def is_reference(name: Any) -> bool:
    """Return whether ``name`` is a ``module:attribute``."""
    return isinstance(name, str) and ":" in name


def is_loaded(name: Any) -> bool:
    """Return whether ``name`` is a ``module:attribute`` of a module that is imported."""
    return is_reference(name) and name.partition(":")[0] in sys.modules


def look_in(folder: str | os.PathLike[str]) -> None:
    """Look for modules in ``folder``, too, before the folders that were given earlier."""
    place = os.path.abspath(folder)
    if place in _FOLDERS:
        _FOLDERS.remove(place)
    _FOLDERS.insert(0, place)


def find(reference: str) -> Any:
    """Return what ``module:attribute`` names.

    :raises UserError: if there is no such module or attribute, if the module cannot be imported,
        or if another one of its name is found before the one that is meant.
    """
    module, _, attribute = reference.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise UserError(
            f"{reference!r} is no module:attribute: write the name of a module as in an import, a "
            "colon, and a name in it, such as my_method:MyMethod"
        )
    found = _imported(module)
    for part in attribute.split("."):
        try:
            with Boundary():
                found = getattr(found, part)
        except Failure as error:
            names = vars(found) if inspect.ismodule(found) else ()
            known = [n for n in names if not n.startswith("_") and callable(vars(found)[n])]
            what = f"attribute of {module}"
            raise unknown_name(what, attribute, known or ["(nothing to call)"]) from error
    return found


def _imported(module: str) -> Any:
    place = _place_of(module.partition(".")[0])
    if module not in sys.modules and place is not None and place not in sys.path:
        sys.path.append(place)
        importlib.invalidate_caches()
    try:
        with Boundary():
            found = importlib.import_module(module)
    except (Failure, UserError) as error:
        if _is_missing(module):
            raise UserError(
                f"no module {module!r}: it is looked for where Python imports from, in the folder "
                f"of the configuration and in the current folder ({os.getcwd()}); install it, or "
                "put it there"
            ) from error
        raise UserError(f"{module} cannot be imported ({error}): mend it") from error
    file = getattr(found, "__file__", None)
    if place is not None and file is not None and not _is_below(file, place):
        raise UserError(
            f"{module} is {file}, not the one in {place}: give your module a name of its own, or "
            "start a new process if both are yours"
        )
    return found


def _is_missing(module: str) -> bool:
    """Return whether there is no such module, rather than one that fails."""
    try:
        return importlib.util.find_spec(module) is None
    except ModuleNotFoundError as error:
        return error.name is not None and f"{module}.".startswith(f"{error.name}.")
    except BaseException:  # what the package above it raises is its own
        return False


def _place_of(top: str) -> str | None:
    """Return the first folder, of configurations or the current one, with a module ``top``."""
    for place in (*_FOLDERS, os.getcwd()):
        if Path(place, f"{top}.py").is_file() or Path(place, top, "__init__.py").is_file():
            return place
    return None


def _is_below(file: str, place: str) -> bool:
    return Path(os.path.realpath(place)) in Path(os.path.realpath(file)).parents


def takes_any(factory: Any, names: frozenset[str]) -> bool:
    """Return whether a class or function takes any of ``names``; ``True`` if it does not say."""
    if names & parameters_of(factory).keys():
        return True
    try:
        arguments = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(argument.kind is argument.VAR_KEYWORD for argument in arguments)


def reference_to(thing: Any, what: str) -> dict[str, Any]:
    """Return a class or function as a table with its ``name``, ``module:attribute``.

    :param thing: a name, a table with a name, a class or a function; ``functools.partial`` of one
        gives options.
    :param what: in words, such as ``"strategy"``.
    :raises UserError: if another process could not find ``thing`` again by a name.
    """
    if isinstance(thing, str):
        return {"name": thing}
    if isinstance(thing, Mapping):
        own = reference_to(thing.get("name"), what)
        return {**own, **{key: value for key, value in thing.items() if key != "name"}}
    if isinstance(thing, functools.partial):
        if thing.args:
            raise UserError(f"the {what} {shown(thing)}: give its options by name")
        return {**reference_to(thing.func, what), **thing.keywords}
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        raise UserError(
            f"the {what} is {shown(thing)}: give a name, or a class or function that makes one. "
            "Each run makes its own, so that an object that is made already serves none"
        )
    reference = f"{thing.__module__}:{thing.__qualname__}"
    found: Any = sys.modules.get(thing.__module__)
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not thing:
        raise UserError(
            f"the {what} {reference} cannot be found again by this name, as each run finds it, "
            "also in another process: define it at the top of a module, under its own name; "
            "options go into functools.partial, not into a function around it"
        )
    return {"name": reference}


def is_main(reference: str) -> bool:
    """Return whether it is in the script that was started, or was typed."""
    return reference.startswith("__main__:")


def is_typed(reference: str) -> bool:
    """Return whether it was typed at a prompt or in a notebook, where no other process finds
    it."""
    main = sys.modules.get("__main__")
    return is_main(reference) and getattr(main, "__file__", None) is None
