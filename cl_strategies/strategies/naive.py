"""Fine-tuning: no protection against forgetting, the lower bound of every comparison."""

from __future__ import annotations

from cl_strategies.strategies.templates.base import Strategy


class Naive(Strategy):
    """Train on each experience as it comes."""
