"""Accuracy on what comes next in an online stream, before it is trained, as numbers of a run.

Each part is predicted by the model that has trained all parts before it: online accuracy (Cai et
al., ICCV 2021). The part that comes so much later that its labels cannot be guessed from the one
seen last gives near-future accuracy (Hammoud et al., ICCV 2023). Both stand beside a blind
classifier that predicts the label of the newest trained sample.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from avalanche.core import SupervisedPlugin

from cl_strategies.experiment.directory.rows import ONLINE_COUNTS
from cl_strategies.plugins.continual_evaluation.subsets import index_of, subset_of
from cl_strategies.plugins.continual_evaluation.undisturbed import undisturbed
from cl_strategies.plugins.metrics.functional.online import smallest_blind_delay
from cl_strategies.plugins.protocols.training import TrainingStrategy


class NextParts(SupervisedPlugin):
    """Test parts of a stream before they are trained; training is as without, bit for bit.

    A sample of a class that was not trained yet counts as wrong and is not shown to the model,
    which may have no output for it. With task labels, samples of a task that was not trained yet
    do not count: its head is as it was drawn.

    :param benchmark: an online one.
    :ivar delay: least number of samples between the newest trained one and those of near-future
        accuracy; ``None`` if labels can be guessed at any that was tried.
    """

    def __init__(self, benchmark: Any) -> None:
        super().__init__()
        self._stream, by_task = benchmark.train_stream, benchmark.info.scenario == "task"
        #: Task (0 unless it is told) and class of the samples of each part.
        self._samples = [
            [(part.task_label if by_task else 0, int(label)) for label in part.dataset.targets]
            for part in self._stream
        ]
        labels = [label for part in self._samples for _, label in part]
        self.delay = smallest_blind_delay(labels)
        self._first: dict[tuple[int, int], int] = {}  # part that brings a class of a task
        for position, samples in enumerate(self._samples):
            for sample in samples:
                self._first.setdefault(sample, position)
        self._later = -(-(self.delay or 0) // len(self._samples[0]))  # parts
        self._right: torch.Tensor | None = None  # of the test that is being done
        self._clear()

    def _clear(self) -> None:
        self._counts, self._seconds = dict.fromkeys(ONLINE_COUNTS, 0), 0.0

    def tested(self, parts: Iterable[Any], strategy: Any) -> Iterator[Any]:
        """Return the parts, each once it and the one that is the delay later were tested."""
        for part in parts:
            began, position = time.perf_counter(), index_of(part)
            if position:  # nothing was trained before the first
                now = self._test(strategy, position, position)
                self._add("", now)
                if self.delay is not None:
                    place = position + self._later
                    later = self._test(strategy, position, place) if self._later else now
                    self._add("later_", later)
            self._seconds += time.perf_counter() - began
            yield part

    def _add(self, name: str, counts: tuple[int, int, int]) -> None:
        for kind, number in zip(("right", "blind", "samples"), counts, strict=True):
            self._counts[f"{name}{kind}"] += number

    def _test(self, strategy: Any, trained: int, position: int) -> tuple[int, int, int]:
        """Return right, blindly right, and all samples of the part at ``position``.

        :param trained: parts that were trained.
        """
        if position >= len(self._samples):
            return 0, 0, 0
        seen = {sample for sample, first in self._first.items() if first < trained}
        tasks = {task for task, _ in seen}
        samples = [(k, one) for k, one in enumerate(self._samples[position]) if one[0] in tasks]
        known = [k for k, sample in samples if sample in seen]
        right, newest = 0, self._samples[trained - 1][-1][1]
        if known:
            self._right = torch.zeros((), dtype=torch.int64, device=strategy.device)
            try:
                with undisturbed(strategy):
                    strategy.eval([subset_of(self._stream[position], known)])
                right = int(self._right)
            finally:
                self._right = None
        return right, sum(label == newest for _, (_, label) in samples), len(samples)

    def after_eval_iteration(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        if self._right is not None:
            labels = strategy.mb_y if strategy.mb_y.ndim == 1 else strategy.mb_y.argmax(1)
            self._right += (strategy.mb_output.argmax(1) == labels).sum()

    def take(self) -> dict[str, Any]:
        """Return the counts and seconds since the last call."""
        found = {**self._counts, "delay": self.delay, "seconds": self._seconds}
        self._clear()
        return found


def online_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the numbers of a run; none for one whose rows have no such counts.

    Undefined is NaN: near-future accuracy of a stream that is not longer than the delay, or whose
    labels can be guessed at every delay.
    """
    counts = [row["online"] for row in rows if "online" in row]
    if not counts:
        return {}
    total = {key: sum(row[key] for row in counts) for key in ONLINE_COUNTS}
    delay = counts[-1]["delay"]
    metrics = {}
    for name, key in (("online", ""), ("near_future", "later_")):
        samples = total[f"{key}samples"]
        for kind, end in (("right", "accuracy"), ("blind", "blind_accuracy")):
            right = total[f"{key}{kind}"]
            metrics[f"{name}_{end}"] = right / samples if samples else math.nan
    return metrics | {
        "near_future_delay": math.nan if delay is None else float(delay),
        "online_seconds": sum(row["seconds"] for row in counts),
    }
