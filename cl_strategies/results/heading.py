"""What a comparison is called, and what asked for it: ``suite.json`` beside its runs, so that any
later report says it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import write_text
from cl_strategies.io.bounded import read_regular
from cl_strategies.results.json_text import decoded, json_lines

FILE = "suite.json"
_MOST_BYTES = 100_000


@dataclass(frozen=True)
class Origin:
    """What asked for a comparison.

    :param suite: file or name of the suite; ``""`` for benchmarks and strategies by their names.
    :param settings: what was set for all runs, by ``table.key``.
    """

    suite: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def tune_command(self, benchmark: str, strategies: Sequence[str]) -> str:
        """Return the command that tunes ``strategies`` on ``benchmark`` as they are compared, but
        for the strength, which it varies."""
        words = ["cl-strategies", "tune", *([self.suite] if self.suite else [])]
        words += ["--benchmark", benchmark, "--strategies", ",".join(strategies)]
        for key, value in self.settings.items():
            if key == "strategy.strength":
                continue
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["--set", f"{key}={text}"]
        return shlex.join(words)


def write_heading(
    folder: Path | str, name: str, title: str = "", origin: Origin | None = None
) -> None:
    """Keep the name of a suite, and its title, beside the runs; those of the last suite stay.

    :param title: what it compares, in one line; ``""``: its name says it.
    :param origin: what asked for it.
    :raises UserError: if ``folder`` cannot be written to.
    """
    content: dict[str, Any] = {"name": name, "title": title}
    if origin is not None:
        content["origin"] = {"suite": origin.suite, "settings": dict(origin.settings)}
    write_text(Path(folder) / FILE, json_lines(content))


def read_heading(folder: Path | str) -> str:
    """Return the title of the suite, or its name where it has none; ``""`` without a file.

    :raises UserError: if the file is there and is damaged.
    """
    content = _content(folder)
    return str(content["title"] or content["name"]) if content else ""


def read_origin(folder: Path | str) -> Origin | None:
    """Return what asked for the comparison; ``None`` if nobody has written it down.

    :raises UserError: if the file is there and is damaged.
    """
    origin = _content(folder).get("origin")
    return None if origin is None else Origin(origin["suite"], origin["settings"])


def _content(folder: Path | str) -> dict[str, Any]:
    path = Path(folder) / FILE
    try:
        content = decoded(read_regular(path, _MOST_BYTES))
        origin = content.get("origin", {"suite": "", "settings": {}})
        texts = [content["title"], content["name"], origin["suite"]]
        texts += [part for pair in origin["settings"].items() for part in map(_text, pair)]
        if not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise ValueError("it holds no name and title")
        return dict(content)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it") from error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
