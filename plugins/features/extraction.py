"""Feature vectors of images: what the last layer of a network is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cl_strategies.errors import UserError
from cl_strategies.plugins.data.flatten import NotResident, attribute_column
from cl_strategies.plugins.data.loader import ResidentLoader
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.data.store import Store
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.protocols.evaluable import Evaluable


@torch.no_grad()
def extract_features(strategy: Evaluable, dataset: Any, *, layer: str | None = None) -> Tensor:
    """Compute the features of every sample, with the network in evaluation mode.

    :param strategy: Strategy whose model computes the features.
    :param dataset: Avalanche data set, whose ``eval`` transforms are applied.
    :param layer: Name of the layer whose input counts as features; by default the last layer with
        weights.
    :returns: ``(N, d)`` on the CPU, of at least float32; the network is left in the modes it was
        in.
    :raises UserError: if no layer is found, or ``layer`` does not exist.
    """
    labels = getattr(dataset, "targets_task_labels", None)
    column = attribute_column(labels) if labels is not None else torch.zeros(len(dataset))
    result = torch.empty(0)
    with evaluating(strategy.model):
        for task in column.unique().tolist():
            index = (column == task).nonzero().flatten()
            part = dataset.eval()
            if len(index) < len(column):
                part = part.subset(index.tolist())
            loader = resident_batches(strategy, part)
            vectors = torch.cat(list(_features(strategy, loader, int(task), layer)))
            if not len(result):
                result = vectors.new_empty((len(column), vectors.shape[1]))
            result[index] = vectors
    return result


def batches(dataset: Any, size: int) -> DataLoader[Any]:
    """Load samples in order, without using the global random generators."""
    return DataLoader(
        dataset, batch_size=size, collate_fn=dataset.collate_fn, generator=torch.Generator()
    )


def resident_batches(strategy: Evaluable, dataset: Any) -> Any:
    """Load :func:`batches` from memory where the samples are there already.

    They are if they are tensors on the device of the strategy, or have a place in the store of
    its :class:`~cl_strategies.plugins.data.plugin.ResidentDataPlugin`.
    """
    loader = batches(dataset, strategy.eval_mb_size)
    stores = (
        p.store for p in getattr(strategy, "plugins", ()) if isinstance(p, ResidentDataPlugin)
    )
    try:
        return ResidentLoader(loader, next(stores, Store(0)), strategy.device)
    except NotResident:
        return loader


def wide(values: Tensor) -> Tensor:
    """Return values of half precision in float32, others as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def calls(model: nn.Module, run: Callable[[], Any]) -> list[tuple[nn.Module, Tensor, Any]]:
    """List every module that ``run`` calls, with its first input and its output."""
    seen: list[tuple[nn.Module, Tensor, Any]] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            seen.append((module, inputs[0], output))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return seen


def last_layer(seen: list[tuple[nn.Module, Tensor, Any]]) -> nn.Module | None:
    """Return the last module with weights of its own that was given feature vectors."""
    for module, given, _ in reversed(seen):
        if given.ndim == 2 and any(True for _ in module.parameters(recurse=False)):
            return module
    return None


def _features(strategy: Evaluable, loader: Any, task: int, layer: str | None) -> Iterator[Tensor]:
    module: nn.Module | None = None
    caught: list[Tensor] = []
    handle = None
    try:
        for batch in loader:
            x = batch[0].to(strategy.device)
            labels = torch.full((len(x),), task, device=x.device)

            def run(x: Tensor = x, labels: Tensor = labels) -> Any:
                return avalanche_forward(strategy.model, x, labels)

            if module is None:
                module = _layer(strategy.model, layer, run)
                handle = module.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
            run()
            yield wide(caught.pop().flatten(1).cpu())
            caught.clear()
    finally:
        if handle is not None:
            handle.remove()


def _layer(model: nn.Module, name: str | None, run: Callable[[], Any]) -> nn.Module:
    if name is not None:
        named = dict(model.named_modules())
        if name not in named:
            raise UserError(f"the model has no layer {name!r}: give a name of named_modules()")
        return named[name]
    found = last_layer(calls(model, run))
    if found is None:
        raise UserError(
            f"{type(model).__name__} has no layer with weights that is given feature vectors: "
            "name the layer whose input to select by"
        )
    return found
