"""The scripts of docs/, as modules."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

DOCS = str(Path(__file__).resolve().parents[2] / "docs")


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [DOCS, *sys.path])
