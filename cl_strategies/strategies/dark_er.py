"""Dark experience replay, DER and DER++."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from annotated_types import Ge
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.benchmarks.utils.flat_data import FlatData
from avalanche.models import avalanche_forward
from avalanche.training.utils import cycle
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, default_collate
from typing_extensions import Doc

from cl_strategies.plugins.classes.class_order import ABSENT
from cl_strategies.plugins.classes.experience import has_task_labels
from cl_strategies.plugins.classes.seen_classes import rule_out_unseen
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.rehearsal.memories import OrderedClassBalancedBuffer
from cl_strategies.plugins.rehearsal.options import MemBatchSize, MemSize
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.strategies.templates.batches import joined, moved


class DarkER(Strategy):
    """Replay of stored samples with the logits they had (Buzzega et al., NeurIPS 2020).

    Computes what Avalanche's ``DER`` computes (with ``unseen_classes="train"``), and more: the
    criterion of the strategy is used throughout, heads may grow or be one per task, and a memory
    that holds fewer samples than a replay batch is replayed rather than ignored.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mem_size: MemSize = 200,
        batch_size_mem: MemBatchSize = 0,
        alpha: Annotated[
            float, Ge(0), Doc("Weight of the squared error to the stored logits.")
        ] = 0.1,
        beta: Annotated[
            float,
            Ge(0),
            Doc("Weight of the criterion on the replayed samples; above 0 this is DER++."),
        ] = 0.5,
        **template: Any,
    ) -> None:
        super().__init__(**template)
        self.batch_size_mem = batch_size_mem or self.train_mb_size
        self.alpha = alpha
        self.beta = beta
        self.storage_policy = LogitsBuffer(mem_size)
        self._replay: Iterator[list[Any]] | None = None
        self._replayed_logits: Tensor | None = None

    def _before_training_exp(self, **kwargs: Any) -> None:
        memory = self.storage_policy.buffer
        if len(memory):
            loader = DataLoader(
                memory,
                batch_size=min(self.batch_size_mem, len(memory)),
                shuffle=True,
                drop_last=True,
                collate_fn=_collate_with_logits,
                num_workers=kwargs.get("num_workers", 0),
            )
            self._replay = cycle(loader)
        super()._before_training_exp(**kwargs)

    def _after_training_exp(self, **kwargs: Any) -> None:
        self._replay, self._replayed_logits = None, None
        self.storage_policy.post_adapt(self, self.experience)
        super()._after_training_exp(**kwargs)

    def _before_forward(self, **kwargs: Any) -> None:
        super()._before_forward(**kwargs)
        if self._replay is not None:
            *replayed, logits = (moved(part, self.device) for part in next(self._replay))
            for index, part in enumerate(replayed):
                self.mbatch[index] = joined(part, self.mbatch[index])
            self._replayed_logits = logits

    def criterion(self) -> Tensor:
        """Return the criterion on the current samples, and DER's two terms on the replayed ones."""
        if not self.is_training or self._replayed_logits is None:
            return super().criterion()
        stored = self._replayed_logits
        n = len(stored)
        then = stored > ABSENT  # classes that the model knew when the logits were stored
        now = self.mb_output[:n, : stored.shape[1]]
        loss = self._criterion(self.mb_output[n:], self.mb_y[n:])
        loss = loss + self.alpha * mse_loss(now[then], stored[then])
        return loss + self.beta * self._criterion(self.mb_output[:n], self.mb_y[:n])


class LogitsBuffer(OrderedClassBalancedBuffer):
    """A class-balanced reservoir whose samples carry the logits of the model that stored them."""

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        logits = FlatData([_logits(agent_state, exp.dataset)], discard_elements_not_in_indices=True)
        attribute = DataAttribute(logits, "logits", use_in_getitem=True)
        self.update_from_dataset(exp.dataset.update_data_attribute("logits", attribute))


@torch.no_grad()
def _logits(strategy: Any, dataset: Any) -> list[Tensor]:
    model = strategy.model
    rows: list[Tensor] = []
    with evaluating(model):
        for x, *_, last in DataLoader(dataset.eval(), batch_size=strategy.train_mb_size):
            tasks = last if has_task_labels(dataset) else None
            output = avalanche_forward(model, x.to(strategy.device), tasks)
            output = rule_out_unseen(strategy, output, tasks)
            rows += [row.clone() for row in output.cpu()]
    return rows


def _collate_with_logits(batch: list[Any]) -> list[Any]:
    """Stack samples; logits of a smaller head are padded with ``ABSENT``."""
    *rest, logits = zip(*batch, strict=True)
    padded = pad_sequence(list(logits), batch_first=True, padding_value=ABSENT)
    return [*(default_collate(list(part)) for part in rest), padded]
