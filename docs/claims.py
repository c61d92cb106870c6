"""Write the papers' claims into README.md and docs/claims.md: ``python docs/claims.py``.

``claims.toml`` says what is claimed, and in which published reports it is looked for. What a
report shows is computed here from its runs: differences between two methods, paired by seed and
order (an order counts once), with their 95 % interval, divided by the number of methods that a
claim names (Bonferroni). The verdict is that of the method that comes nearest.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from measured import PUBLISHED, ROOT, SITE, cells_in, filled, groups, rows_of, signed

from cl_strategies.errors import unknown_name
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.results.metrics import describe
from cl_strategies.statistics import t_interval
from cl_strategies.statistics.cells import complete_pairs
from cl_strategies.statistics.words import ROPE

PAGES = {"claims": ROOT / "docs" / "claims.md", "verdicts": ROOT / "README.md"}
HOLDS, DIRECTION, ABSENT = "holds", "holds in direction", "does not show here"
UNTESTED = "not testable without "
#: Points below which a difference does not matter.
MATTERS = 100 * ROPE


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a report shows of a claim on one stream.

    :ivar report: its name.
    :ivar tasks: of the stream.
    :ivar ours: means of the methods, and the differences with their intervals, in words.
    """

    report: str
    stream: str
    tasks: int
    ours: str
    verdict: str


def claims() -> list[dict[str, Any]]:
    """The tables of ``claims.toml``."""
    return list(tomllib.loads((ROOT / "docs" / "claims.toml").read_text("utf-8"))["claims"])


def shown(claim: dict[str, Any]) -> list[Shown]:
    """What the claim's reports show, on each stream that has all its methods.

    :raises UserError: if a method is in no stream of a report.
    """
    named = [claim["of"], *claim.get("over", [])]
    found = []
    for report in claim["reports"]:
        known = {group.strategy for group in groups(report)}
        for name in named:
            if name not in known:
                raise unknown_name("method", name, known)
        streams = dict.fromkeys(group.benchmark for group in groups(report))
        for stream in streams:
            here = rows_of(report, stream)
            if set(named) <= set(here) and stream in claim.get("streams", streams):
                found.append(_shown(claim, report, stream, [here[name] for name in named]))
    return found


def _shown(claim: dict[str, Any], report: str, stream: str, rows: list[Group]) -> Shown:
    metric = claim.get("metric", "average_accuracy")
    scale, form = (100.0, ".1f") if describe(metric).unit == "fraction" else (1.0, ".2f")
    cells = cells_in(rows, metric, rows_of(report, stream).values())
    mine = cells.scores.get(rows[0].strategy)
    here = partial(Shown, report=report, stream=stream, tasks=len(rows[0].records[0].task_order))
    if mine is None:
        return here(ours="no finished run", verdict=ABSENT)
    parts, words = [f"{np.nanmean(mine) * scale:{form}}"], []
    rivals = {row.strategy: cells.scores.get(row.strategy) for row in rows[1:]}
    if "limit" in claim:
        rivals["published"] = np.full_like(mine, claim["limit"] / scale)
    for name, theirs in rivals.items():
        if theirs is None:
            parts.append(f"{name}: no finished run")
            continue
        a, b, _ = complete_pairs(mine, theirs, cells.units)
        low, high = (float(x) * scale for x in t_interval(a - b, 1 - 0.05 / len(rivals)))
        mean = float((a - b).mean()) * scale
        words.append(_verdict(claim, mean, low, high))
        parts.append(
            f"{b.mean() * scale:{form}} {name} "
            f"({signed(mean, form)}; {signed(low, form)} to {signed(high, form)})"
        )
    worst = max(words, key=[HOLDS, DIRECTION, ABSENT].index) if words else ABSENT
    return here(ours=", ".join(parts), verdict=worst)


def _verdict(claim: dict[str, Any], mean: float, low: float, high: float) -> str:
    if claim["is"] == "level":
        inside = [-claim["within"] <= x <= claim["within"] for x in (mean, low, high)]
        return HOLDS if all(inside) else DIRECTION if inside[0] else ABSENT
    if claim["is"] == "below":
        mean, low = -mean, -high
    matters = claim.get("matters", MATTERS)
    return HOLDS if low > 0 else DIRECTION if mean >= matters else ABSENT


@cache
def looked_for() -> list[tuple[dict[str, Any], list[Shown]]]:
    """Each claim, with what its reports show of it: nothing if it needs other data."""
    return [(claim, [] if "needs" in claim else shown(claim)) for claim in claims()]


@cache
def lengths() -> dict[str, set[int]]:
    """The numbers of tasks of each stream in which a claim is looked for."""
    found: dict[str, set[int]] = {}
    for _, shows in looked_for():
        for one in shows:
            found.setdefault(one.stream, set()).add(one.tasks)
    return found


def name_of(one: Shown) -> str:
    """The name of its stream, with the number of tasks if that differs between reports."""
    return one.stream if len(lengths()[one.stream]) == 1 else f"{one.stream} ({one.tasks} tasks)"


def table() -> str:
    """Every claim in Markdown, for docs/claims.md."""
    lines = [
        "| paper | claim | published | here | stream | verdict | report |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim, shows in looked_for():
        start = f"| {claim['paper']} | {claim['claim']} | {claim['published']} |"
        if "needs" in claim:
            run = f"`cl-strategies compare {claim['recipe']}`" if "recipe" in claim else ""
            lines.append(f"{start} | | {UNTESTED}{claim['needs']} | {run} |")
            continue
        for one in shows:
            link = f"[{one.report}]({SITE}/{one.report}/report.md)"
            lines.append(f"{start} {one.ours} | {name_of(one)} | **{one.verdict}** | {link} |")
            start = "| | | |"
    return "\n".join(lines) + "\n"


def short_table() -> str:
    """The verdict on every claim in Markdown, for README.md."""
    lines = ["| paper | claim | here |", "|---|---|---|"]
    before = ""
    for claim, shows in looked_for():
        if "needs" in claim:
            verdict = f"{UNTESTED}{claim['needs']}"
        else:
            streams: dict[str, list[str]] = {}
            for one in shows:
                streams.setdefault(one.verdict, []).append(name_of(one))
            verdict = "; ".join(f"**{word}**: {', '.join(on)}" for word, on in streams.items())
        paper = claim["paper"] if claim["paper"] != before else ""
        before = claim["paper"]
        lines.append(f"| {paper} | {claim['claim']} | {verdict} |")
    return "\n".join(lines) + "\n"


def report_table() -> str:
    """The published reports, with the command and the cost of each, in Markdown."""
    lines = [
        "| report | command | runs | hours at most | where numbers repeat |",
        "|---|---|---:|---:|---|",
    ]
    for file in sorted(PUBLISHED.glob("*/origin.json")):
        made = json.loads(file.read_text())
        name = file.parent.name
        repeats = "any x86-64 processor" if made["portable"] else made["processor"]
        lines.append(
            f"| [{name}]({SITE}/{name}/report.md) | `{made['command']}` | {made['runs']} "
            f"| {made['processor_hours']} | {repeats} |"
        )
    return "\n".join(lines) + "\n"


def written(text: str) -> str:
    """``text`` with its tables made anew."""
    made = {"claims": table, "verdicts": short_table, "reports": report_table}
    return filled(text, made, lambda name, _: made[name]())


def main() -> None:
    for page in PAGES.values():
        page.write_text(written(page.read_text("utf-8")), "utf-8")
        print(f"wrote {page}")


if __name__ == "__main__":
    main()
