"""LifeQuant's BaLL loss as a plugin."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.avalanche_data import labels_of
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.quantization.functional.balanced_loss import (
    BalancedForm,
    balanced_cross_entropy,
)
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters
class BalancedLossPlugin(SupervisedPlugin):
    """Train with the cross-entropy of logits that are rebalanced for the frequency of each class.

    A class counts with its samples in ``strategy.adapted_dataset`` and in the buffer of any replay
    plugin (one with a ``storage_policy``). The plain criterion is back after the experience, and in
    evaluations. It needs one classifier over all classes: class ids of several heads would be mixed
    up.

    :raises UserError: for an option out of its range.
    """

    first_by_position: ClassVar[str] = "form"

    def __init__(
        self,
        *,
        form: Annotated[
            BalancedForm,
            Doc(
                '``"probability"``: as in the proof of the theorem; ``"logit"``: the theorem as '
                'printed; ``"released"``: the authors\' code; ``"prior"``: the balanced softmax, '
                "which is not LifeQuant's."
            ),
            Equation("Theorem 5.3"),
        ] = "probability",
        max_ratio: Annotated[
            float | None,
            Gt(0),
            Doc("Bound of ``1 / (K p)``, the factor of a rare class; ``None``: no bound."),
        ] = 50.0,
    ) -> None:
        super().__init__()
        self.form = form
        self.max_ratio = max_ratio
        self.counts: Tensor | None = None
        self._plain: Any = None

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the criterion is no plain cross-entropy, or there are several task
        labels."""
        self.counts = class_counts(strategy)
        self._restore(strategy)
        check_cross_entropy(strategy._criterion)
        self._replace(strategy)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the balanced loss of a batch, with the counts of the running experience."""
        if self.counts is None:
            raise UserError("no classes have been counted yet: that happens when training starts")
        counts = fitted(self.counts, logits)
        return balanced_cross_entropy(
            logits, labels, counts, form=self.form, max_ratio=self.max_ratio
        )

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._restore(strategy)

    def before_eval(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._pause = self._plain is not None
        self._restore(strategy)

    def after_eval(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        if self._pause:
            self._replace(strategy)

    _pause = False

    def _replace(self, strategy: TrainingStrategy) -> None:
        self._plain, strategy._criterion = strategy._criterion, self.loss

    def _restore(self, strategy: TrainingStrategy) -> None:
        if self._plain is not None:
            strategy._criterion, self._plain = self._plain, None

    def state_dict(self) -> dict[str, Any]:
        """Return the class counts of the last experience."""
        return {"counts": None if self.counts is None else self.counts.clone()}

    def load_state_dict(self, state: Any) -> None:
        """Go on from :meth:`state_dict`."""
        self.counts = None if state["counts"] is None else state["counts"].clone()


def class_counts(strategy: TrainingStrategy) -> Tensor:
    """Count the training samples of each class id, new and replayed.

    :param strategy: a strategy in the training of an experience.
    :returns: int64 counts, up to the largest id.
    :raises UserError: if there are several task labels.
    """
    sources = [strategy.adapted_dataset]
    for plugin in strategy.plugins:
        buffer = getattr(getattr(plugin, "storage_policy", None), "buffer", None)
        if buffer is not None and len(buffer):
            sources.append(buffer)
    tasks = {task for data in sources for task in labels_of(data)[1] or ()}
    if len(tasks) > 1 or any(task != 0 for task in tasks):
        raise UserError(
            f"the data have the task labels {sorted(tasks)}, whose class ids mean different "
            "classes: the balanced loss needs a class- or domain-incremental stream"
        )
    labels = torch.cat([torch.as_tensor(list(data.targets)) for data in sources])
    return torch.bincount(labels.long())


def fitted(counts: Tensor, logits: Tensor) -> Tensor:
    """Extend ``counts`` to as many classes as there are logits, on their device."""
    missing = logits.shape[1] - len(counts)
    if missing < 0:
        raise UserError(
            f"there are {len(counts)} classes and {logits.shape[1]} logits: give the model a "
            "classifier with a logit for each class"
        )
    return nn.functional.pad(counts, (0, missing)).to(logits.device)


def check_cross_entropy(criterion: Any) -> None:
    """:raises UserError: unless ``criterion`` is the mean cross-entropy, which BaLL replaces."""
    plain = (
        isinstance(criterion, nn.CrossEntropyLoss)
        and criterion.weight is None
        and criterion.label_smoothing == 0
        and criterion.reduction == "mean"
    )
    if not plain:
        raise UserError(
            f"the criterion is {criterion!r}: the balanced loss replaces a plain "
            "nn.CrossEntropyLoss() and no other"
        )
