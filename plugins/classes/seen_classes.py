"""Outputs of classes that have not come yet are ruled out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import MultiTaskModule
from torch import Tensor
from torch.nn.functional import pad

from cl_strategies.plugins.classes.class_loss import over_present_classes
from cl_strategies.plugins.classes.class_order import ABSENT, classes_of, labels_by_task
from cl_strategies.plugins.classes.options import UnseenClasses
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class SeenClassesPlugin(SupervisedPlugin):
    """Set the logits of classes that were never trained to ``ABSENT``, which rules them out.

    A head with an output for every class of the stream otherwise learns from the first mini-batch
    that most classes do not occur, and has to unlearn it when they come. With this plugin such a
    head trains and predicts as one that grows: losses are over the classes seen so far, outputs of
    other classes get no gradient, and predictions are among the classes seen. Before any training
    nothing is ruled out.

    A class counts as seen as soon as an experience with it is trained. Models that are given task
    labels (Avalanche's ``MultiTaskModule``) have classes per task; in all others a class is seen
    whichever task it came with.

    The plugin acts on ``strategy.mb_output`` in training and evaluation, for any Avalanche
    strategy; make it the first one. Code that computes outputs beside the main loop calls
    :func:`rule_out_unseen`, or runs within :func:`unseen_ruled_out`.

    Cross-entropy with label smoothing or class weights is taken over the classes that are not
    ruled out (:class:`PresentClassesLoss`); a loss of the user's
    own gets the logits as they are, with ``ABSENT`` in them.

    :raises UserError: for another choice.
    """

    def __init__(self, *, unseen_classes: UnseenClasses = "mask") -> None:
        super().__init__()
        self.unseen_classes = unseen_classes
        self._seen = torch.zeros(0, 0, dtype=torch.bool)  # by task label and class id
        self._complete: int | None = None  # width at which there is nothing to rule out

    def seen(self, task: int | None = None) -> list[int]:
        """Return the classes that were trained, in ascending order.

        :param task: only with this task label.
        """
        rows = self._seen if task is None else self._seen[task : task + 1]
        return rows.any(0).nonzero().flatten().tolist()

    # ------------------------------------------------------------------ what is seen

    def before_training(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        strategy._criterion = over_present_classes(strategy._criterion)

    def before_eval(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        strategy._criterion = over_present_classes(strategy._criterion)

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Note the classes of the experience, of what is trained with it, and of memories."""
        experience = strategy.experience
        if hasattr(experience, "classes_in_this_experience"):
            for task in {int(task) for task in getattr(experience, "task_labels", (0,))}:
                self._see(task, classes_of(experience, task))
        memories = [getattr(p, "storage_policy", None) for p in strategy.plugins]
        buffers = [m.buffer for m in memories if m is not None and hasattr(m, "buffer")]
        for data in (strategy.adapted_dataset, *buffers):
            for task, classes in labels_by_task(data).items():
                self._see(task, classes)

    def _see(self, task: int, classes: list[int]) -> None:
        self._widen(task + 1, max(classes, default=-1) + 1)
        self._seen[task, classes] = True
        self._complete = None

    def _widen(self, tasks: int, classes: int) -> None:
        more = [
            max(0, n - have) for n, have in zip((tasks, classes), self._seen.shape, strict=True)
        ]
        if any(more):
            self._seen = pad(self._seen, (0, more[1], 0, more[0]))

    # ------------------------------------------------------------------ what is ruled out

    def after_forward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        strategy.mb_output = self.rule_out(strategy.model, strategy.mb_output, _tasks(strategy))

    def after_eval_forward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        strategy.mb_output = self.rule_out(strategy.model, strategy.mb_output, _tasks(strategy))

    def rule_out(self, model: Any, output: Any, tasks: Tensor | int | None = None) -> Any:
        """Return ``output`` with the logits of unseen classes set to ``ABSENT``, as a new tensor.

        :param model: that computed it.
        :param output: logits ``(N, classes)``; anything else is returned as it is.
        :param tasks: task labels ``(N,)``, one for all, or ``None``.
        """
        if self.unseen_classes == "train" or not isinstance(output, Tensor) or output.ndim != 2:
            return output
        width = output.shape[1]
        self._widen(1, width)
        self._seen = self._seen.to(output.device)
        seen = self._seen[:, :width]
        if self._complete is None:  # asked once per experience, because the answer waits for it
            self._complete = width if bool(seen.all()) else 0
        if self._complete == width:
            return output
        if tasks is None or not isinstance(model, MultiTaskModule):
            seen = seen.any(0, keepdim=True)
        else:  # a task that has not come has the last row, in which no class was seen
            labels = torch.as_tensor(tasks, device=output.device).reshape(-1)
            seen = pad(seen, (0, 0, 0, 1))[labels.clamp_max(len(seen))]
        if not model.training:
            seen = seen | ~seen.any(1, keepdim=True)
        return torch.where(seen, output, ABSENT)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return a line for each task label, with a 1 for each class that was seen."""
        rows = ["".join("01"[seen] for seen in row).rstrip("0") for row in self._seen.tolist()]
        return {"seen": "\n".join(rows).rstrip("\n")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace what was seen by what :meth:`state_dict` returned."""
        self._seen, self._complete = torch.zeros(0, 0, dtype=torch.bool), None
        for task, row in enumerate(state["seen"].split("\n")):
            if row:
                self._see(task, [label for label, seen in enumerate(row) if seen == "1"])


def _tasks(strategy: TrainingStrategy) -> Any:
    """Return the task labels of the mini-batch, if the model is given any."""
    if not isinstance(strategy.model, MultiTaskModule) or not hasattr(
        strategy.experience, "task_labels"
    ):
        return None
    return strategy.mb_task_id


def _plugin(strategy: TrainingStrategy) -> SeenClassesPlugin | None:
    return next(
        (p for p in getattr(strategy, "plugins", ()) if isinstance(p, SeenClassesPlugin)), None
    )


def rule_out_unseen(
    strategy: TrainingStrategy, output: Any, tasks: Tensor | int | None = None
) -> Any:
    """Rule unseen classes out of an output that was computed beside the main loop.

    :param tasks: task labels ``(N,)``.
    :returns: ``output`` itself for a strategy without :class:`SeenClassesPlugin`.
    """
    plugin = _plugin(strategy)
    return output if plugin is None else plugin.rule_out(strategy.model, output, tasks)


@contextmanager
def unseen_ruled_out(strategy: TrainingStrategy) -> Iterator[None]:
    """Rule unseen classes out of every output of ``strategy.model`` within the context.

    For code that calls the model itself, such as passes that estimate importances.
    """
    plugin = _plugin(strategy)
    if plugin is None:
        yield
        return

    def mask(model: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        return plugin.rule_out(model, output, inputs[1] if len(inputs) > 1 else None)

    handle = strategy.model.register_forward_hook(mask)
    try:
        yield
    finally:
        handle.remove()
