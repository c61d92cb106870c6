"""Samples that are kept out of training, and trained on before each evaluation."""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Unit
from avalanche.models import MultiTaskModule
from avalanche.training.plugins import SupervisedPlugin
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.bayesian.functional import k_center_order
from cl_strategies.plugins.bayesian.refinement import refined
from cl_strategies.plugins.classes.experience import task_labels_of
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class CoresetPlugin(SupervisedPlugin):
    """Take a coreset out of each experience, and refine the model on the coresets to predict.

    For each evaluation a copy of the model is trained on all coresets, or, with a head per task,
    on that of the task evaluated, and then discarded (Algorithm 1, lines 7 to 9).

    The model is a :class:`~cl_strategies.plugins.bayesian.variational_model.VariationalModel`.

    :ivar coresets: the samples, by experience.
    :raises UserError: for an option out of its range, and at the start of an experience of no
        more samples than a coreset has.
    """

    transient_attributes = ("_refined", "_whole")

    def __init__(
        self,
        *,
        coreset: Annotated[
            Literal["none", "random", "k-center"],
            Doc(
                'How the samples of an experience are chosen that are kept to predict: ``"none"`` '
                'are; ``"random"``; ``"k-center"``: each the farthest from those before it.'
            ),
        ] = "none",
        coreset_size: Annotated[
            int, Ge(1), Doc("How many samples of each experience are kept."), Unit("samples")
        ] = 40,
    ) -> None:
        super().__init__()
        self.coreset = coreset
        self.coreset_size = coreset_size
        self.coresets: list[Any] = []
        self.tasks: list[list[int]] = []
        self._refined: dict[tuple[int, ...], Any] = {}
        self._whole: Any = None

    def after_train_dataset_adaptation(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        """Choose the coreset, and train on the other samples."""
        if self.coreset == "none":
            return
        data = strategy.adapted_dataset
        if len(data) <= self.coreset_size:
            raise UserError(
                f"coreset_size is {self.coreset_size}, and the experience has {len(data)} samples: "
                "give a smaller one, so that there are some left to train on"
            )
        if self.coreset == "random":
            order = torch.randperm(len(data))[: self.coreset_size]
        else:
            inputs = data.eval()
            points = torch.stack([torch.as_tensor(sample[0]).flatten() for sample in inputs])
            order = k_center_order(points.float(), self.coreset_size)
        kept = order.tolist()
        rest = sorted(set(range(len(data))) - set(kept))
        self.coresets.append(data.subset(kept))
        self.tasks.append(task_labels_of(strategy.experience))
        strategy.adapted_dataset = data.subset(rest)

    def before_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self._give_back(strategy)

    def before_eval(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self._give_back(strategy)
        self._refined = {}

    def before_eval_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Put a model that was trained on the coresets in place of the strategy's."""
        of_task = isinstance(strategy.model, MultiTaskModule)
        labels = tuple(task_labels_of(strategy.experience)) if of_task else ()
        pairs = zip(self.coresets, self.tasks, strict=True)
        chosen = [data.eval() for data, own in pairs if not of_task or {*own} & {*labels}]
        if not chosen:
            return
        if labels not in self._refined:
            self._refined = {labels: refined(strategy, copy.deepcopy(strategy.model), chosen)}
        self._whole, strategy.model = strategy.model, self._refined[labels]
        strategy.model_adaptation()

    def after_eval_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self._give_back(strategy)

    def after_eval(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self._refined = {}

    def _give_back(self, strategy: Any) -> None:
        if self._whole is not None:
            strategy.model, self._whole = self._whole, None
