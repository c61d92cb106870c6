"""The measurements as JSON, a Markdown page and a figure."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
from measurement import Measurement

matplotlib.use("Agg")

from matplotlib import pyplot as plt


def write(
    out: Path,
    rows: list[dict[str, Any]],
    figures: list[Measurement],
    setting: dict[str, Any],
    environment: dict[str, Any],
) -> str:
    """Write ``performance.json``, ``.md``, ``.png`` and ``.svg`` to ``out``; return the table."""
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "setting": setting,
        "environment": environment,
        "cases": rows,
        "figures": [{**asdict(figure), "value": figure.value} for figure in figures],
    }
    (out / "performance.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    table = markdown_table(rows)
    others = figure_table(figures)
    page = [
        "# Speed",
        "",
        "Medians over the rounds of ratios within a round; see `docs/performance.md`. A ratio in",
        "bold misses its target.",
        "",
        table,
        "",
        "The raw loop beside SI, ALASSO and replay is plain training, without the method.",
        "",
        "![Time relative to a raw PyTorch loop](performance.svg)",
        "",
        others,
        "",
        *(f"- {key}: {value}" for key, value in setting.items()),
        *(f"- {key}: {flat(value)}" for key, value in environment.items()),
        "",
    ]
    (out / "performance.md").write_text("\n".join(page), encoding="utf-8")
    if not rows:
        return others
    figure = draw(rows)
    for suffix in ("png", "svg"):
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        figure.savefig(out / f"performance.{suffix}", dpi=150, metadata=metadata)
    plt.close(figure)
    return f"{table}\n\n{others}"


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """One line for each case."""
    lines = [
        "| Case | Raw loop (s) | Avalanche (s) | Ours (s) | Ours / raw | Avalanche / ours "
        "| Same result as |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        seconds = row["median seconds"]
        times = " | ".join(f"{seconds[key]:.3f}" for key in ("raw", "stock", "ours"))
        over = ratio(row["ours / raw"], row["at most"], "<=", row["ours / raw"])
        under = ratio(row["stock / ours"], row["at least"], ">=", -row["stock / ours"])
        proof = ", ".join(
            f"{name} ({'bit-equal' if value == 0 else f'within {value:.0e}'})"
            for name, value in row["largest difference"].items()
        )
        proof = proof or "same distribution of images (tests)"
        lines.append(f"| {row['title']} | {times} | {over} | {under} | {proof} |")
    return "\n".join(lines)


def figure_table(figures: list[Measurement]) -> str:
    """One line for each figure, with the range of its rounds."""
    lines = ["| Figure | Median | Rounds | Target | Shown before |", "|---|---:|---:|---:|---|"]
    for figure in figures:
        shown = f"{figure.value:.3g} {figure.unit}"
        low, high = min(figure.values), max(figure.values)
        spread = f"{low:.3g} to {high:.3g}" if len(figure.values) > 1 else "one"
        target = f"<= {figure.most:g}" if figure.most is not None else ""
        target = f">= {figure.least:g}" if figure.least is not None else target
        value = shown if figure.met else f"**{shown}**"
        lines.append(f"| {figure.title} | {value} | {spread} | {target} | {figure.proof} |")
    return "\n".join(lines)


def ratio(value: float, target: float | None, sign: str, cost: float) -> str:
    """A ratio with its target, in bold if it misses it."""
    if target is None:
        return f"{value:.2f}"
    missed = cost > (target if sign == "<=" else -target)
    shown = f"**{value:.2f}**" if missed else f"{value:.2f}"
    return f"{shown} ({sign} {target:g})"


def draw(rows: list[dict[str, Any]]) -> Any:
    """Bars of time relative to the raw loop."""
    figure, axes = plt.subplots(figsize=(7.2, 0.62 * len(rows) + 1.2), layout="constrained")
    for i, row in enumerate(rows):
        seconds = row["median seconds"]
        stock, ours = row["stock / raw"], row["ours / raw"]
        axes.barh(i - 0.19, stock, 0.36, color="#d55e00", label="Avalanche" if i == 0 else None)
        axes.barh(i + 0.19, ours, 0.36, color="#0072b2", label="cl-strategies" if i == 0 else None)
        for y, value, key in ((i - 0.19, stock, "stock"), (i + 0.19, ours, "ours")):
            text = f" {value:.2f}x ({seconds[key]:.2f} s)"
            axes.text(max(value, 1.0), y, text, va="center", fontsize=8)
    axes.axvline(1, color="#1f2429", linewidth=1, label="raw PyTorch loop")
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel("time relative to a raw PyTorch loop")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    return figure


def flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value)
