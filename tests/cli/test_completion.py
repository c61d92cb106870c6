"""Shells complete commands, options and names, if argcomplete is installed."""

import pytest

from cl_strategies.cli.completion import add_completers, complete
from cl_strategies.cli.parser import make_parser


@pytest.mark.parametrize(
    ("words", "prefix", "expected"),
    [
        ([], "comp", ["compare"]),
        (["run"], "--strat", ["--strategy", "--strategies"]),
        (["run", "--strategy"], "alas", ["alasso"]),
        (["compare", "--strategies"], "naive,alas", ["naive,alasso"]),
        (["compare", "--benchmark"], "permuted-di", ["permuted-digits"]),
        (["compare"], "quick", ["quickstart"]),
        (["recipes", "run"], "quick", ["quickstart"]),
        (["show"], "codecs/jp", ["codecs/jpeg"]),
        (["list"], "rec", ["recipes"]),
    ],
)
def test_what_is_begun_is_completed(words, prefix, expected):
    argcomplete = pytest.importorskip("argcomplete")
    parser = make_parser()
    add_completers(parser)
    finder = argcomplete.CompletionFinder(parser, always_complete_options="long")
    found = finder._get_completions(["cl-strategies", *words], prefix, "", None)
    assert [text.strip() for text in found] == expected


def test_nothing_happens_unless_a_shell_asks(monkeypatch):
    monkeypatch.delenv("_ARGCOMPLETE", raising=False)
    parser = make_parser()
    complete(parser)
    assert not any(hasattr(action, "completer") for action in parser._actions)
