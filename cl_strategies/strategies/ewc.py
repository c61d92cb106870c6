"""Elastic weight consolidation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.plugins.regularization.estimated import EWCPlugin
from cl_strategies.strategies.base import Strategy


class EWC(Strategy):
    """EWC (Kirkpatrick et al., PNAS 2017), by default with Avalanche's estimate of importances.

    :param ewc_lambda: strength of the penalty; there is no factor 1/2.
    :param mode: ``"separate"``: a penalty per experience around its own parameters; ``"online"``
        (Schwarz et al., ICML 2018): one around the last. Both cost the same after any number of
        experiences.
    :param decay_factor: what remains of the old importances after each experience, in
        [0, 1]; used in online mode only.
    :param fisher: ``"batch"``: squared gradients of mini-batches, which depend on the batch size;
        or the Fisher information, of single samples: ``"empirical"`` with the true labels,
        ``"sampled"`` with labels drawn from the model's distribution as in the paper, ``"exact"``
        with its expectation.
    :param fisher_samples: training samples that the estimate is taken from, drawn at random;
        ``None`` for all.
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        ewc_lambda: float = 100.0,
        mode: str = "separate",
        decay_factor: float = 1.0,
        fisher: str = "batch",
        fisher_samples: int | None = None,
        exclude: Sequence[str] = (),
        **template: Any,
    ) -> None:
        self.regularizer = EWCPlugin(
            ewc_lambda,
            mode,
            decay_factor,
            fisher=fisher,
            fisher_samples=fisher_samples,
            exclude=exclude,
        )
        super().__init__(method=[self.regularizer], **template)
