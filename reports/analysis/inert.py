"""Strategies that do nothing as they are set: their accuracies are those of plain fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence

import numpy as np

from cl_strategies.reports.analysis.grouping import ELSEWHERE, Group, flatten, literal
from cl_strategies.results.formatting import listing
from cl_strategies.results.heading import Origin
from cl_strategies.results.record import RunRecord

PLAIN = "naive"


def inert(groups: Sequence[Group], origin: Origin | None = None) -> list[str]:
    """Return a sentence for each benchmark on which strategies equal :data:`PLAIN` to the last
    digit in every accuracy of every run, with the command that looks for other settings.

    :param groups: under the labels that readers see.
    :param origin: of the comparison, if that is known.
    """
    sentences = []
    for benchmark in sorted({group.benchmark for group in groups}):
        here = [group for group in groups if group.benchmark == benchmark and group.finished]
        plain = {
            _setting(record): record
            for group in here
            for record in group.finished
            if record.strategy == PLAIN
        }
        equal = [group for group in here if _equals(group, plain)]
        if equal:
            names = sorted({group.records[0].strategy for group in equal})
            command = (origin or Origin()).tune_command(equal[0].records[0].benchmark, names)
            have, they = ("has", "it changes") if len(equal) == 1 else ("have", "they change")
            sentences.append(
                f"On {benchmark}, {listing([group.strategy for group in equal])} {have} the "
                f"accuracies of {PLAIN} to the last digit: as set here, {they} nothing that "
                f"counts. Look for settings that do: {command}"
            )
    return sentences


def _equals(group: Group, plain: dict[Hashable, RunRecord]) -> bool:
    if group.records[0].strategy == PLAIN:
        return False
    pairs = [(record, plain.get(_setting(record))) for record in group.finished]
    return all(
        other is not None
        and len(record.matrix) > 1
        and np.array_equal(record.matrix, other.matrix, equal_nan=True)
        for record, other in pairs
    )


def _setting(record: RunRecord) -> Hashable:
    """Return all that a run is, but for its strategy."""
    tables = {name: table for name, table in record.config.items() if name != "strategy"}
    flat = {key: literal(value) for key, value in flatten(tables).items() if key not in ELSEWHERE}
    return json.dumps([sorted(flat.items()), list(record.task_order)])
