"""The learning rates of a stage of training beside the main loop: the run's schedule, stretched."""

from __future__ import annotations

import copy
from typing import Any, Protocol, runtime_checkable

from avalanche.training.plugins import LRSchedulerPlugin
from torch.optim.lr_scheduler import LambdaLR

from cl_strategies.plugins.incremental.strategy import IncrementalStrategy


@runtime_checkable
class Schedule(Protocol):
    """A plugin that sets learning rates and says which it would set anywhere in an experience."""

    def factor_at(self, strategy: IncrementalStrategy, share: float) -> float:
        """By what the first learning rate is multiplied when ``share`` of the epochs is over."""


def first_rate(options: dict[str, Any]) -> float:
    """Return the learning rate of an optimizer's options before any scheduler."""
    return float(options.get("initial_lr", options["lr"]))


def stage_factor(
    strategy: IncrementalStrategy, schedule: str, epoch: int, epochs: int, within: float = 0
) -> float:
    """By what the first learning rate of a stage is multiplied.

    A stage of E epochs has at epoch e what the main loop of T epochs has at e T / E. That is known
    exactly of ``[train] schedule`` and of schedulers with a formula; of others, the rates that the
    main loop has used are taken, each for as long as its share of the experience.

    :param schedule: ``"run"``, as above, or ``"constant"``.
    :param epoch: of the stage, from 0; ``epochs``: how many it has.
    :param within: share of that epoch that is over, for schedulers that step in every iteration.
    """
    if schedule == "constant":
        return 1.0
    share, factor = epoch / epochs, 1.0
    setters = [p for p in strategy.plugins if isinstance(p, Schedule | LRSchedulerPlugin)]
    for plugin in setters:
        known = (
            plugin.factor_at(strategy, share)
            if isinstance(plugin, Schedule)
            else _scheduled(plugin, strategy, share, (epoch + within) / epochs)
        )
        if known is None:
            return _recorded(strategy, share)
        factor *= known
    return factor if setters else _recorded(strategy, share)


def _recorded(strategy: IncrementalStrategy, share: float) -> float:
    rates = strategy.experience_rates
    if not rates:
        return 1.0
    return float(rates[int(share * len(rates))] / first_rate(strategy.initial_options))


def _scheduled(
    plugin: Any, strategy: IncrementalStrategy, share: float, steps: float
) -> float | None:
    """Return the factor of a scheduler with a formula; ``None`` for another.

    :param share: of the epochs; ``steps``: of the iterations that are over.
    """
    if plugin.first_exp_only and strategy.clock.train_exp_counter > 0:
        return 1.0
    scheduler = copy.copy(plugin.scheduler)
    regular = plugin.reset_scheduler and plugin.reset_lr and not plugin.first_epoch_only
    if not regular or plugin.metric is not None:
        return None
    per_epoch = plugin.step_granularity == "epoch"
    length = strategy.train_epochs if per_epoch else strategy.clock.train_exp_iterations
    scheduler.last_epoch = (share if per_epoch else steps) * length
    if isinstance(scheduler, LambdaLR):
        return float(scheduler.lr_lambdas[0](scheduler.last_epoch))
    formula = getattr(scheduler, "_get_closed_form_lr", None)
    return None if formula is None else float(formula()[0] / scheduler.base_lrs[0])
