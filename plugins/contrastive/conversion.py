"""Giving an ordinary network prototypes in the place of its classifier."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge
from avalanche.models import MultiTaskModule
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.contrastive.network import MultiPrototypeNetwork, PrototypeNetwork
from cl_strategies.plugins.incremental.network import split_head
from cl_strategies.plugins.task_layers.conversion import find_head, put
from cl_strategies.validation.hyperparameters import hyperparameters


class _Features(nn.Module):
    """Stands where the heads were, and hands the features on."""

    def forward(self, x: Tensor, task_labels: Any = None) -> Tensor:
        return x


@hyperparameters
def prototype_network(
    model: nn.Module,
    /,
    *,
    projection_hidden: Annotated[
        int, Ge(1), Doc("Units of the two hidden layers of the projection.")
    ] = 512,
    projection_size: Annotated[
        int, Ge(1), Doc("Size of the vectors that are contrasted, outputs of the projection.")
    ] = 128,
) -> PrototypeNetwork:
    """Put prototypes in the place of the classifier of ``model``, which is changed.

    :param model: with a multi-head classifier, whose prototypes are then per task, or with a
        linear classifier on top.
    :raises UserError: if it has neither.
    """
    weight = next(model.parameters(), torch.empty(0))
    several = isinstance(model, MultiTaskModule)
    if isinstance(model, MultiHeadModel):
        backbone, size = model.backbone, model.head.in_features
    elif several:
        head = find_head(model, "PRD")
        name = next(name for name, module in model.named_modules() if module is head)
        backbone, size = model, int(head.in_features)  # type: ignore[arg-type]
        put(model, name, _Features())
    else:
        backbone, size = split_head(model)
    projection = nn.Sequential(
        nn.Linear(size, projection_hidden),
        nn.ReLU(),
        nn.Linear(projection_hidden, projection_hidden),
        nn.ReLU(),
        nn.Linear(projection_hidden, projection_size),
    )
    kind = MultiPrototypeNetwork if several else PrototypeNetwork
    network = kind(backbone, size, projection.to(weight))
    return network.train(model.training)
