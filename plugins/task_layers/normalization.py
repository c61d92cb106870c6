"""Networks of which a later task has nothing but its normalizations and its head."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.models.batch_norm import BatchNorm1d
from cl_strategies.plugins.task_layers.conversion import find_parts, put
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.validation.hyperparameters import hyperparameters

_NORMALIZATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


@hyperparameters
class NormalizationModel(TaskModel):
    """Every task has its own normalizations and head; all other weights are the first task's.

    "BN-Tuned" in Wen et al., "BatchEnsemble", ICLR 2020. See
    :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else it does.

    :param network: what it says there, with normalization layers that have parameters.
    :raises UserError: if the network cannot be divided, or has no normalization to tune.
    """

    method: ClassVar[str] = "batch-norm"

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        insert: Annotated[
            bool,
            Doc(
                "Put a BatchNorm behind every Linear and Conv2d below the heads of a network "
                "without normalization layers; ``False`` refuses such a network."
            ),
        ] = True,
    ) -> None:
        layers = find_parts(network, self.method).layers
        if not any(tunable(module) for module in network.modules()):
            if not insert:
                raise UserError(
                    f"{self.method} trains normalization layers for each task, and "
                    f"{type(network).__name__} has none with parameters: use a model with "
                    "BatchNorm, such as wide-lenet, or insert=True, which adds one after every "
                    "Linear and Conv2d"
                )
            insert_batch_norms(network, layers)
        super().__init__(network)


def tunable(module: nn.Module) -> bool:
    """Return whether ``module`` is a normalization with parameters."""
    return isinstance(module, _NORMALIZATIONS) and bool(list(module.parameters(recurse=False)))


def insert_batch_norms(network: nn.Module, layers: dict[str, nn.Module]) -> None:
    """Put a BatchNorm behind each of ``layers``, in place.

    :param network: what holds them.
    :param layers: Linear and Conv2d layers by name in ``network``.
    """
    for name, layer in layers.items():
        norm = (
            nn.BatchNorm2d(layer.out_channels)
            if isinstance(layer, nn.Conv2d)
            else BatchNorm1d(layer.out_features)  # type: ignore[arg-type]
        )
        norm.to(next(layer.parameters())).train(layer.training)
        put(network, name, nn.Sequential(layer, norm))
