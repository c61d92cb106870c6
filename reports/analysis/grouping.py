"""Which runs are repetitions of each other.

Two runs are repetitions if their configurations differ only in what is repeated on purpose: the
seed, the order of the tasks, the drawing of the stream. Anything else that differs makes
another variant, whose label names the difference: averaging a sweep over a hyper-parameter as
if it were noise would be wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.reports.analysis.precision import Precision, precision_of
from cl_strategies.results.metrics import REFERENCE_STRATEGIES
from cl_strategies.results.record import RunRecord

REPEATED = frozenset(
    {"run.seed", "benchmark.order", "benchmark.class_order", "benchmark.stream_seed"}
)
"""Configuration keys in which repetitions differ."""
ELSEWHERE = frozenset({"benchmark.data_root", "benchmark.cache_bytes", "run.predictions"})
"""Keys that say where a run found its data and what it kept, not what it did."""
_LONGEST_VALUE = 24


@dataclass(frozen=True, kw_only=True)
class Group:
    """The repetitions of one strategy on one benchmark.

    :param benchmark: label of the benchmark, unique in the report.
    :param strategy: label of the strategy, unique within the benchmark.
    :param records: its runs, finished and failed, by seed.
    :param reference: whether it is a bound that is never marked best.
    """

    benchmark: str
    strategy: str
    records: tuple[RunRecord, ...]
    reference: bool = False

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        """Its finished runs."""
        return tuple(record for record in self.records if record.finished)

    @property
    def precision(self) -> Precision:
        """The bits that its runs computed with."""
        return precision_of(self.records[0].config)

    @property
    def n_failed(self) -> int:
        """How many of its runs failed."""
        return len(self.records) - len(self.finished)

    @property
    def matrices(self) -> npt.NDArray[np.float64]:
        """Accuracy matrices of the finished runs (runs, T, T).

        :raises UserError: if they have different numbers of tasks.
        """
        matrices = [record.matrix for record in self.finished]
        sizes = sorted({len(matrix) for matrix in matrices})
        if len(sizes) > 1:
            raise UserError(
                f"runs of {self.strategy} on {self.benchmark} with the same configuration have "
                f"{' and '.join(map(str, sizes))} tasks: they come from different versions of "
                "the benchmark. Delete the run directories of one of them."
            )
        return np.stack(matrices) if matrices else np.empty((0, 0, 0))


def group_records(
    records: Iterable[RunRecord], *, references: frozenset[str] = REFERENCE_STRATEGIES
) -> list[Group]:
    """Sort runs into groups of repetitions, by benchmark label and then by strategy label.

    :param records: finished and failed runs.
    :param references: names of the strategies that are bounds, not competitors.
    """
    groups = []
    for benchmark, on_benchmark in _variants(
        records, lambda record: record.benchmark, ("benchmark",)
    ):
        for strategy, repetitions in _variants(
            on_benchmark,
            lambda record: record.strategy,
            ("strategy", "model", "train", "quantization", "continual_evaluation", "run"),
        ):
            repetitions.sort(key=lambda record: (record.seed, record.config_hash))
            groups.append(
                Group(
                    benchmark=benchmark,
                    strategy=strategy,
                    records=tuple(repetitions),
                    reference=repetitions[0].strategy in references,
                )
            )
    return sorted(groups, key=lambda group: (group.benchmark, group.strategy))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``{"train": {"lr": 0.1}}`` as ``{"train.lr": 0.1}``."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def literal(value: Any) -> str:
    """Return a configuration value as text."""
    return _short_literal(value) if type(value) in (str, int, bool) else _literal(value)


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


#: The values of a run are mostly those of other runs. (Not of floats: 0.0 equals -0.0.)
_short_literal = lru_cache(maxsize=4096, typed=True)(_literal)


def _variants(
    records: Iterable[RunRecord], name_of: Callable[[RunRecord], str], sections: tuple[str, ...]
) -> list[tuple[str, list[RunRecord]]]:
    """Split ``records`` by name, and by whatever else differs within ``sections``."""
    by_name: dict[str, dict[Hashable, list[RunRecord]]] = {}
    options: dict[Hashable, dict[str, str]] = {}
    precisions: dict[Hashable, Precision] = {}
    for record in records:
        config = {name: record.config[name] for name in sections if name in record.config}
        flat = {
            key: literal(value)
            for key, value in sorted(flatten(config).items())
            if key not in REPEATED and key not in ELSEWHERE
        }
        variant = tuple(flat.items())
        options[variant] = flat
        precisions[variant] = precision_of(config)
        by_name.setdefault(name_of(record), {}).setdefault(variant, []).append(record)
    result = []
    for name, variants in by_name.items():
        for base, same in _by_precision(name, variants, precisions).items():
            labels = _labels(base, [options[variant] for variant in same])
            result += list(zip(labels, (variants[variant] for variant in same), strict=True))
    return result


def _by_precision(
    name: str, variants: Iterable[Hashable], precisions: Mapping[Hashable, Precision]
) -> dict[str, list[Hashable]]:
    """Variants of one precision, by ``name`` with the precision if there are several.

    A table ``[quantization]`` has other keys for each quantizer: naming all that differ between
    two quantizers would say nothing.
    """
    several = len({precisions[variant] for variant in variants}) > 1
    result: dict[str, list[Hashable]] = {}
    for variant in variants:
        base = f"{name} {precisions[variant].text}" if several else name
        result.setdefault(base, []).append(variant)
    return result


def _labels(name: str, variants: list[dict[str, str]]) -> list[str]:
    if len(variants) == 1:
        return [name]
    keys = sorted({key for variant in variants for key in variant})
    differing = [key for key in keys if len({variant.get(key) for variant in variants}) > 1]
    labels = []
    for variant in variants:
        parts = [
            f"{_short_key(key)}={_short_value(variant.get(key, 'unset'))}" for key in differing
        ]
        label = f"{name} ({', '.join(parts)})"
        labels.append(label)
    twice = {label for label in labels if labels.count(label) > 1}
    return [
        f"{label} #{labels[:i].count(label) + 1}" if label in twice else label
        for i, label in enumerate(labels)
    ]


def _short_key(key: str) -> str:
    section, _, rest = key.partition(".")
    return rest if section in ("strategy", "benchmark") else key


def _short_value(text: str) -> str:
    text = text.strip('"')
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
