"""phi over the course of a run: phases, optimiser, mask-level steps, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cl_strategies.errors import UserError
from cl_strategies.plugins.masking.bilevel import (
    Batch,
    InnerLoss,
    MaskObjective,
    mask_gradients,
    mask_losses,
)
from cl_strategies.plugins.masking.pade import PadeActivations, count_relus
from cl_strategies.plugins.masking.tap import Tap
from cl_strategies.plugins.modes import evaluating
from cl_strategies.plugins.seen_classes import rule_out_unseen, unseen_ruled_out

#: From a strategy to the loss of its method.
HostLoss = Callable[[Any, Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]

_NOT_BEGUN = "masks are learned within an experience: call begin first"


@dataclass(frozen=True, kw_only=True)
class MaskSchedule:
    """How phi is optimised: as the paper says, and as the released code does where it is silent.

    :param lr: beta_2, at the start of an experience; it falls to 0 along a cosine.
    :param inner_lr: beta_1, likewise. It belongs to the plain gradient step of Eq. 7, whatever
        optimizer trains the network: a rate for Adam would make that step too short to count.
    :param optimizer: ``"adam"``, as released, or ``"sgd"``, the plain step of Eq. 9.
    :param weight_decay: of phi.
    :param clip: greatest norm of the gradient; 0 for no limit.
    :param batch_size: samples of each of the two batches of a step.
    :param steps_per_class: steps after each epoch, per new class; at least one is made.
    :param outer: ``"new"``: the step is judged on the new data (Algorithm 1); ``"all"``: on new
        data and exemplars, as released.
    :param start: ``"previous"``: phi goes on from experience to experience (Algorithm 1);
        ``"first"``: each starts where the first ended, as in effect in the released code.
    :raises UserError: for an option out of range.
    """

    lr: float = 0.01
    inner_lr: float = 0.1
    optimizer: str = "adam"
    weight_decay: float = 5e-4
    clip: float = 1.0
    batch_size: int = 16
    steps_per_class: float = 0.5
    outer: str = "new"
    start: str = "previous"

    def __post_init__(self) -> None:
        choices = {
            "optimizer": ("adam", "sgd"),
            "outer": ("new", "all"),
            "start": ("previous", "first"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}: use {' or '.join(allowed)}")
        for name in ("lr", "inner_lr", "batch_size", "steps_per_class"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}: give a number above 0")
        if self.weight_decay < 0 or self.clip < 0:
            raise UserError("weight_decay and clip cannot be negative")


def criterion_loss(
    strategy: Any, network: Callable[[Tensor], Tensor], x: Tensor, y: Tensor
) -> Tensor:
    """The strategy's criterion: the loss of replay."""
    loss: Tensor = strategy._criterion(rule_out_unseen(strategy, network(x)), y)
    return loss


class MaskLearner:
    """Learns the activation functions that the masks are made with.

    They belong to no optimizer but the one here, and are in no ``parameters()`` of the network.

    :param objective: what phi is optimised for.
    :param schedule: how.
    :param learnable: how many activation functions are learned, counted from the last of the
        network; all if 0. 4 are those of the last stage of a ResNet-18.
    :param host_loss: loss of the method that CIM is plugged into.
    """

    def __init__(
        self,
        objective: MaskObjective,
        schedule: MaskSchedule,
        *,
        learnable: int = 0,
        host_loss: HostLoss = criterion_loss,
    ) -> None:
        self.objective = objective
        self.schedule = schedule
        self.learnable = learnable
        self.host_loss = host_loss
        self.activations: PadeActivations | None = None
        self._first: dict[str, Tensor] | None = None
        self._first_sites = 0
        self._optimizer: torch.optim.Optimizer | None = None
        self._tap: Tap | None = None

    def begin(self, strategy: Any, dataset: Any) -> PadeActivations:
        """Start an experience: make phi if there is none, and a fresh optimizer for it.

        :param dataset: its data, for a look at the network.
        """
        samples = dataset.eval()
        x = torch.stack([samples[row][0] for row in range(min(2, len(samples)))])
        x = x.to(strategy.device)
        self._tap = Tap(strategy.model, x)
        with torch.no_grad(), evaluating(strategy.model):
            sites = count_relus(lambda: strategy.model(x))
        if self.activations is None:
            self.activations = PadeActivations(sites, learnable=self.learnable)
        elif self._first is not None and self.schedule.start == "first":
            first = PadeActivations(self._first_sites, learnable=self.learnable)
            first.load_state_dict(self._first)
            self.activations = first
        if self.activations.sites != sites:  # the network has another backbone
            self.activations = self.activations.resized(sites)
        self.activations.to(strategy.device)
        kind = torch.optim.Adam if self.schedule.optimizer == "adam" else torch.optim.SGD
        self._optimizer = kind(
            self.activations.parameters(),
            lr=self.schedule.lr,
            weight_decay=self.schedule.weight_decay,
        )
        return self.activations

    def steps(
        self,
        strategy: Any,
        inner: Iterator[Batch],
        outer: Iterator[Batch],
        *,
        count: int,
        progress: float,
    ) -> None:
        """Mask-level steps (Eq. 7 to 9); the network is left as it was.

        :param count: how many.
        :param progress: share of the experience's epochs that are over, for both learning rates.
        """
        activations, tap = self._ready()
        fade = 0.5 * (1 + math.cos(math.pi * progress))
        with evaluating(strategy.model), unseen_ruled_out(strategy):
            for _ in range(count):
                gradients = mask_gradients(
                    strategy.model,
                    activations,
                    tap,
                    next(inner),
                    next(outer),
                    self.objective,
                    lr=self.schedule.inner_lr * fade,
                    inner_loss=self._inner_loss(strategy),
                )
                self._update(gradients, fade)

    def joint_loss(self, strategy: Any) -> Tensor:
        """The loss of the current mini-batch with masks, for training phi and theta together."""
        (activations, tap), objective = self._ready(), self.objective
        batch = (strategy.mb_x, strategy.mb_y)
        # evaluating() leaves the statistics of BatchNorm alone
        with evaluating(strategy.model), unseen_ruled_out(strategy):
            found = mask_losses(
                strategy.model, activations, tap, batch, objective, self._inner_loss(strategy)
            )
        return (
            found.inner + objective.diversity * found.diversity + objective.penalty * found.penalty
        )

    def joint_update(self, progress: float, scale: float = 1.0) -> None:
        """A step of phi along the gradients that the backward pass has left.

        :param scale: of those gradients; with a scaler, an overflow leaves phi alone.
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
        """End an experience."""
        if self._first is None:
            self._first = _copy(self._ready()[0])
            self._first_sites = self._ready()[0].sites
        self._optimizer = self._tap = None

    def _inner_loss(self, strategy: Any) -> InnerLoss:
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
            group["lr"] = self.schedule.lr * fade
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _ready(self) -> tuple[PadeActivations, Tap]:
        if self.activations is None or self._tap is None:
            raise UserError(_NOT_BEGUN)
        return self.activations, self._tap

    def state_dict(self) -> dict[str, Any]:
        """phi, and what it was after the first experience."""
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
            self.activations = PadeActivations(state["sites"], learnable=self.learnable)
            self.activations.load_state_dict(state["phi"])
        self._first, self._first_sites = state["first"], state["first_sites"]


def endless(dataset: Any, size: int, device: torch.device) -> Iterator[Batch]:
    """Shuffled batches of images and labels, over and over."""
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
