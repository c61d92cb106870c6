"""What the fuzz tests share: how a command is judged, and words that are nearly right."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from cl_strategies.cli import main
from cl_strategies.registry import registry

RELAXED = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


def cases(amount: int) -> Any:
    return settings(max_examples=amount, **RELAXED)


def outcome(arguments: list[str]) -> tuple[int, str]:
    """Exit code and what was said; an exception is a failure of the test."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    said = out.getvalue() + error.getvalue()
    assert code in (0, 2), (code, arguments)
    assert said.strip(), arguments
    assert code == 0 or error.getvalue().strip(), arguments
    assert "Traceback (most" not in said, said
    return code, said


WORDS = [
    *(entry.name for kind in ("strategies", "benchmarks", "models") for entry in registry(kind)),
    *("name", "epochs", "lr", "seed", "device", "optimizer", "sgd", "auto", "cuda", "fraction"),
    *("order", "n_experiences", "data_root", "hidden", "c", "suite", "seeds", "orders", "..", "~"),
    *("../../etc/passwd", "/", "/dev/null", "\x00", "a" * 300, "<script>", "'", "--", "", "ü", "∞"),
]
TEXT = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
NUMBERS = st.one_of(
    st.integers(-3, 12), st.sampled_from([2**31, 2**63 - 1, -(2**63), 10**400]), st.floats(width=32)
)
PLAIN = st.recursive(
    st.one_of(st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)
#: Options that decide how much is computed stay small: a large stream is no error.

FEW, MANY = 8, 2000
AMOUNTS = pytest.mark.parametrize("amount", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
