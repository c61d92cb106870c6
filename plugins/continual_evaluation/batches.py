"""What is the same at every point is done once: the mini-batches of a sub-sample are kept.

Making a loader, adapting a model to what it knows and a loss that nobody reads cost more than a
forward pass of few samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from cl_strategies.plugins.continual_evaluation.subsets import index_of
from cl_strategies.plugins.data.plugin import ResidentDataPlugin

#: Bytes of mini-batches that are kept in all.
LIMIT = 2**28


class KeptBatches:
    """What the evaluation loader of a strategy yields for each sub-sample, read once."""

    def __init__(self) -> None:
        self._kept: dict[int, list[Any]] = {}  # by the place of the experience
        self._left = LIMIT
        self._adapted: set[int] = set()

    def begin(self) -> None:
        """Let the model adapt itself once more to every sub-sample, in a new experience."""
        self._adapted = set()

    @contextmanager
    def given_to(self, strategy: Any) -> Iterator[None]:
        """Let evaluations of sub-samples within the context do only what is new at each point."""
        make, adapt, plugins = (
            strategy.make_eval_dataloader,
            strategy.model_adaptation,
            strategy.plugins,
        )
        resident = [p for p in plugins if isinstance(p, ResidentDataPlugin)]
        strategy.plugins = [p for p in plugins if p not in resident]

        def loaded(**options: Any) -> None:
            index = index_of(strategy.experience)
            if index in self._kept:
                strategy.dataloader = [_again(batch) for batch in self._kept[index]]
                return
            make(**options)
            for plugin in resident:
                plugin.before_eval_exp(strategy)
            strategy.dataloader = self._watched(index, strategy.dataloader)

        def adapted(model: Any = None) -> Any:
            index = index_of(strategy.experience)
            if model is None and index in self._adapted:
                return strategy.model
            self._adapted.add(index)
            return adapt() if model is None else adapt(model)

        loss = strategy.loss
        try:
            with _shadowed(
                strategy,
                make_eval_dataloader=loaded,
                model_adaptation=adapted,
                criterion=lambda: loss,
            ):
                yield
        finally:
            strategy.plugins = plugins

    def _watched(self, index: int, loader: Iterable[Any]) -> Iterator[Any]:
        batches = []
        for batch in loader:
            batches.append(_again(batch))
            yield batch
        size = sum(part.nbytes for batch in batches for part in batch if isinstance(part, Tensor))
        if size <= self._left:
            self._left -= size
            self._kept[index] = batches


def _again(batch: Any) -> Any:
    """Return the same tensors in a list of their own, whose places a strategy fills anew."""
    return list(batch) if isinstance(batch, list | tuple) else batch


@contextmanager
def _shadowed(strategy: Any, **methods: Any) -> Iterator[None]:
    """Put functions in the place of methods of one object."""
    own = {name: vars(strategy)[name] for name in methods if name in vars(strategy)}
    vars(strategy).update(methods)
    try:
        yield
    finally:
        for name in methods:
            del vars(strategy)[name]
        vars(strategy).update(own)
