"""Publish a report, in the tree that computed its runs: ``python docs/publish.py results NAME``.

``reports/published/NAME`` gets the report of the folder ``results``, the tuning's table
(``--tuning FOLDER``) and ``origin.json``: the command, processor hours, processor, and the
fingerprint of the code of each part (:mod:`method_code`), by which a test finds reports that the
tree has outgrown.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from method_code import fingerprints, parts_of

from cl_strategies.errors import UserError
from cl_strategies.experiment.identity.suppliers import OWN, describe
from cl_strategies.reports import write_report

PUBLISHED = Path(__file__).resolve().parents[1] / "reports" / "published"
FILES = ("report.html", "report.md", "summary.csv", "summary.json")


def publish(results: Path, name: str, tuning: Path | None) -> Path:
    """Write the report of ``results`` to ``reports/published/name``.

    :raises UserError: if a run is unfinished, or was computed by other code than this tree's.
    """
    write_report(results)
    summary = json.loads((results / "summary.json").read_text())
    if summary["unfinished"] or summary["damaged"]:
        raise UserError(f"{results} has unfinished or damaged runs: finish them first")
    runs = summary["runs"]
    check_code(runs)
    folder = PUBLISHED / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copy(results / file, folder / file)
    if tuning is not None:
        shutil.copy(tuning / "tuning.csv", folder / "tuning.csv")
    (folder / "origin.json").write_text(json.dumps(origin(runs, name), indent=1) + "\n")
    return folder


def check_code(runs: list[dict[str, Any]]) -> None:
    """:raises UserError: if a run was computed by other code than this tree's."""
    here = describe([])[OWN]
    others = {run["identity"]["packages"].get(OWN) for run in runs} - {here}
    if others:
        raise UserError(f"runs were computed by {sorted(map(str, others))}, here is {here}")


def origin(runs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """What the report was made of, for ``origin.json``."""
    seconds = sum(sum(map(sum, run["seconds"].values())) for run in runs)
    parts = set().union(*(parts_of(run["config"]) for run in runs))
    environment = runs[0]["environment"]
    return {
        "command": f"cl-strategies compare {name}",
        "runs": len(runs),
        "processor_hours": round(seconds / 3600, 2),
        "processor": environment["processor"],
        "kernels": environment["kernels"],
        "portable": all(run["config"]["run"].get("portable", False) for run in runs),
        "code": fingerprints(parts),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("name")
    parser.add_argument("--tuning", type=Path)
    given = parser.parse_args()
    try:
        print(publish(given.results, given.name, given.tuning))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
