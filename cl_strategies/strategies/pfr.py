"""Projected functional regularisation (Gomez-Villa et al., CVPR Workshops 2022)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.regularization.pfr import PFRPlugin
from cl_strategies.strategies.base import Strategy


class PFR(Strategy):
    """Fine-tuning in which a small predictor must still find the features of the network as it was
    before the experience.

    :param strength: weight of the term.
    :param predictor_lr: learning rate of the predictor.
    :param layer: module whose output are the features; ``""``: ``backbone`` or ``features``.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        strength: float = 1.0,
        predictor_lr: float = 1e-3,
        layer: str = "",
        **template: Any,
    ) -> None:
        self.regularizer = PFRPlugin(strength, predictor_lr=predictor_lr, layer=layer)
        super().__init__(method=[self.regularizer], **template)
