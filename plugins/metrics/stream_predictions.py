"""The predictions of an evaluation, kept for metrics that need more than accuracies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_utils import stream_type
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.accuracy_matrix import Stream
from cl_strategies.plugins.metrics.trained import classes_begun, experiences_begun
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters

Competing = Annotated[
    Literal["seen", "all", "task"],
    Doc("Classes that compete: those trained so far, all outputs, those of the sample's task."),
]


@dataclass(frozen=True)
class Predictions:
    """One evaluation of the test samples of experiences trained by then, one entry per sample.

    :ivar task_of_class: position of the experience of each class in the order of training, by class
        index, -1 for classes not seen; ``None`` where experiences share classes or tasks are told,
        which leaves nothing to confuse.
    :ivar last: position of the experience that was trained last.
    :ivar labels: classes.
    :ivar predictions: classes predicted among those that compete.
    :ivar task_aware: classes predicted among those of the sample's own experience.
    :ivar confidence: largest softmax value among the classes that compete.
    :ivar log_probability: logarithm of the label's softmax value among them.
    :ivar experience: position of the sample's experience in the order of training.
    """

    task_of_class: npt.NDArray[np.int64] | None
    last: int
    labels: npt.NDArray[np.int64]
    predictions: npt.NDArray[np.int64]
    task_aware: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    log_probability: npt.NDArray[np.float64]
    experience: npt.NDArray[np.int64]


@hyperparameters
class StreamPredictions(PluginMetric[Predictions | None]):
    """Keep the predictions of the latest evaluation; log nothing.

    Samples of experiences that were not trained yet are left out. With ``competing="all"`` the
    predictions are those that :class:`AccuracyMatrix` counts.

    :ivar latest: the latest evaluation, or ``None`` if it had no sample that counts.
    """

    def __init__(self, *, stream: Stream = "test", competing: Competing = "seen") -> None:
        super().__init__()
        self.stream = stream
        self.competing = competing
        self.reset()

    def reset(self) -> None:
        """Discard everything, also which experiences were trained."""
        self._order: list[int] = []
        self._classes: dict[int, set[int]] = {}
        self._parts: list[list[Tensor]] = []
        self._task_labels: set[int] = set()
        self._active = False
        self.latest: Predictions | None = None

    def result(self) -> Predictions | None:
        """Return :attr:`latest`."""
        return self.latest

    def before_training_exp(self, strategy: TrainingStrategy) -> None:
        begun = experiences_begun(strategy, len(self._order))
        self._order += begun
        for index, classes in zip(begun or self._order[-1:], classes_begun(strategy), strict=True):
            self._classes.setdefault(index, set()).update(classes)

    def before_eval(self, strategy: TrainingStrategy) -> None:
        self._parts, self._task_labels, self.latest = [], set(), None

    def before_eval_exp(self, strategy: TrainingStrategy) -> None:
        index = strategy.experience.current_experience
        self._active = stream_type(strategy.experience) == self.stream and index in self._order
        if self._active:
            self._position = list(dict.fromkeys(self._order)).index(index)
            self._own = sorted(self._classes[index])
            self._task_labels |= set(getattr(strategy.experience, "task_labels", ()))

    def after_eval_iteration(self, strategy: TrainingStrategy) -> None:
        if not self._active:
            return
        logits = strategy.mb_output.detach()
        width = logits.shape[1]
        labels = strategy.mb_y if strategy.mb_y.ndim == 1 else strategy.mb_y.argmax(1)
        seen = sorted(set().union(*self._classes.values()))
        competing = {"seen": seen, "all": list(range(width)), "task": self._own}
        among = _only(logits, competing[self.competing])
        logs = among.float().log_softmax(1)
        predictions = among.argmax(1)  # of close logits the logarithms may be the same
        best = logs.gather(1, predictions[:, None])[:, 0]
        task_aware = _only(logits, self._own).argmax(1)
        label_log = logs.gather(1, labels.clamp(max=width - 1)[:, None])[:, 0]
        label_log[labels >= width] = -torch.inf
        positions = torch.full_like(labels, self._position)
        self._parts.append([labels, predictions, task_aware, best.exp(), label_log, positions])

    def after_eval_exp(self, strategy: TrainingStrategy) -> None:
        self._active = False

    def after_eval(self, strategy: TrainingStrategy) -> None:
        if self._parts:
            columns = [torch.cat(part).cpu().numpy() for part in zip(*self._parts, strict=True)]
            last = list(dict.fromkeys(self._order)).index(self._order[-1])
            self.latest = Predictions(self._tasks(), last, *columns)
        self._parts = []

    def _tasks(self) -> npt.NDArray[np.int64] | None:
        order = list(dict.fromkeys(self._order))
        classes = [self._classes[index] for index in order]
        seen = set().union(*classes)
        if sum(map(len, classes)) > len(seen) or len(self._task_labels) > 1:
            return None
        table = np.full(max(seen) + 1, -1)
        for position, members in enumerate(classes):
            table[sorted(members)] = position
        return table

    def state_dict(self) -> dict[str, Any]:
        """Return which experiences were trained, with which classes, as plain data."""
        return {
            "stream": self.stream,
            "order": list(self._order),
            "classes": [[index, sorted(members)] for index, members in self._classes.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned.

        :raises UserError: if the state was recorded on another stream.
        """
        if state["stream"] != self.stream:
            raise UserError(
                f"these predictions are of the stream {self.stream!r}, the saved ones of "
                f"{state['stream']!r}; create them with stream={state['stream']!r}"
            )
        self.reset()
        self._order = list(state["order"])
        self._classes = {index: set(members) for index, members in state["classes"]}

    def __str__(self) -> str:
        return "Stream_Predictions"


def _only(logits: Tensor, classes: list[int]) -> Tensor:
    """Return ``logits`` with those of all classes but ``classes`` at minus infinity."""
    allowed = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
    allowed[[c for c in classes if c < logits.shape[1]]] = True
    return logits.masked_fill(~allowed, -torch.inf)
