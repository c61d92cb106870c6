"""phi over the course of a run: experiences, optimizer, mask-level steps, checkpoints."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Unit
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.seen_classes import rule_out_unseen, unseen_ruled_out
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.masking.bilevel import (
    Batch,
    InnerLoss,
    MaskObjective,
    inner_losses,
    mask_gradients,
    mask_losses,
)
from cl_strategies.plugins.masking.cam_extractor import CamExtractor
from cl_strategies.plugins.masking.options import LearnedActivations
from cl_strategies.plugins.masking.pade import PadeActivations, count_relus
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation

#: From a strategy to the loss of its method.
HostLoss = Callable[[Any, Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]

_NOT_BEGUN = "masks are learned within an experience: call begin first"


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class MaskSteps:
    """Number, size and learning rates of the mask-level steps."""

    mask_lr: Annotated[
        float,
        Gt(0),
        Doc(
            "Beta_2: learning rate of phi at the start of an experience; it falls to 0 along a "
            "cosine."
        ),
        Equation("Eq. 9"),
    ] = 0.01
    inner_lr: Annotated[
        float,
        Gt(0),
        Doc(
            "Beta_1: learning rate of the network's step within a mask-level step, a plain "
            "gradient step whatever optimizer trains the network; it falls like ``mask_lr``."
        ),
        Equation("Eq. 7"),
    ] = 0.1
    mask_steps: Annotated[
        float,
        Gt(0),
        Doc("Mask-level steps after each epoch, per new class; at least one is made."),
    ] = 0.5
    mask_batch_size: Annotated[
        int, Ge(1), Doc("Size of each of the two batches of such a step."), Unit("samples")
    ] = 16


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class MaskSchedule(MaskSteps):
    """How phi is optimized: as the paper says, and as the released code does where it is silent.

    :raises UserError: for an option out of its range.
    """

    optimizer: Annotated[
        Literal["adam", "sgd"],
        Doc('Optimizer of phi: ``"adam"``, as released, or ``"sgd"``, the plain step of Eq. 9.'),
    ] = "adam"
    weight_decay: Annotated[float, Ge(0), Doc("Weight decay of phi.")] = 5e-4
    clip: Annotated[float, Ge(0), Doc("Greatest norm of the gradient; 0 for no limit.")] = 1.0
    outer: Annotated[
        Literal["new", "all"],
        Doc(
            'What judges a step: ``"new"``: the new data, as in Algorithm 1; ``"all"``: new data '
            "and exemplars, as released."
        ),
    ] = "new"
    start: Annotated[
        Literal["previous", "first"],
        Doc(
            'Where phi begins: ``"previous"``: where the last experience ended, as in Algorithm 1; '
            '``"first"``: where the first one ended, as in effect in the released code.'
        ),
    ] = "previous"


def criterion_loss(
    strategy: TrainingStrategy, network: Callable[[Tensor], Tensor], x: Tensor, y: Tensor
) -> Tensor:
    """Return the strategy's criterion, which is the loss of replay."""
    loss: Tensor = strategy._criterion(rule_out_unseen(strategy, network(x)), y)
    return loss


@hyperparameters
class MaskLearner:
    """Learns the activation functions that the masks are made with.

    They belong to no optimizer but the one here, and are in no ``parameters()`` of the network.
    """

    def __init__(
        self,
        *,
        objective: Annotated[MaskObjective, Doc("What phi is optimized for.")],
        schedule: Annotated[MaskSchedule, Doc("How it is optimized.")],
        learned_activations: LearnedActivations = 0,
        host_loss: Annotated[
            HostLoss, Doc("Loss of the method that CIM is plugged into.")
        ] = criterion_loss,
    ) -> None:
        self.objective = objective
        self.schedule = schedule
        self.learned_activations = learned_activations
        self.host_loss = host_loss
        self.activations: PadeActivations | None = None
        self._first: dict[str, Tensor] | None = None
        self._first_sites = 0
        self._optimizer: torch.optim.Optimizer | None = None
        self._extractor: CamExtractor | None = None
        self._checked = False

    def begin(self, strategy: TrainingStrategy, dataset: Any) -> PadeActivations:
        """Start an experience: make phi if there is none, and a fresh optimizer for it.

        :param dataset: The data of the experience, two samples of which go through the network.
        """
        samples = dataset.eval()
        x = torch.stack([samples[row][0] for row in range(min(2, len(samples)))])
        x = x.to(strategy.device)
        self._extractor = CamExtractor(strategy.model, x)
        self._checked = False
        with torch.no_grad(), evaluating(strategy.model):
            sites = count_relus(lambda: strategy.model(x))
        if self.activations is None:
            self.activations = PadeActivations(sites, learnable=self.learned_activations)
        elif self._first is not None and self.schedule.start == "first":
            first = PadeActivations(self._first_sites, learnable=self.learned_activations)
            first.load_state_dict(self._first)
            self.activations = first
        if self.activations.sites != sites:  # the network has another backbone
            self.activations = self.activations.resized(sites)
        self.activations.to(strategy.device)
        kind = torch.optim.Adam if self.schedule.optimizer == "adam" else torch.optim.SGD
        self._optimizer = kind(
            self.activations.parameters(),
            lr=self.schedule.mask_lr,
            weight_decay=self.schedule.weight_decay,
        )
        return self.activations

    def steps(
        self,
        strategy: TrainingStrategy,
        inner: Iterator[Batch],
        outer: Iterator[Batch],
        *,
        count: int,
        progress: float,
    ) -> None:
        """Take mask-level steps (Eq. 7 to 9); the network is left as it was.

        An inner step that raises the loss of the batch it is taken on is warned of, once in an
        experience.

        :param count: How many steps to take.
        :param progress: Share of the experience's epochs that are over, for both learning rates.
        """
        activations, extractor = self._ready()
        fade = 0.5 * (1 + math.cos(math.pi * progress))
        with evaluating(strategy.model), unseen_ruled_out(strategy):
            for _ in range(count):
                batch, lr = next(inner), self.schedule.inner_lr * fade
                self._check_descent(strategy, batch, lr)
                gradients = mask_gradients(
                    strategy.model,
                    activations,
                    extractor,
                    batch,
                    next(outer),
                    self.objective,
                    lr=lr,
                    inner_loss=self._inner_loss(strategy),
                )
                self._update(gradients, fade)

    def _check_descent(self, strategy: TrainingStrategy, batch: Batch, lr: float) -> None:
        if self._checked or not self.objective.second_order:
            return
        self._checked = True
        before, after = inner_losses(
            strategy.model,
            *self._ready(),
            batch,
            self.objective,
            lr=lr,
            inner_loss=self._inner_loss(strategy),
        )
        if not after <= before:
            warnings.warn(
                f"a step of CIM's inner problem at a rate of {lr:.3g} (inner_lr = "
                f"{self.schedule.inner_lr:g}, faded) raises the loss of the batch that it is taken "
                f"on from {before:.3g} to {after:.3g}: it says nothing of the masks. Give a "
                "smaller inner_lr; networks with BatchNorm need much less here than in training",
                stacklevel=2,
            )

    def joint_loss(self, strategy: TrainingStrategy) -> Tensor:
        """Return the loss of the mini-batch with masks, for training phi and theta together."""
        (activations, extractor), objective = self._ready(), self.objective
        batch = (strategy.mb_x, strategy.mb_y)
        # evaluating() leaves the statistics of BatchNorm alone
        with evaluating(strategy.model), unseen_ruled_out(strategy):
            found = mask_losses(
                strategy.model, activations, extractor, batch, objective, self._inner_loss(strategy)
            )
        return (
            found.inner + objective.diversity * found.diversity + objective.penalty * found.penalty
        )

    def joint_update(self, progress: float, scale: float = 1.0) -> None:
        """Take a step of phi along the gradients that the backward pass has left.

        :param scale: Factor of those gradients; after an overflow of a scaler phi stays as it is.
        """
        parameters = list(self._ready()[0].parameters())
        gradients = [p.grad for p in parameters if p.grad is not None]
        if scale != 1:
            gradients = [gradient / scale for gradient in gradients]
            if not all(bool(gradient.isfinite().all()) for gradient in gradients):
                for parameter in parameters:
                    parameter.grad = None
                return
        if len(gradients) == len(parameters):
            self._update(gradients, 0.5 * (1 + math.cos(math.pi * progress)))

    def end(self) -> None:
        """End an experience, and remember phi if it was the first."""
        if self._first is None:
            self._first = _copy(self._ready()[0])
            self._first_sites = self._ready()[0].sites
        self._optimizer = self._extractor = None

    def _inner_loss(self, strategy: TrainingStrategy) -> InnerLoss:
        return lambda network, x, y: self.host_loss(strategy, network, x, y)

    def _update(self, gradients: list[Tensor], fade: float) -> None:
        (activations, _), optimizer = self._ready(), self._optimizer
        if optimizer is None:
            raise UserError(_NOT_BEGUN)
        for parameter, gradient in zip(activations.parameters(), gradients, strict=True):
            parameter.grad = gradient.detach().clone()
        if self.schedule.clip:
            nn.utils.clip_grad_norm_(activations.parameters(), self.schedule.clip)
        for group in optimizer.param_groups:
            group["lr"] = self.schedule.mask_lr * fade
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _ready(self) -> tuple[PadeActivations, CamExtractor]:
        if self.activations is None or self._extractor is None:
            raise UserError(_NOT_BEGUN)
        return self.activations, self._extractor

    def state_dict(self) -> dict[str, Any]:
        """Return phi, and what it was after the first experience."""
        return {
            "sites": None if self.activations is None else self.activations.sites,
            "phi": None if self.activations is None else _copy(self.activations),
            "first": self._first,
            "first_sites": self._first_sites,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.activations = None
        if state["sites"] is not None:
            self.activations = PadeActivations(state["sites"], learnable=self.learned_activations)
            self.activations.load_state_dict(state["phi"])
        self._first, self._first_sites = state["first"], state["first_sites"]


def endless(dataset: Any, size: int, device: torch.device) -> Iterator[Batch]:
    """Yield shuffled batches of images and labels without end."""
    loader = DataLoader(
        dataset,
        batch_size=min(size, len(dataset)),
        shuffle=True,
        drop_last=True,
        collate_fn=dataset.collate_fn,
    )
    while True:
        for x, y, *_ in loader:
            yield x.to(device), y.to(device).long()


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone().cpu() for name, value in module.state_dict().items()}
