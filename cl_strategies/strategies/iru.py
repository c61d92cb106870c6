"""IRU (Hyder, Shao, Hou, Markopoulos, Prater-Bennette, Asif, "Incremental Task Learning with
Incremental Rank Updates", ECCV 2022)."""

from __future__ import annotations

from cl_strategies.plugins.low_rank.rank_model import RankUpdateModel
from cl_strategies.strategies.templates.task_model import TaskModelStrategy


class IRU(TaskModelStrategy):
    """Weights of low rank, to which every task adds some rank; a task weighs what is there.

    The weights of the first task have rank ``first_rank``. A later task trains ``added_rank`` new
    columns of each factor, a number for each column there is, its biases, normalizations and head.
    Older columns are reused as they are and never change, so that the outputs of old tasks do not,
    either.

    The authors train with the squared error of softmax outputs; here the criterion is the
    strategy's, cross-entropy unless another is given.
    """

    model: RankUpdateModel
    model_class = RankUpdateModel
