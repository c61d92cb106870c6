"""The worked examples, and how a result is compared with one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def examples() -> dict[str, Any]:
    """The worked examples by name, each with ``input`` and ``expected``."""
    path = ROOT / "tests" / "golden" / "evaluation" / "examples.json"
    return json.loads(path.read_text())["examples"]


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Compare the keys of ``expected`` with a result; ``None`` is NaN."""

    def compare(found: Mapping[str, Any], expected: Mapping[str, Any], atol: float = 1e-9) -> None:
        assert expected
        for key, value in expected.items():
            got, want = np.array(found[key], dtype=float), np.array(value, dtype=float)
            np.testing.assert_allclose(got, want, rtol=0, atol=atol, err_msg=key)

    return compare
