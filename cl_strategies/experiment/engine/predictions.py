"""The predictions of a run, kept from the evaluations that take place anyway.

Beside them, of a domain-incremental stream, how well the next experience is known before it is
trained: nothing in other streams can say that (``forward_transfer_gap``).
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.errors.boundary import Boundary
from cl_strategies.errors.failure import Failure
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.prediction_log import PredictionLog
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.io.links import check_no_link
from cl_strategies.plugins.data.flatten import attribute_column
from cl_strategies.plugins.features.generators import isolated_rng
from cl_strategies.plugins.metrics.accuracy_matrix import AccuracyMatrix
from cl_strategies.plugins.metrics.stream_predictions import Predictions, StreamPredictions
from cl_strategies.results.predictions.manifest import Manifest
from cl_strategies.results.predictions.row import INITIAL, PredictionRow, samples_of
from cl_strategies.results.predictions.stream import TestStream

Measured = tuple[int, int]  # right predictions, samples


class PredictionRecorder:
    """What one run stores of its predictions.

    :param config: of the run; ``run.predictions`` is the limit, 0 switches everything off.
    :param directory: where the run lies.
    :param benchmark: its stream.
    :param matrix: what measures accuracies, in the same evaluator as :attr:`keeper`.
    :ivar keeper: what keeps the predictions of an evaluation; ``None`` if nothing is stored.
    :ivar jointly: whether the strategy trains all experiences at once.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        directory: RunDirectory,
        benchmark: Any,
        matrix: AccuracyMatrix,
    ) -> None:
        self.config, self.directory, self.benchmark = config, directory, benchmark
        self.matrix = matrix
        self.order = list(benchmark.info.task_order)
        self.keeper: StreamPredictions | None = None
        self.jointly = False
        self._fresh: dict[int, Measured] = {}
        self._kept: dict[int, Predictions] = {}
        self._unwritten = False
        self._looks_ahead = benchmark.info.scenario == "domain"
        problem, labels = "", None
        if config.run.predictions:
            try:
                labels = [_labels(experience) for experience in benchmark.test_stream]
                self.stream = TestStream.of(labels, self.order)
            except (ValueError, TypeError, AttributeError, UserError) as error:
                problem = f"its test samples have no labels that could be stored: {error}"
            else:
                self.keeper = StreamPredictions(competing="all")
        self._labels = labels or []
        self.log = PredictionLog(
            directory.predictions,
            config.run.predictions,
            samples=sum(map(len, self._labels)),
            experiences=len(self.order),
        )
        self._problem = problem

    def begin(self) -> None:
        """Begin without a row."""
        self.log.clear()
        if self._problem:
            self.log.stop(self._problem)

    def resume(self, mark: Any, positions: Sequence[int]) -> None:
        """Go on after the experiences at ``positions`` were trained.

        :param mark: what :meth:`mark` returned.
        """
        if self.keeper is None:
            self.begin()
            return
        self.log.restore(mark, positions)
        trained = range(positions[-1] + 1)  # joint training has one row for all of them
        # Parts of an experience are one row.
        whole = getattr(self.benchmark, "whole_stream", self.benchmark.train_stream)
        classes = [[k, sorted(whole[k].classes_in_this_experience)] for k in trained]
        self.keeper.load_state_dict({"stream": "test", "order": [*trained], "classes": classes})
        if positions[-1] + 1 == len(self.order):
            self._take_back(self.log.last_row(self.stream, self.order))

    def _take_back(self, row: PredictionRow | None) -> None:
        """Go on from the last row, which may have to be completed."""
        if row is None or row.confidence is None:
            return
        original = self.stream.experience[samples_of(self.stream, self.order, row.stored)]
        for position in np.flatnonzero(row.stored).tolist():
            here = original == self.order[position]
            labels = self._labels[position]
            nowhere = np.full(len(labels), -1)
            self._fresh[position] = (int(row.correct[position]), len(labels))
            self._kept[position] = Predictions(
                None,
                len(self.order) - 1,
                labels,
                row.prediction[here],
                np.where(row.task_aware[here], labels, nowhere),
                row.confidence[here].astype(np.float64),
                np.full(len(labels), np.nan),
                nowhere,
            )

    def mark(self) -> dict[str, Any] | None:
        """Return what a checkpoint says about the rows so far."""
        return None if self.keeper is None else self.log.mark()

    @property
    def _active(self) -> bool:
        return self.keeper is not None and not self.log.problem

    def before_training(self, build: Callable[[AccuracyMatrix], Any]) -> None:
        """Store the row before any training, if the strategy can measure it.

        :param build: makes another strategy as the run begins with, with this metric.
        """
        matrix = AccuracyMatrix()
        with isolated_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are said when the run itself comes to that
            try:
                with Boundary():
                    build(matrix).eval(list(self.benchmark.test_stream))
            except (Failure, UserError):  # what it says before training is not asked for
                self._looks_ahead = False
                return
        gc.collect()  # what it took is no memory of the training
        sizes = [len(labels) for labels in self._labels]
        found = {k: (round(value * sizes[k]), sizes[k]) for k, value in matrix.latest.items()}
        self.log.add(self._row(INITIAL, found, {}))

    @property
    def wants_initial(self) -> bool:
        """Whether :meth:`before_training` has something to store."""
        return self._active and self._looks_ahead and not self.jointly

    def collect(self) -> None:
        """Take what the latest evaluation has kept."""
        if not self._active or self.keeper is None:
            return
        latest = self.keeper.latest
        self.keeper.latest = None
        for position, accuracy in self.matrix.latest.items():
            here = None if latest is None else _part(latest, position)
            right = -1 if here is None else int((here.labels == here.predictions).sum())
            labels = self._labels[position]
            if here is None or not np.array_equal(here.labels, labels):
                self.log.stop("an evaluation has other samples than the stream")
                return
            if right / len(labels) != accuracy or here.predictions.max() >= 2**16:
                self.log.stop("predictions are not the classes that the accuracy counts")
                return
            self._fresh[position], self._kept[position] = (right, len(labels)), here
            self._unwritten = True

    def after(self, position: int, strategy: Any) -> None:
        """Store the row of the experience ``position``, with what is known of the next one."""
        if not self._active:
            return
        fresh = dict(self._fresh)
        if self._looks_ahead and position + 1 < len(self.order):
            fresh |= self._ahead(position + 1, strategy)
        self.log.add(self._row(position, fresh, self._kept))
        self._unwritten = False
        if position + 1 < len(self.order):  # the last row may be completed
            self._fresh, self._kept = {}, {}

    def _ahead(self, position: int, strategy: Any) -> dict[int, Measured]:
        """Evaluate an experience that was not trained yet, and leave no trace of it."""
        iterations = strategy.clock.total_iterations
        with isolated_rng():
            strategy.eval([self.benchmark.test_stream[position]])
        strategy.clock.total_iterations = iterations
        if self.keeper is not None:
            self.keeper.latest = None
        size = len(self._labels[position])
        return {position: (round(self.matrix.latest[position] * size), size)}

    def conclude(self, rows: int) -> None:
        """Complete the last row and write ``run.json``.

        :param rows: how many there are.
        """
        if self.keeper is None and not self._problem:
            return
        if self._active and self._unwritten:
            self.log.add(self._row(len(self.order) - 1, self._fresh, self._kept))
        check_no_link(self.directory.predictions)
        if self._active:
            check_no_link(self.directory.streams)
            self.stream.write(self.directory.streams)
            self.log.say_what_is_missing(rows)
        self._manifest().write(self.directory.predictions)

    def _row(
        self, position: int, counts: dict[int, Measured], kept: dict[int, Predictions]
    ) -> PredictionRow:
        correct, total = (np.full(len(self.order), -1, np.int64) for _ in range(2))
        for k, (right, samples) in counts.items():
            correct[k], total[k] = right, samples
        stored = np.zeros(len(self.order), dtype=np.bool_)
        stored[list(kept)] = True
        parts = [kept[k] for k in sorted(kept, key=lambda k: self.order[k])]
        none = np.zeros(0, np.int64)
        joined = [
            np.concatenate([none, *(getattr(part, name) for part in parts)])
            for name in ("labels", "predictions", "task_aware", "confidence")
        ]
        known = bool(np.isfinite(joined[3]).all())  # not if an output is no number
        return PredictionRow(
            position,
            correct,
            total,
            stored,
            joined[1].astype(np.int64),
            joined[2] == joined[0],
            joined[3].astype(np.float16) if known else None,
        )

    def _manifest(self) -> Manifest:
        info, unseen = self.benchmark.info, self.config.train.unseen_classes
        settings = {
            "domain": "domain",
            "task": "task_heads",
            "class": "class_masked" if unseen == "mask" else "class_all_outputs",
        }
        competing = "task" if info.scenario == "task" else "seen" if unseen == "mask" else "all"
        return Manifest(
            config_hash=self.config.hash,
            stream=self.stream.hash if self._active else "",
            task_order=self.order,
            setting="joint" if self.jointly else settings[info.scenario],
            competing=competing,
            classes=info.n_classes,
            task_of_class=self._tasks(),
            limit=self.config.run.predictions,
            files=self.log.files,
            problem=self.log.problem,
        )

    def _tasks(self) -> list[int] | None:
        if self.benchmark.info.scenario != "class":
            return None
        tasks = [-1] * self.benchmark.info.n_classes
        for position, experience in enumerate(self.benchmark.test_stream):
            for label in experience.classes_in_this_experience:
                if tasks[label] >= 0:
                    return None
                tasks[label] = position
        return tasks


def _labels(experience: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        column = attribute_column(experience.dataset.targets)
    if column.ndim != 1 or column.is_floating_point():
        raise ValueError("a label is not one whole number")
    return np.asarray(column.numpy(), dtype=np.int64)


def _part(latest: Predictions, position: int) -> Predictions | None:
    """Return the samples of one experience; ``None`` if there are none."""
    which = latest.experience == position
    if not which.any():
        return None
    columns = [
        getattr(latest, name)[which]
        for name in (
            "labels",
            "predictions",
            "task_aware",
            "confidence",
            "log_probability",
            "experience",
        )
    ]
    return Predictions(latest.task_of_class, latest.last, *columns)
