"""A parser whose commands answer for their own options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from cl_strategies.errors import unknown_name


class CommandParser(argparse.ArgumentParser):
    """Answers a wrong option or choice under the usage of the command that it was given to, with
    the nearest names; :mod:`argparse` lets a command pass on what it does not know, and the whole
    answers with its own usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        namespace, left = super().parse_known_args(args, namespace)
        if left:
            self.error(self._unknown(left))
        return namespace, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            what = str(action.metavar or action.dest).lower()
            raise argparse.ArgumentError(None, str(unknown_name(what, value, action.choices)))

    def _unknown(self, left: Sequence[str]) -> str:
        options = [text.partition("=")[0] for text in left if text.startswith("-")]
        if not options:
            return f"nothing is known to do with {' '.join(left)}: leave it out"
        known = [name for name in self._option_string_actions if name.startswith("--")]
        answer = str(unknown_name("option", options[0], known))
        if "--set" not in known:
            return answer
        table, dot, key = options[0].lstrip("-").replace("-", "_").rpartition(".")
        if dot:
            return f"unknown option {options[0]!r}: write --set {table}.{key}=VALUE"
        return f"{answer} What `show` and `run.toml` have is set by --set benchmark.{key}=VALUE or \
strategy.{key}=VALUE, model., train. or run."
