"""The samples that are evaluated during training: few, the same ones at every point."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.data.flatten import attribute_column


def class_balanced(labels: Any, samples: int, seed: int | Sequence[int]) -> list[int]:
    """Draw samples without replacement, of each class as many as of any other, or all it has.

    :param labels: class of each sample (n,).
    :param samples: how many to draw; all if there are not more.
    :param seed: of the draw, which leaves global generators alone.
    :returns: indices, ascending.
    :raises UserError: for labels that are no row of classes, or less than one sample.
    """
    classes = np.asarray(labels)
    if classes.ndim != 1 or not len(classes) or samples < 1:
        raise UserError(
            f"a sub-sample has 1 sample or more of a row of classes; got {samples} of labels with "
            f"the shape {classes.shape}: give a test set with one class for each sample"
        )
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(classes))
    names, which = np.unique(classes[shuffled], return_inverse=True)
    turn = np.empty(len(classes), dtype=np.int64)  # of a sample among those of its class
    for name in range(len(names)):
        members = which == name
        turn[members] = np.arange(members.sum())
    first = np.lexsort((generator.permutation(len(names))[which], turn))
    chosen: list[int] = np.sort(shuffled[first[:samples]]).tolist()
    return chosen


def draw(experience: Any, samples: int, seed: int) -> list[int]:
    """Draw a class-balanced sub-sample of a test experience, by its place in its stream.

    Methods that are compared on one stream with one ``seed`` get the same samples.

    :raises UserError: as :func:`class_balanced`.
    """
    labels = attribute_column(experience.dataset.targets)
    return class_balanced(labels, samples, [seed, index_of(experience)])


def subset_of(experience: Any, indices: Sequence[int]) -> Any:
    """Return a copy of a test experience with these samples only."""
    part = copy.copy(experience)
    part._dataset = experience.dataset.subset(list(indices))
    return part


def index_of(experience: Any) -> int:
    """Return the place of an experience in its stream, also while Avalanche hides it."""
    with experience.no_attribute_masking():
        return int(experience.current_experience)
