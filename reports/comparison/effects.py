"""Effects of the factors of a suite on the average accuracy, and of two factors together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from cl_strategies.reports.analysis.cells import cells_of
from cl_strategies.reports.analysis.factors import Level, levels_of
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.labels import display, level_text
from cl_strategies.reports.analysis.marks import PRIMARY
from cl_strategies.reports.comparison.sentences import points
from cl_strategies.results.formatting import MISSING, plain
from cl_strategies.statistics.intervals import t_interval
from cl_strategies.validation.arrays import Floats

HEADINGS = ("Levels", "Share of variance (%)", "Largest effect", "95 % interval", "n")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A factor, or two factors together.

    :param factors: their names.
    :param levels: number of levels of each.
    :param share: of the sum of squares over all runs, the mean of each pair of seeds taken out.
    :param where: the level (or the two levels) whose effect is largest.
    :param size: its effect as a fraction: with two levels the mean of the second less that of the
        first (together: half the difference of the effects of one at the levels of the other),
        else the mean of the level less the mean over all levels.
    :param interval: its 95 % t interval over the pairs.
    """

    factors: tuple[str, ...]
    levels: tuple[int, ...]
    share: float | None
    where: str
    size: float
    interval: tuple[float, float] | None
    n: int

    @property
    def name(self) -> str:
        """``host``, or ``host x codec``."""
        return " x ".join(self.factors)

    @property
    def cells(self) -> tuple[str, ...]:
        """A text for each of :data:`HEADINGS`."""
        ends = None if self.interval is None else [points(end) for end in self.interval]
        return (
            " x ".join(map(str, self.levels)),
            MISSING if self.share is None else plain(100 * self.share, 1),
            f"{self.where}: {points(self.size)} points",
            MISSING if ends is None else " to ".join(ends),
            str(self.n),
        )


@dataclass(frozen=True, kw_only=True)
class EffectTable:
    """The effects of one strategy on one benchmark; ``note`` says what is not known of it."""

    strategy: str
    effects: tuple[Effect, ...]
    note: str = ""


def effect_tables(groups: Sequence[Group]) -> list[EffectTable]:
    """Return the effects for each strategy with at least two factors.

    :param groups: all on one benchmark.
    """
    levels = levels_of(groups)
    names = {group.strategy: group.records[0].strategy for group in groups}
    tables = []
    for name in dict.fromkeys(names.values()):
        labels = [label for label in names if names[label] == name and len(levels[label]) > 1]
        keys = sorted({level.key for label in labels for level in levels[label]})
        if len(keys) > 1:
            tables.append(_table(display(name), labels, keys, levels, groups))
    return tables


def _table(
    name: str,
    labels: Sequence[str],
    keys: Sequence[str],
    levels: dict[str, tuple[Level, ...]],
    groups: Sequence[Group],
) -> EffectTable:
    found = {label: {level.key: level for level in levels[label]} for label in labels}
    axes = [
        _ordered([found[label][key] for label in labels if key in found[label]]) for key in keys
    ]
    texts = [[level_text(level) for level in axis] for axis in axes]
    place = {
        tuple(level_text(found[label][key]) if key in found[label] else "" for key in keys): label
        for label in labels
    }
    cells = cells_of([group for group in groups if group.strategy in found], PRIMARY)
    grid = [place.get(combination) for combination in product(*texts)]
    if any(label is None or label not in cells.scores for label in grid):
        return EffectTable(strategy=name, effects=(), note="not every combination was run")
    scores = np.stack([cells.scores[label] for label in grid if label is not None])
    scores = scores[:, ~np.isnan(scores).any(axis=0)]
    if not scores.shape[1]:
        return EffectTable(strategy=name, effects=(), note="no seed was run in every combination")
    shape = *(len(axis) for axis in axes), scores.shape[1]
    short = [key.rpartition(".")[2] for key in keys]
    return EffectTable(strategy=name, effects=tuple(effects(scores.reshape(shape), short, texts)))


def effects(scores: Floats, names: Sequence[str], levels: Sequence[Sequence[str]]) -> list[Effect]:
    """Return main effects and those of two factors together, in a full design.

    A model with sums of effects equal to 0, the pair of seeds as block.

    :param scores: shape (levels of each factor..., pairs).
    :param names: of the factors.
    :param levels: their texts, factor by factor.
    """
    total = float(((scores - scores.mean(axis=tuple(range(len(names))))) ** 2).sum())
    result = []
    for size in (1, 2):
        for chosen in combinations(range(len(names)), size):
            term = _term(scores, chosen)  # (levels of the chosen..., pairs)
            mean = term.mean(axis=-1)
            others = scores[..., 0].size / mean.size
            squares = float((mean**2).sum()) * others * scores.shape[-1]
            index = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(mean)), mean.shape))
            two = all(count == 2 for count in mean.shape)
            index = tuple(1 for _ in chosen) if two else index
            # Of two levels the effect is the whole step, twice what each is from the middle.
            values = term[index] * (2.0 if two else 1.0)
            low, high = (float(end) for end in t_interval(values))
            result.append(
                Effect(
                    factors=tuple(names[i] for i in chosen),
                    levels=mean.shape,
                    share=squares / total if total > 0 else None,
                    where=_where(chosen, index, levels, two),
                    size=float(values.mean()),
                    interval=(low, high) if len(values) > 1 else None,
                    n=len(values),
                )
            )
    return result


def _term(scores: Floats, chosen: Sequence[int]) -> Floats:
    """Return the effects of the chosen factors together, those of fewer of them taken out."""
    axes = tuple(i for i in range(scores.ndim - 1) if i not in chosen)
    term = scores.mean(axis=axes)
    for axis in range(len(chosen)):
        term = term - term.mean(axis=axis, keepdims=True)
    return np.asarray(term)


def _where(
    chosen: Sequence[int], index: Sequence[int], levels: Sequence[Sequence[str]], two: bool
) -> str:
    named = [levels[i][at] for i, at in zip(chosen, index, strict=True)]
    if two and len(chosen) == 1:
        return f"{named[0]} less {levels[chosen[0]][0]}"
    return " with ".join(named)


def _ordered(levels: Sequence[Level]) -> list[Level]:
    unique = {level.text: level for level in levels}
    return sorted(unique.values(), key=lambda level: (level.number or 0.0, level.text))
