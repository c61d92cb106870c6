"""Names of folders, options and messages that are meant to be read as HTML, or by a terminal."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from cl_strategies.cli import main
from cl_strategies.results.checksum import sealed

TAG = "<script>alert(1)</script>"
ATTRIBUTE = "\" onmouseover='alert(1)' x=\""
HOSTILE = f"{ATTRIBUTE}{TAG}<img src=x onerror=alert(2)>".replace("/", "\u2215")  # a folder's name
MARK = "alert("


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.values, self.text = set(), set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.values += [value or "" for name, value in attributes if name in ("href", "src")]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def finished(tmp_path_factory, command):
    """A comparison in whose every file and name someone has put something."""
    folder = tmp_path_factory.mktemp("hostile")
    out, data = folder / HOSTILE, folder / f"data {HOSTILE}"
    data.mkdir()

    def failing(*arguments, **options):
        raise RuntimeError(f"{HOSTILE}{TAG}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cl_strategies.strategies.SI.train", failing)
        more = ("--executor", "serial", "--data-root", str(data))
        assert main(command(out, *more)) == 1
    runs = out / "runs"
    finished = next(path for path in runs.iterdir() if path.name.startswith("replay-"))
    shutil.copytree(finished, runs / f"copy {HOSTILE}")
    (runs / f"copy {HOSTILE}" / "result.json").write_text(f'{{"schema": "{TAG}"}}')
    (runs / f"empty {HOSTILE}").mkdir()
    environment = {"device": HOSTILE, TAG: TAG, "packages": {TAG: HOSTILE}}
    (finished / "environment.json").write_text(json.dumps(sealed(environment)))
    assert main(["report", str(out)]) == 0
    return out


@pytest.fixture
def reported(finished, tmp_path):
    """A copy to change."""
    return shutil.copytree(finished, tmp_path / HOSTILE)


def test_the_page_shows_hostile_names_as_text(finished):
    text = (finished / "report.html").read_text()
    page = Page(text)
    assert text.count("<script") == 1 and "img" not in page.tags  # the page's own
    assert not [name for name in page.attributes if name.startswith("on")]
    assert not [value for value in page.values if not value.startswith("#")]
    for place in (f"copy {HOSTILE}", f"empty {HOSTILE}", f"RuntimeError: {HOSTILE}"):
        assert place in page.text, place


def test_the_markdown_shows_hostile_names_as_text(finished):
    text = (finished / "report.md").read_text()
    assert MARK in text
    assert not re.search(r"<(?!br>)[a-z!/]", text)


def test_a_terminal_is_not_commanded(reported, capsys):
    """Escape sequences can retitle, overwrite and, in old terminals, type."""
    run = next((reported / "runs").glob("replay-*"))
    evil = run.with_name("evil\x1b]0;title\x07\x1b[2J\u202e\udcff")
    shutil.copytree(run, evil)
    (evil / "result.json").write_text("{")
    capsys.readouterr()
    assert main(["report", str(reported)]) == 0
    (reported / "report.html").read_bytes().decode("utf-8")
    said = "".join(capsys.readouterr())
    assert "evil" in said
    assert not [c for c in said if not c.isprintable() and c not in "\n"]


@pytest.mark.parametrize("text", ["\\ud800", "\\udcff\\udcff"])
def test_half_a_character_in_a_result_is_damage(reported, text, capsys):
    result = next((reported / "runs").glob("replay-*")) / "result.json"
    result.write_text(result.read_text().replace("class", text))
    assert main(["report", str(reported)]) == 0
    assert f"{result}: not a JSON file" in capsys.readouterr().err


def test_options_that_cannot_be_written_down_are_refused(tmp_path, command, capsys):
    for name in ("\udcff", "a\x1b[2J", "\u202e"):
        (tmp_path / name).mkdir()
        assert main(command(tmp_path / "out", "--data-root", str(tmp_path / name))) == 2
        assert "give text that can be printed" in capsys.readouterr().err
