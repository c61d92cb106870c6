"""Input that no one would write: never a traceback, always 0, 1 or 2 and a message."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.registry import registry

RELAXED = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


def cases(few: int, many: int) -> Any:
    """``few`` cases in every run of the tests, ``many`` in the long one."""

    def decorate(test: Any) -> list[Any]:
        return settings(max_examples=few, **RELAXED)(test)

    return decorate


@pytest.fixture(scope="module", autouse=True)
def nothing_is_trained(tmp_path_factory):
    """Runs end where training would begin, in a folder of their own."""
    from cl_strategies.experiment import checks, executors, runner

    def stopped(config, out, **options):
        checks.check_configs([config])
        raise UserError("stopped before training")

    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run", stopped)
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        patch.delenv("CL_STRATEGIES_DATA", raising=False)
        yield folder


def outcome(arguments: list[str]) -> tuple[int, str]:
    """Exit code and what was said; an exception is a failure of the test."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    said = out.getvalue() + error.getvalue()
    assert code in (0, 1, 2), (code, arguments)
    assert said.strip(), arguments
    assert code == 0 or error.getvalue().strip(), arguments
    assert "Traceback (most" not in said, said
    return code, said
