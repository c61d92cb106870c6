"""The speed benchmark still runs and proves what it claims (its timings are for make bench)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "performance" / "run.py"


@pytest.mark.slow
def test_the_benchmark_proves_equal_results_and_writes_its_report(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path)]
    subprocess.run([*command, "--images", "1200", "--rounds", "1", "--threads", "1"], check=True)
    content = json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))
    proofs = {row["name"]: row["largest difference"] for row in content["cases"]}
    assert proofs["naive"] == {"raw loop": 0.0, "Avalanche": 0.0}
    assert proofs["metrics"] == {"raw loop": 0.0, "Avalanche": 0.0}
    assert proofs["replay"] == {"Avalanche": 0.0}
    assert proofs["si"]["SIPlugin on Avalanche's loader"] == 0.0
    assert proofs["si"]["hand-written SI"] < 1e-6
    assert "| Naive |" in (tmp_path / "performance.md").read_text(encoding="utf-8")
    for figure in ("performance.png", "performance.svg"):
        assert (tmp_path / figure).stat().st_size > 5000
