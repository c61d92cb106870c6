"""Watching a training: where it is, and its loss, for who shows or logs it.

What watches is among the plugins only while an experience is trained. It draws no random number and
is no part of what is captured, so that a run computes the same whoever watches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

import torch
from avalanche.core import SupervisedPlugin

from cl_strategies.errors.boundary import ours
from cl_strategies.plugins.features.generators import isolated_rng

#: Seconds between two moments of an epoch.
PERIOD = 1.0


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where a run is.

    :param experience: its position in the stream, from 0.
    :param experiences: in the stream.
    :param epoch: epochs of this experience that are over; on a stream of parts, of all parts.
    :param epochs: epochs that this experience was given; some methods train more.
    :param share: of this experience that is over, 0 to 1.
    :param loss: mean over the steps of the epoch so far, as the optimizer sees it.
    :param lr: learning rate of the first group of parameters.
    :param seconds: since the epoch began.
    :param over: whether the epoch has just ended.
    """

    experience: int
    experiences: int
    epoch: int
    epochs: int
    share: float
    loss: float
    lr: float
    seconds: float
    over: bool


Watch = Callable[[Moment], None]


def told_of(*watches: Watch | None) -> Watch | None:
    """Return one that tells all of them; ``None`` if there are none."""
    some = [watch for watch in watches if watch is not None]

    def tell(moment: Moment) -> None:
        for watch in some:
            watch(moment)

    return tell if some else None


class Watched:
    """``with Watched(...): ...`` around the training of an experience: its epochs are told of.

    (A class, since exceptions of foreign code that pass need not bear what a generator does with
    them.)

    :param strategy: what trains.
    :param steps: what is trained, one after the other.
    :param told: what it raises is the caller's, and ends the run; ``None`` to do nothing.
    :param position: of the experience in the stream of ``total``.
    """

    def __init__(
        self, strategy: Any, steps: Any, told: Watch | None, *, position: int, total: int
    ) -> None:
        parts = len(steps) if isinstance(steps, Sized) else 1
        self.strategy = strategy
        self.plugin = (
            None if told is None else _Watcher(told, position, total, parts * strategy.train_epochs)
        )

    def __enter__(self) -> Watched:
        if self.plugin is not None:
            self.strategy.plugins.append(self.plugin)
        return self

    def __exit__(self, *raised: object) -> None:
        if self.plugin is not None:
            kept = [one for one in self.strategy.plugins if one is not self.plugin]
            self.strategy.plugins[:] = kept

    @property
    def telling(self) -> float:
        """Seconds that telling took, which are none of training."""
        return 0.0 if self.plugin is None else self.plugin.telling


class _Watcher(SupervisedPlugin):
    """Tells of the end of each epoch, and every :data:`PERIOD` within it.

    The losses are added up where they are, so that no step waits for a device.
    """

    def __init__(self, told: Watch, position: int, total: int, epochs: int) -> None:
        super().__init__()
        self._told, self._position, self._total, self._epochs = told, position, total, epochs
        self._over = 0
        self.telling = 0.0
        self._begin()

    def _begin(self) -> None:
        self._began = self._spoke = time.monotonic()
        self._sum: Any = 0.0
        self._steps = 0

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self._begin()

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self._sum = self._sum + torch.as_tensor(strategy.loss).detach().double().mean()
        self._steps += 1
        if time.monotonic() - self._spoke >= PERIOD:
            batches = len(getattr(strategy, "dataloader", ()) or ())
            self._tell(strategy, self._steps / batches if batches else 0.0)

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self._over += 1
        self._tell(strategy, 0.0, over=True)

    def _tell(self, strategy: Any, begun: float, *, over: bool = False) -> None:
        moment = Moment(
            experience=self._position,
            experiences=self._total,
            epoch=self._over,
            epochs=self._epochs,
            share=min(1.0, (self._over + begun) / self._epochs),
            loss=float(self._sum) / self._steps if self._steps else float("nan"),
            lr=float(strategy.optimizer.param_groups[0]["lr"]),
            seconds=time.monotonic() - self._began,
            over=over,
        )
        began = time.monotonic()
        with ours(), isolated_rng():
            self._told(moment)
        self._spoke = time.monotonic()
        self.telling += self._spoke - began


def sparingly(told: Watch, period: float = 0.5) -> Watch:
    """Return ``told`` for who looks only: the first moment, and then at most one in ``period``
    seconds."""
    latest = float("-inf")

    def tell(moment: Moment) -> None:
        nonlocal latest
        now = time.monotonic()
        if now - latest >= period:
            latest = now
            told(moment)

    return tell
