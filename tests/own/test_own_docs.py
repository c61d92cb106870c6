"""The pages on own methods and on reading results: every block runs, from an empty folder."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from cl_strategies.cli import main

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.\w+)\n")
#: What makes the runs of a page cheap.
SMALL = ["--set", "benchmark.fraction=0.3", "--set", "benchmark.n_experiences=2"]
SMALL += ["--set", "model.hidden=[8]"]


def commands(text):
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("cl-strategies")]


def do(arguments):
    """Run a command as the page has it, with small runs, in this process."""
    if arguments[0] == "compare":
        arguments = [*arguments, "--executor", "serial"]
    if arguments[0] in {"compare", "run"}:
        own = any(text.startswith("model.name=") for text in arguments)
        arguments = [*arguments, *(SMALL[:4] if own else SMALL)]
    assert main(arguments) == 0, arguments


def script(text, name):
    """Run a script as ``python name`` does, its runs small and in this process."""
    text = text.replace('out="results"', 'out="results", executor_name="serial"')
    small = '{"benchmark.fraction": 0.3, "benchmark.n_experiences": 2, "model.hidden": [8], '
    text = text.replace("settings={", f"settings={small}")
    exec(compile(text, name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", ["own-method", "reading-results"])
def test_every_block_runs(page, empty_folder, undrawn, capsys):
    done = 0
    for kind, text in BLOCK.findall((DOCS / f"{page}.md").read_text()):
        named = FILE.match(text)
        if named:
            (empty_folder / named[1]).write_text(text)
        if kind == "python" and (not named or "__main__" in text):
            sys.path.insert(0, str(empty_folder))  # as Python does for a script
            script(text, named[1] if named else page)
            sys.path.remove(str(empty_folder))
            done += 1
        for arguments in commands(text) if kind == "" else []:
            do(arguments)
            done += 1
    assert done >= 4
    assert "None" not in capsys.readouterr().err


def test_the_package_in_the_page_is_the_one_that_is_written(empty_folder, capsys):
    main(["new", "method", "my-method"])
    point = BLOCK.search((DOCS / "own-method.md").read_text().split("entry point:")[1])[2]
    assert point in (empty_folder / "my-method" / "pyproject.toml").read_text()
