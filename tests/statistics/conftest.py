"""Worked examples of the definitions, with their expected values."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "evaluation" / "examples.json"
EXAMPLES = json.loads(GOLDEN.read_text())["examples"]


@pytest.fixture
def example():
    """Return the inputs and the expected values of an example by its name."""
    return lambda name: (EXAMPLES[name]["input"], EXAMPLES[name]["expected"])
