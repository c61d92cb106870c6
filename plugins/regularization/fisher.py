"""The diagonal of the Fisher information, from gradients of single samples.

Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017; van de Ven,
"On the computation of the Fisher information in continual learning", 2025, compares the choices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from avalanche.models import MultiTaskModule
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

#: Numbers that the gradients of one group of samples may take together.
_NUMBERS = 2**24

Loss = Callable[[Tensor, Tensor], Tensor]
Gradients = dict[str, Tensor]


def sample_fisher(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor, Tensor]],
    labels: str,
    loss: Loss,
) -> Gradients:
    """Return ``mean over samples of (d loss / d theta)^2``, elementwise, by parameter name.

    :param model: in evaluation mode, so that samples do not depend on each other.
    :param batches: inputs ``(N, ...)``, labels ``(N,)`` and task labels ``(N,)``.
    :param labels: ``"true"``: the empirical Fisher information; ``"sampled"``: a label drawn from
        the softmax of the logits of each sample; ``"expected"``: the expectation over it, one
        backward pass for each logit.
    :param loss: mean loss of logits and labels, used with true labels; otherwise the loss is the
        negative logarithm of the softmax.
    :returns: zeros for a frozen parameter.
    """
    parameters = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    totals = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    size = max(1, _NUMBERS // max(1, sum(p.numel() for p in parameters.values())))
    count = 0
    for batch in batches:
        for x, y, task in _groups(batch, size):
            count += len(x)
            for targets, weights in _targets(model, x, y, task, labels):
                found = _gradients(
                    model,
                    parameters,
                    x,
                    targets,
                    task,
                    loss if labels == "true" else F.cross_entropy,
                )
                for name, gradients in found.items():
                    squares = gradients.square()
                    if weights is not None:
                        squares *= weights.view(-1, *[1] * (squares.dim() - 1))
                    totals[name] += squares.sum(0)
    return {name: total / max(1, count) for name, total in totals.items()}


def _groups(
    batch: tuple[Tensor, Tensor, Tensor], size: int
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Parts of a batch of at most ``size`` samples, each of one task."""
    x, y, tasks = batch
    for task in tasks.unique().tolist():
        rows = (tasks == task).nonzero().flatten().to(x.device)
        for part in rows.split(size):
            yield x[part], y[part], int(task)


@torch.no_grad()
def _targets(
    model: nn.Module, x: Tensor, y: Tensor, task: int, labels: str
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Return labels to differentiate the loss at, and the weight of each (``None``: 1)."""
    if labels == "true":
        yield y, None
        return
    probabilities = _call(model, x, task).softmax(1)
    if labels == "sampled":
        yield torch.multinomial(probabilities, 1).flatten(), None
        return
    for label in range(probabilities.shape[1]):
        yield torch.full_like(y, label), probabilities[:, label]


def _gradients(
    model: nn.Module, parameters: Mapping[str, Tensor], x: Tensor, y: Tensor, task: int, loss: Loss
) -> Gradients:
    """Gradients ``(N, *shape)`` of the loss of each sample."""

    def of_one(values: Mapping[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, dict(values), _arguments(model, sample[None], task))
        return loss(logits, label[None])

    try:
        return vmap(grad(of_one), in_dims=(None, 0, 0))(dict(parameters), x, y)
    except RuntimeError:  # a layer that torch.func cannot follow: sample by sample
        each = [
            _gradient(model, parameters, x[i : i + 1], y[i : i + 1], task, loss)
            for i in range(len(x))
        ]
        return {name: torch.stack([one[name] for one in each]) for name in parameters}


def _gradient(
    model: nn.Module, parameters: Mapping[str, Tensor], x: Tensor, y: Tensor, task: int, loss: Loss
) -> Gradients:
    live = dict(model.named_parameters())
    wanted = [live[name] for name in parameters]
    with torch.enable_grad():
        value = loss(_call(model, x, task), y)
    found = torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True)
    return dict(zip(parameters, found, strict=True))


def _call(model: nn.Module, x: Tensor, task: int) -> Tensor:
    return model(*_arguments(model, x, task))


def _arguments(model: nn.Module, x: Tensor, task: int) -> tuple[Any, ...]:
    return (x, task) if isinstance(model, MultiTaskModule) else (x,)
