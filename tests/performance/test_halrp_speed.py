"""HALRP's limits of time, measured; run by ``make bench``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("halrp-svd", "halrp-evaluation", "halrp-step")


@pytest.fixture(scope="session")
def rows() -> dict[str, dict]:
    """Every case by name, measured in one fresh process."""
    script = Path(__file__).with_name("halrp_cases.py")
    command = [sys.executable, str(script), "--json"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return {row["name"]: row for row in json.loads(result.stdout)}


def test_every_case_is_measured(rows: dict[str, dict]) -> None:
    assert tuple(rows) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_no_longer_than_its_limit(rows: dict[str, dict], name: str) -> None:
    assert rows[name]["ratio"] <= rows[name]["most"]
