"""Incremental rank updates (Hyder, Shao, Hou, Markopoulos, Prater-Bennette, Asif, "Incremental Task
Learning with Incremental Rank Updates", ECCV 2022).

The weights of a layer are a sum of rank-one matrices. Each task adds some, which later tasks reuse
as they are, each of them times a number of its own: its selector.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.errors import UserError


def selected_weight(left: Tensor, right: Tensor, selector: Tensor) -> Tensor:
    """Return the weights of a task, ``U diag(s) V^T`` of the columns that it knows.

    It is the paper's factorization with a selector, where weights are inputs x outputs; here they
    are outputs x inputs, as in PyTorch.

    :param left: ``U``, ``(J, R)``; later tasks may have added columns.
    :param right: ``V``, ``(I, R)``.
    :param selector: ``s``, ``(r,)`` with ``r <= R``.
    :returns: ``(J, I)``.
    """
    rank = len(selector)
    return (left[:, :rank] * selector) @ right[:, :rank].T


def initial_selector(old_columns: int, new_columns: int) -> Tensor:
    """Return what the selector of a task starts from: its new columns alone.

    :returns: zeros, then ones, ``(old_columns + new_columns,)``, float64.
    :raises UserError: for a negative number of columns.

    >>> initial_selector(2, 1)
    tensor([0., 0., 1.], dtype=torch.float64)
    """
    if old_columns < 0 or new_columns < 0:
        raise UserError(
            f"there are {old_columns} old and {new_columns} new columns: give numbers from 0"
        )
    return torch.cat([torch.zeros(old_columns), torch.ones(new_columns)]).double()


def rank_update_size(
    out_features: int, in_features: int, *, task: int, first_rank: int = 11, added_rank: int = 1
) -> int:
    """Count the numbers that a task adds in one layer: its columns and its selector.

    Biases are not in it, and neither is the last layer.

    :param out_features: ``J``.
    :param in_features: ``I``, or ``I kh kw`` of a kernel that is unfolded.
    :param task: position of the task, from 0.
    :param first_rank: columns of the first task.
    :param added_rank: columns that each later task adds.
    :raises UserError: for a negative task or rank.

    >>> rank_update_size(256, 784, task=0), rank_update_size(256, 784, task=3)
    (11451, 1054)
    """
    if min(task, first_rank, added_rank) < 0:
        raise UserError(
            f"task is {task} and the ranks are {first_rank} and {added_rank}: give numbers from 0"
        )
    columns = added_rank if task else first_rank
    return (out_features + in_features) * columns + first_rank + task * added_rank
