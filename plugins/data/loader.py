"""A loader that draws the same batches as the one it stands for, from memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from avalanche.benchmarks.utils.data_loader import MultiDatasetDataLoader, MultiDatasetSampler
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from cl_strategies.plugins.data.flatten import NotResident
from cl_strategies.plugins.data.store import Store
from cl_strategies.plugins.data.table import Indices, ResidentTable


class ResidentLoader:
    """Mini-batches ``[x, y, ...]`` on the training device, sliced from a :class:`ResidentTable`.

    Which samples form a batch is decided by the samplers of the stock loader, and the global
    generator is drawn from as often as PyTorch's iterator does, so batches come in the same order
    and what the model draws afterwards is the same, too. Every batch is a copy: changing it in
    place harms nothing. Other attributes are those of the stock loader.

    :param stock: a PyTorch loader, or any of Avalanche's.
    :param store: where samples are kept.
    :param device: where batches are wanted.
    :raises NotResident: if its batches cannot be made from memory.
    """

    def __init__(self, stock: Any, store: Store, device: torch.device) -> None:
        self.stock = stock
        if isinstance(stock, MultiDatasetDataLoader):
            kind: Any = type(stock)
            if (
                kind.__iter__ is not MultiDatasetDataLoader.__iter__
                or kind._get_loader is not MultiDatasetDataLoader._get_loader
            ):
                raise NotResident(f"{kind.__name__} has its own way of making batches")
            datasets, options = stock.datasets, stock.loader_kwargs
            collate, self._generator = options["collate_fn"], options.get("generator")
        elif type(stock) is DataLoader:
            if stock.batch_sampler is None or isinstance(stock.dataset, IterableDataset):
                raise NotResident("its samples are not batched by a sampler")
            datasets = [stock.dataset]
            collate, self._generator = stock.collate_fn, stock.generator
        else:
            raise NotResident(f"a loader of type {type(stock).__name__} is not known")
        if collate is not default_collate:
            raise NotResident("its samples are collated by a function of their own")
        # "cuda" means the current device; tensors know its number.
        self.table = ResidentTable(datasets, store, torch.empty(0, device=device).device)

    def __len__(self) -> int:
        return len(self.stock)

    def __iter__(self) -> Iterator[list[Tensor]]:
        indices = _index_batches(self._batch_sampler())
        # PyTorch draws a seed for its workers here, even if there are none.
        torch.empty((), dtype=torch.int64).random_(generator=self._generator)
        for batch in indices:
            yield self.table.batch(batch)

    def __getattr__(self, name: str) -> Any:
        if name == "stock":  # not set yet: while unpickling or copying
            raise AttributeError(name)
        return getattr(self.stock, name)

    def _batch_sampler(self) -> Any:
        stock = self.stock
        if isinstance(stock, DataLoader):
            return stock.batch_sampler
        samplers = stock._create_samplers(
            stock.datasets, stock.batch_sizes, stock.distributed_sampling, stock.loader_kwargs
        )
        return MultiDatasetSampler(
            stock.datasets,
            samplers,
            termination_dataset_idx=stock.termination_dataset,
            oversample_small_datasets=stock.oversample_small_datasets,
            never_ending=stock.never_ending,
        )


def _index_batches(sampler: Any) -> Iterator[Indices]:
    """Yield the batches of ``sampler``: slices if they are contiguous, else index tensors."""
    inner = sampler
    if type(sampler) is MultiDatasetSampler and len(sampler.samplers) == 1:
        inner = sampler if sampler.never_ending else sampler.samplers[0]
    if type(inner) is BatchSampler:
        order = inner.sampler
        if type(order) is SequentialSampler:
            return _sequential(len(order), inner.batch_size, inner.drop_last)
        # The draw of a generator of the user's own is left to the sampler itself.
        if (
            type(order) is RandomSampler
            and order.generator is None
            and not order.replacement
            and order.num_samples == len(order.data_source)
        ):
            return _shuffled(len(order), inner.batch_size, inner.drop_last)
    return (torch.as_tensor(batch) for batch in sampler)


def _sequential(n: int, size: int, drop_last: bool) -> Iterator[slice]:
    for start in range(0, n - size + 1 if drop_last else n, size):
        yield slice(start, min(start + size, n))


def _shuffled(n: int, size: int, drop_last: bool) -> Iterator[Tensor]:
    """Draw as ``RandomSampler``: a seed from the global generator, a permutation from the seed."""
    generator = torch.Generator()
    generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    order = torch.randperm(n, generator=generator)
    for part in _sequential(n, size, drop_last):
        yield order[part]
