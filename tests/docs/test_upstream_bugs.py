"""What is worked around upstream is still broken there; one that fails has been mended."""

from __future__ import annotations

import re

import pytest
from pages import ROOT

PAGE = (ROOT / "docs" / "upstream-bugs.md").read_text(encoding="utf-8")
SECTION = re.compile(
    r"## (.+?)\n(?:(?!\n## ).)*?```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL
)
BUGS = {title: (script, printed) for title, script, printed in SECTION.findall(PAGE)}


def test_every_script_of_the_page_is_run():
    assert len(BUGS) == PAGE.count("```python\n") >= 20
    assert PAGE.count("\nHere: ") == PAGE.count("\n## ") == len(BUGS) + 1


@pytest.mark.parametrize("title", BUGS)
@pytest.mark.filterwarnings("ignore")
def test_a_bug_is_still_there(title, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script, printed = BUGS[title]
    exec(compile(script, title, "exec"), {"__name__": "reproduction"})
    found = capsys.readouterr().out
    assert found.strip() == printed.strip(), f"mended upstream? See {title} in upstream-bugs.md"
