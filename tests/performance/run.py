"""Measure the speed of this package against Avalanche's stock path and a hand-written loop.

    python tests/performance/run.py --out reports/published/performance

Every figure is a ratio within one process: in each round the contenders of a case run one after
the other, and the median of the rounds' ratios is reported, so that a machine that is slow for a
while is slow for all of them. No case is timed before it has computed what it must.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import cl_strategies  # noqa: F401  (repairs torchvision before anything below imports it)

# isort: split
import accelerators
import codec_costs
import executors
import exemplars
import halrp_cases
import herding
import long_streams
import loops
import processes
import torch
from cases import Case, cases
from loops import Data
from low_bits import exported, quantized, trained
from measurement import Measurement
from report import write

from cl_strategies.experiment.setup.environment import describe_environment, usable_cores


def _halrp(data: Data, rounds: int) -> list[Measurement]:
    return [
        Measurement(
            name=row.name,
            title=f"{row.title}: ours / {row.compared_with}",
            values=[a / b for a, b in zip(row.ours, row.reference, strict=True)],
            proof=f"same result, largest difference {max(row.proof.values()):.0e}",
            most=row.most,
        )
        for row in halrp_cases.measure(rounds)
    ]


FAMILIES: dict[str, Callable[[Data, int], list[Measurement]]] = {
    "long-streams": long_streams.measurements,
    "herding": herding.measurements,
    "halrp": _halrp,
    "exemplars": exemplars.measurements,
    "codecs": codec_costs.measurements,
    "quantized": quantized.measurements,
    "onnx": exported.measurements,
    "onnx-trained": trained.measurements,
    "processes": processes.measurements,
    "ray-long": executors.long_runs,
    "ray-short": executors.short_runs,
    "accelerators": accelerators.measurements,
}
"""Figures that are not a training loop against two others."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (default 7)")
    parser.add_argument("--images", type=int, default=60_000, help="training images")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="threads of PyTorch")
    parser.add_argument(
        "--only", nargs="*", help="names of cases and families to measure again (default: all)"
    )
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # Avalanche warns in every run about its own deprecations
    torch.set_num_threads(options.threads)
    data = loops.load(options.images)
    chosen = [case for case in cases() if not options.only or case.name in options.only]
    rows = []
    for case in chosen:
        rows.append(measure(case, data, options.rounds))
        print(f"{case.name}: {rows[-1]['ours / raw']:.2f}x raw", flush=True)
    figures: list[Measurement] = []
    for name, family in FAMILIES.items():
        if not options.only or name in options.only:
            for figure in family(data, options.rounds):
                figures.append(figure)
                print(f"{figure.name}: {figure.value:.2f} {figure.unit}", flush=True)
    environment = describe_environment("cpu")
    if options.only:
        rows, figures = with_earlier(options.out, rows, figures)
    setting = {
        "data": data.name,
        "training images": options.images,
        "batch size": loops.BATCH,
        "evaluation batch size": loops.EVAL_BATCH,
        "network": f"784-{loops.HIDDEN}-10, SGD",
        "rounds": options.rounds,
        "threads": options.threads,
    }
    print(write(options.out, rows, figures, setting, environment))
    return 0


def with_earlier(
    out: Path, rows: list[dict[str, Any]], figures: list[Measurement]
) -> tuple[list[dict[str, Any]], list[Measurement]]:
    """The new figures among those that an earlier run left in ``out``, in their order."""
    file = out / "performance.json"
    if not file.exists():
        return rows, figures
    earlier = json.loads(file.read_text(encoding="utf-8"))
    kept_rows = {row["name"]: row for row in earlier["cases"]}
    kept_rows |= {row["name"]: row for row in rows}
    known = {field.name for field in fields(Measurement)}
    kept = {
        figure["name"]: Measurement(**{k: v for k, v in figure.items() if k in known})
        for figure in earlier["figures"]
    }
    kept |= {figure.name: figure for figure in figures}
    return list(kept_rows.values()), list(kept.values())


def measure(case: Case, data: Data, rounds: int) -> dict[str, Any]:
    """One row: proofs first (they warm up, too), then the timed rounds."""
    difference = {
        name: distance(case.ours(data)[1], other(data)[1]) for name, other in case.proof.items()
    }
    for name, value in difference.items():
        if not value <= case.tolerance:
            raise SystemExit(f"{case.name}: the result differs from {name} by {value}")
    seconds: dict[str, list[float]] = {"raw": [], "stock": [], "ours": []}
    for _ in range(rounds):
        for key, times in seconds.items():
            gc.collect()
            times.append(getattr(case, key)(data)[0])
    to_raw = ratios(seconds["ours"], seconds["raw"])
    to_ours = ratios(seconds["stock"], seconds["ours"])
    return {
        "name": case.name,
        "title": case.title,
        "seconds": seconds,
        "median seconds": {key: statistics.median(times) for key, times in seconds.items()},
        "ours / raw": statistics.median(to_raw),
        "stock / ours": statistics.median(to_ours),
        "stock / raw": statistics.median(ratios(seconds["stock"], seconds["raw"])),
        "range of ours / raw": [min(to_raw), max(to_raw)],
        "range of stock / ours": [min(to_ours), max(to_ours)],
        "at most": case.most,
        "at least": case.least,
        "largest difference": difference,
    }


def ratios(numerators: list[float], denominators: list[float]) -> list[float]:
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def distance(a: loops.Result, b: loops.Result) -> float:
    return max(float((p.double() - q.double()).abs().max()) for p, q in zip(a, b, strict=True))


if __name__ == "__main__":
    sys.exit(main())
