"""What a comparison is called: ``suite.json`` beside its runs, so that any later report says it."""

from __future__ import annotations

from pathlib import Path

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import write_text
from cl_strategies.io.bounded import read_regular
from cl_strategies.results.json_text import decoded, json_lines

FILE = "suite.json"
_MOST_BYTES = 100_000


def write_heading(folder: Path | str, name: str, title: str = "") -> None:
    """Keep the name of a suite, and its title, beside the runs; those of the last suite stay.

    :param title: what it compares, in one line; ``""``: its name says it.
    :raises UserError: if ``folder`` cannot be written to.
    """
    write_text(Path(folder) / FILE, json_lines({"name": name, "title": title}))


def read_heading(folder: Path | str) -> str:
    """Return the title of the suite, or its name where it has none; ``""`` without a file.

    :raises UserError: if the file is there and is damaged.
    """
    path = Path(folder) / FILE
    try:
        content = decoded(read_regular(path, _MOST_BYTES))
        texts = [content["title"], content["name"]]
        if not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise ValueError("it holds no name and title")
        return str(texts[0] or texts[1])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it") from error
