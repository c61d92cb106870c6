"""Publish a report, in the tree that computed its runs: ``python docs/publish.py results NAME``.

``reports/published/NAME`` gets the report of the folder ``results``, the tuning's table
(``--tuning FOLDER``) and ``origin.json``: the command, processor hours, processor, and the
fingerprint of the code of each part (:mod:`method_code`), by which a test finds reports that the
tree has outgrown. Runs of another tree, which was meant for something else, count where its code of
their parts is this one's: ``--computed-by TREE``, once for each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from measured import PUBLISHED, ROOT
from method_code import fingerprints, parts_of

from cl_strategies.errors import UserError
from cl_strategies.experiment.identity.suppliers import OWN, describe
from cl_strategies.reports import write_report

_ASK = """
import json, sys
from method_code import fingerprints
from cl_strategies.experiment.identity.suppliers import OWN, describe
print(json.dumps([describe([])[OWN], fingerprints(sys.argv[1:])]))
"""
FILES = ("report.html", "report.md", "summary.csv", "summary.json")


def publish(results: Path, name: str, tuning: Path | None, trees: Sequence[Path] = ()) -> Path:
    """Write the report of ``results`` to ``reports/published/name``.

    :param trees: Other trees that computed runs.
    :raises UserError: if a run is unfinished or failed, or was computed by code that is not
        this tree's.
    """
    write_report(results)
    summary = json.loads((results / "summary.json").read_text())
    runs = summary["runs"]
    failed = [run["directory"] for run in runs if run["status"] != "finished"]
    if failed or summary["unfinished"] or summary["damaged"]:
        raise UserError(f"{results} has unfinished, damaged or failed runs: finish them first")
    check_code(runs, trees)
    folder = PUBLISHED / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copy(results / file, folder / file)
    if tuning is not None:
        shutil.copy(tuning / "tuning.csv", folder / "tuning.csv")
    (folder / "origin.json").write_text(json.dumps(origin(runs, name), indent=1) + "\n")
    return folder


def check_code(runs: Sequence[Mapping[str, Any]], trees: Iterable[Path] = ()) -> None:
    """:raises UserError: if a run was computed by other code than that of its parts here."""
    parts = _parts(runs)
    here = fingerprints(parts)
    known = {describe([])[OWN]: here, **dict(code_of(tree, parts) for tree in trees)}
    for run in runs:
        source = run["identity"]["packages"].get(OWN)
        if source not in known:
            raise UserError(f"{run['directory']}: computed by {source}; known are {sorted(known)}")
        if others := [
            part for part in parts_of(run["config"]) if known[source][part] != here[part]
        ]:
            raise UserError(f"{run['directory']}: computed by other code of {', '.join(others)}")


def code_of(tree: Path, parts: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the hash of a tree's package, and its fingerprints of ``parts``."""
    python = tree / ".venv" / "bin" / "python"
    command = [str(python if python.exists() else sys.executable), "-c", _ASK, *sorted(parts)]
    path = {**os.environ, "PYTHONPATH": str(ROOT / "docs")}
    answer = subprocess.run(command, cwd=tree, env=path, check=True, capture_output=True, text=True)
    source, found = json.loads(answer.stdout)
    return source, found


def _parts(runs: Iterable[Mapping[str, Any]]) -> set[str]:
    return set().union(*(parts_of(run["config"]) for run in runs))


def origin(runs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """What the report was made of, for ``origin.json``."""
    seconds = sum(sum(map(sum, run["seconds"].values())) for run in runs)
    environment = runs[0]["environment"]
    return {
        "command": f"cl-strategies compare {name}",
        "runs": len(runs),
        "processor_hours": round(seconds / 3600, 2),
        "processor": environment["processor"],
        "kernels": environment["kernels"],
        "portable": all(run["config"]["run"].get("portable", False) for run in runs),
        "code": fingerprints(_parts(runs)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("name")
    parser.add_argument("--tuning", type=Path)
    parser.add_argument("--computed-by", type=Path, action="append", default=[], metavar="TREE")
    given = parser.parse_args()
    try:
        print(publish(given.results, given.name, given.tuning, given.computed_by))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
