"""What ``mkdocs build`` adds to the pages in this folder: the API reference, and every method in
the navigation.
"""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

from cl_strategies.registry import registry

DOCS = Path(__file__).resolve().parent
API = runpy.run_path(str(DOCS / "api_pages.py"))
_scratch = tempfile.TemporaryDirectory(prefix="cl-strategies-docs-")


def one_tree() -> str:
    """A folder in which the four folders of the package lie as they do when it is installed."""
    package = Path(_scratch.name) / "cl_strategies"
    if not package.exists():
        package.mkdir()
        for path in (DOCS.parent / "cl_strategies").iterdir():
            (package / path.name).symlink_to(path)
        for name in set(API["FOLDERS"]) - {"cl_strategies"}:
            (package / name).symlink_to(DOCS.parent / name)
    return _scratch.name


@event_priority(100)  # before mkdocstrings reads its own
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the sections of the navigation that are made, and say where the package is."""
    methods = [{entry.name: f"methods/{entry.name}.md"} for entry in registry("strategies")]
    reference = [{path[4:-3].removeprefix("cl_strategies."): path} for path in API["pages"]()]
    for section in config.nav or []:
        for title, items in section.items():
            if title == "Methods":
                items.extend(methods)
            elif title == "API reference":
                items.extend(reference)
    handlers: dict[str, Any] = config.plugins["mkdocstrings"].config["handlers"]
    handlers["python"]["paths"] = [one_tree()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the API reference."""
    for path, text in API["pages"]().items():
        files.append(File.generated(config, path, content=text))
    return files
