"""Which experiences a strategy has trained, whatever they are parts of."""

from __future__ import annotations

from typing import Any

import numpy as np
from avalanche.benchmarks.scenarios.online import OnlineCLExperience
from avalanche.training.supervised import JointTraining

from cl_strategies.plugins.protocols.training import TrainingStrategy


def experiences_begun(strategy: TrainingStrategy, trained: int) -> list[int]:
    """Return the indices of the experiences whose training begins now.

    Joint training begins several; a part of an online stream's experience none but the first.

    :param strategy: a strategy in ``before_training_exp``.
    :param trained: number of experiences begun before.
    """
    if isinstance(strategy, JointTraining):
        return [_logged_index(exp) for exp in strategy._experiences]
    experience = strategy.experience
    if not isinstance(experience, OnlineCLExperience):
        return [experience.current_experience]
    if not experience.is_first_subexp:
        return []
    whole = experience.origin_experience
    return [trained if whole is None else _logged_index(whole)]


def classes_begun(strategy: TrainingStrategy) -> list[set[int]]:
    """Return the classes of each experience that is trained now, also of a part of one."""
    if isinstance(strategy, JointTraining):
        return [_classes(exp) for exp in strategy._experiences]
    return [_classes(strategy.experience)]


def _classes(experience: Any) -> set[int]:
    declared = getattr(experience, "classes_in_this_experience", None)
    if declared is None:
        declared = np.unique(np.asarray(list(experience.dataset.targets)))
    return {int(label) for label in declared}


def _logged_index(experience: Any) -> int:
    with experience.no_attribute_masking():
        return int(experience.current_experience)
