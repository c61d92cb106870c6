"""Networks of which a later task filters the feature maps of frozen convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.task_layers.conversion import find_parts, put
from cl_strategies.plugins.task_layers.functional.reprogramming import (
    identity_kernels,
    reprogram,
)
from cl_strategies.plugins.task_layers.layers import TaskConv2d
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.task_tensors import Task
from cl_strategies.validation.hyperparameters import hyperparameters


class Reprogramming(nn.Module):
    """What a task stores for one convolution: a kernel per output channel, ``(J, k, k)``.

    :param weight: of the convolution, ``(J, I, kh, kw)``.
    :param size: of the kernels, ``k``.
    """

    bias = None  # that of the convolution is shared

    def __init__(self, weight: Tensor, size: int) -> None:
        super().__init__()
        self.kernels = nn.Parameter(identity_kernels(len(weight), size)[:, 0].to(weight))

    def forward(self, features: Tensor) -> Tensor:
        """:param features: ``(N, J, h, w)``. :returns: ``(N, J, h, w)``."""
        return reprogram(features, self.kernels[:, None])


class ReprogrammedConv2d(TaskConv2d):
    """A convolution that all tasks share, and behind it the kernels of the task."""

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, C, H, W)``. :returns: ``(N, J, H', W')``."""
        kernels = self.entry()
        features = self._conv_forward(x, self.weight, self.bias)
        return features if kernels is None else kernels(features)


@hyperparameters
class ReprogrammingModel(TaskModel):
    """Every task has kernels behind the convolutions, normalizations and a head of its own.

    All weights below the heads are the first task's, or with ``pretrained_base`` those given,
    and frozen. At its beginning a later task computes the features of the base, whose kernels
    change nothing. Convolutions of 1 x 1 are left as they are. See
    :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else it does.

    :param network: what it says there, with a convolution larger than 1 x 1.
    :raises UserError: if the network cannot be divided or has no such convolution, or for an even
        size of the kernels.
    """

    method: ClassVar[str] = "CLR"

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        kernel_size: Annotated[
            int,
            Ge(1),
            Doc("Height and width of the kernels of a task, odd."),
        ] = 3,
        pretrained_base: Annotated[
            bool,
            Doc(
                "Take the weights of the network as they are given for the base: the first task "
                "has kernels, too, and trains no other weights below its head."
            ),
        ] = False,
    ) -> None:
        chosen = [n for n, m in find_parts(network, self.method).layers.items() if _is_large(m)]
        if not chosen:
            raise UserError(
                f"{self.method} reprograms the channels of convolutions larger than 1 x 1, and "
                f"{type(network).__name__} has none below its heads: use a convolutional network, "
                "such as wide-lenet, or another method with parameters per task"
            )
        if kernel_size % 2 == 0:
            raise UserError(
                f"kernel_size is {kernel_size}: give an odd number, so that a kernel has a middle"
            )
        super().__init__(network)
        self.kernel_size, self.pretrained_base = kernel_size, pretrained_base
        for name in chosen:
            layer = network.get_submodule(name)
            put(network, name, ReprogrammedConv2d(layer, self.switch).train(layer.training))  # type: ignore[arg-type]
        if pretrained_base:
            for parameter in self.shared_parameters():
                parameter.requires_grad_(False)

    def begin_layers(self, task: Task) -> None:
        """Give every large convolution kernels that change nothing; not in training the base."""
        if self.first_name(task) is None and not self.pretrained_base:
            return
        for layer in self.layers.values():
            if isinstance(layer, ReprogrammedConv2d):
                layer.tasks[task.name] = Reprogramming(layer.weight, self.kernel_size)

    def describe(self, task: Task) -> dict[str, Any]:
        """Return the size of the kernels, which a state from another model may differ in."""
        return {"kernel_size": self.kernel_size}

    def restore_layers(self, task: Task, saved: Mapping[str, Any]) -> None:
        """Make room for the kernels.

        :raises UserError: if those saved have another size.
        """
        if saved["kernel_size"] != self.kernel_size:
            raise UserError(
                f"the state has kernels of size {saved['kernel_size']}, and this model of "
                f"{self.kernel_size}: give the same kernel_size"
            )
        self.begin_layers(task)


def _is_large(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1
