"""What methods of domain adaptation share."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge
from avalanche.models import avalanche_forward
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.adaptation.features import Penultimate
from cl_strategies.plugins.adaptation.functional import adaptation_weight, annealed_rate
from cl_strategies.plugins.adaptation.target import TargetBatches, check_target, unlabeled_images
from cl_strategies.plugins.classes.experience import mini_batch_task_labels
from cl_strategies.plugins.loss_terms.loss_term import LossTermPlugin
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class AdaptationPlugin(LossTermPlugin):
    """Draw the features of the images that are trained on, and those of the target, together.

    With each mini-batch of the source goes one of as many images of the target, through the same
    network in a pass of its own. A method is a subclass with :meth:`discrepancy`, whose value
    enters the loss. While an experience is trained its weight grows from 0 to 1, and the learning
    rates of the optimizer fall in each step, whatever sets them otherwise.

    :param target: images of the target domain: a tensor ``(N, C, H, W)`` or a data set, whose
        labels are not looked at; ``None``: what each experience brings as ``unlabeled``.
    :ivar progress: share of the steps of the experience that are done.
    :raises UserError: for an option out of its range, or a target without images.
    """

    def __init__(
        self,
        *,
        target: Any = None,
        strength: Annotated[float, Ge(0), Doc("Weight of the adaptation at its end.")] = 1.0,
        gamma: Annotated[
            float, Ge(0), Doc("How fast the weight of the adaptation grows; 0: it stays 0.")
        ] = 10.0,
        lr_alpha: Annotated[
            float, Ge(0), Doc("How soon the learning rate falls; 0: it does not.")
        ] = 10.0,
        lr_beta: Annotated[
            float, Ge(0), Doc("How far the learning rate falls; 0: it does not.")
        ] = 0.75,
        layer: Annotated[
            str,
            Doc(
                'Module whose output is the features; ``""``: ``backbone`` or ``features``, else '
                "what the last layer is given."
            ),
        ] = "",
    ) -> None:
        super().__init__()
        self.target = None if target is None else check_target(target)
        self.strength, self.gamma = strength, gamma
        self.lr_alpha, self.lr_beta = lr_alpha, lr_beta
        self.features = Penultimate(layer)
        self._forget()

    def _forget(self) -> None:
        """What serves one experience only."""
        self.progress = 0.0
        self._batches = 0
        self._images: TargetBatches | None = None
        self._rates: list[float] = []
        self._found = False
        self.features.close()

    def discrepancy(
        self, strategy: TrainingStrategy, source: Tensor, target: Tensor, logits: Any
    ) -> Tensor:
        """Return what is to become small, a scalar.

        :param source: features of the mini-batch ``(N, d)``.
        :param target: features of as many images of the target ``(N, d)``.
        :param logits: what the model answers for those.
        """
        raise NotImplementedError

    @property
    def weight(self) -> float:
        """The present weight of the adaptation, in [0, 1]."""
        return adaptation_weight(self.progress, gamma=self.gamma)

    def check_stream(self, info: Any) -> None:
        """Say before any training that a stream brings no images of a target domain.

        :param info: the ``StreamInfo`` of the stream.
        :raises UserError: if it brings none, and none were given.
        """
        if self.target is None and not info.has_target:
            raise UserError(
                f"{type(self).__name__} adapts to images of a target domain, and {info.name} "
                "brings none: use a stream that does, such as adaptation-digits"
            )

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if there are no images of a target, or of another shape."""
        self._forget()
        images = self.target
        if images is None:
            images = unlabeled_images(strategy.experience, type(self).__name__)
        self._images = TargetBatches(images, strategy)

    def before_forward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the model has no layer that gives features."""
        if not self._found:
            self.features.find(strategy.model, lambda: self._answer(strategy, strategy.mb_x))
            self._found = True
        self.features.open(strategy.model)

    def loss_term(self, strategy: TrainingStrategy) -> Tensor | None:
        source, images = self.features.take(), self._images
        self._batches += 1
        if source is None or images is None:
            return None
        logits = self._answer(strategy, images.take(strategy.mb_x))
        target = self.features.take()
        self.features.close()
        if target is None:
            return None
        return self.strength * self.discrepancy(strategy, source, target, logits)

    def _answer(self, strategy: TrainingStrategy, x: Tensor) -> Any:
        return avalanche_forward(strategy.model, x, mini_batch_task_labels(strategy))

    def before_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        groups = strategy.optimizer.param_groups
        self._rates = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] = annealed_rate(
                group["lr"], self.progress, alpha=self.lr_alpha, beta=self.lr_beta
            )

    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        for group, rate in zip(strategy.optimizer.param_groups, self._rates, strict=False):
            group["lr"] = rate
        steps = len(strategy.dataloader) * strategy.train_epochs
        self.progress = min(1.0, self._batches / max(steps, 1))

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._forget()

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: nothing is kept between experiences."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""
