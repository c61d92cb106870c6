"""How long the training of an experience is going to be."""

from __future__ import annotations

import math
from typing import Any

from avalanche.benchmarks.scenarios.online import OnlineCLExperience

from cl_strategies.plugins.protocols.training import TrainingStrategy


def sizes_of(strategy: TrainingStrategy) -> dict[str, Any]:
    """Return ``iterations`` of the experience that begins, ``None`` if not known, and
    ``batch_size``.

    :param strategy: in ``before_training_exp``.
    """
    try:
        iterations = strategy.train_epochs * len(strategy.dataloader) * _parts(strategy.experience)
    except TypeError:  # a loader or a data set without a length
        iterations = None
    return {"iterations": iterations or None, "batch_size": strategy.train_mb_size}


def is_whole(experience: Any) -> bool:
    """Return whether an experience ends with this training; a part of one may not be the last."""
    return not isinstance(experience, OnlineCLExperience) or bool(experience.is_last_subexp)


def _parts(experience: Any) -> int:
    if not isinstance(experience, OnlineCLExperience):
        return 1
    whole = experience.origin_experience
    return 1 if whole is None else math.ceil(len(whole.dataset) / len(experience.dataset))
