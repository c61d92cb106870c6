"""The files of a package that brings one method."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from importlib import resources
from pathlib import Path
from string import Template

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import write_text
from cl_strategies.registry import registry
from cl_strategies.validation.plain_data import shown

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 50


def new_method(name: str, folder: str | Path | None = None) -> list[Path]:
    """Write a package with a strategy that works and can be changed into another one.

    :param name: of the strategy and of the package, in small letters with hyphens.
    :param folder: where it goes; a folder of that name in the current one, if not given.
    :returns: the files.
    :raises UserError: for a name that is none or is taken, or if a file is there already.
    """
    module = _checked(name)
    place = Path(name if folder is None else folder)
    words = {
        "name": name,
        "module": module,
        "cls": "".join(word.capitalize() for word in name.split("-")),
        "title": name.replace("-", " ").capitalize(),
    }
    templates = resources.files("cl_strategies.scaffold") / "templates"
    texts = {
        place / file.name.removesuffix(".template").replace("method", module): Template(
            file.read_text(encoding="utf-8")
        ).substitute(words)
        for file in sorted(templates.iterdir(), key=lambda file: file.name)
    }
    if place.exists() and not place.is_dir():
        raise UserError(f"{place} is a file: give another folder with --folder")
    if there := [path for path in texts if path.exists()]:
        raise UserError(f"{there[0]} is there already: give another folder with --folder")
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _checked(name: str) -> str:
    """Return the name of the module.

    :raises UserError: if ``name`` cannot be that of a strategy, or is taken.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UserError(
            f"the name of the method is {shown(name)}: give small letters and digits, with hyphens "
            f"between words, at most {_LONGEST}, such as my-method"
        )
    if name in registry("strategies"):
        raise UserError(f"there is a strategy {name} already: give yours another name")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise UserError(f"{module} is a word or a module of Python: give the method another name")
    if importlib.util.find_spec(module) is not None:
        raise UserError(f"there is a Python module {module} already: give yours another name")
    return module
