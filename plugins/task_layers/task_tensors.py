"""Which tensors of a network with weights per task belong to which task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from avalanche.models import MultiTaskModule
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.resources import parameter_bytes, tensor_bytes
from cl_strategies.plugins.task_layers.conversion import divide, head_modules
from cl_strategies.plugins.task_layers.layers import Switch, TaskDict


@dataclass
class Task:
    """One learned task: its label, its class ids, and whether it is finished."""

    label: int
    classes: tuple[int, ...]
    finished: bool = False

    @property
    def name(self) -> str:
        """Key of the task in module dictionaries."""
        return str(self.label)


class TaskNetwork(MultiTaskModule):
    """A network with what each task has of its own, by task and by layer.

    :param network: Network to divide, in place; see
        :func:`~cl_strategies.plugins.task_layers.conversion.divide`.
    :ivar tasks: the tasks in the order of learning.
    :raises UserError: if the network cannot be divided, with the reason.
    """

    #: What the network is divided for, in errors.
    method: ClassVar[str] = "this method"
    #: What becomes of ``nn.Linear`` and ``nn.Conv2d``; other layers are frozen after a task.
    kinds: ClassVar[Mapping[Any, Any]] = {}

    def __init__(self, network: nn.Module, /) -> None:
        super().__init__()
        self.switch = Switch()
        parts = divide(network, self.switch, self.kinds, self.method)
        self.network = network
        self.tasks: list[Task] = []
        names = {id(module): name for name, module in network.named_modules()}
        self._head_name = names[id(parts.head)]
        self._fixed_names = tuple(names[id(layer)] for layer in parts.fixed.values())
        self._layer_names, self._norm_names = tuple(parts.layers), tuple(parts.norms)

    @property
    def head(self) -> nn.Module:
        """The multi-head classifier."""
        return self.network.get_submodule(self._head_name)

    @property
    def layers(self) -> dict[str, Any]:
        """The linear and convolutional layers below the heads, by name."""
        return {name: self.network.get_submodule(name) for name in self._layer_names}

    @property
    def norms(self) -> dict[str, Any]:
        """The normalizations by name."""
        return {name: self.network.get_submodule(name) for name in self._norm_names}

    @property
    def current(self) -> Task | None:
        """The task being trained, if any."""
        return self.tasks[-1] if self.tasks and not self.tasks[-1].finished else None

    def task(self, label: int) -> Task:
        """Return the learned task with this label.

        :raises UserError: if there is none.
        """
        for task in self.tasks:
            if task.label == label:
                return task
        raise UserError(
            f"task {label} was not learned; learned were {[task.label for task in self.tasks]}"
        )

    def first_name(self, task: Task) -> str | None:
        """Return the name of the first task; ``None`` if ``task`` is the first."""
        return None if task is self.tasks[0] else self.tasks[0].name

    def entries(self, task: Task) -> dict[str, Any]:
        """Return the entries of ``task`` by layer; layers without one are left out."""
        return {
            name: layer.tasks[task.name]
            for name, layer in self.layers.items()
            if task.name in getattr(layer, "tasks", ())
        }

    def norms_of(self, task: Task) -> list[nn.Module]:
        """Return the normalizations of ``task``."""
        base = task.name == self.switch.base
        return [norm.base if base else norm.tasks[task.name] for norm in self.norms.values()]

    def dictionaries(self) -> Iterator[TaskDict]:
        """Return where the modules of tasks are."""
        holders = (*self.layers.values(), *self.norms.values())
        yield from (holder.tasks for holder in holders if hasattr(holder, "tasks"))
        yield from (part for part in self.head.children() if isinstance(part, TaskDict))

    def modules_of(self, task: Task) -> Iterator[nn.Module]:
        """Yield the modules that ``task`` alone uses, without the shared layers."""
        yield from self.entries(task).values()
        yield from self.norms_of(task)
        yield from head_modules(self.head, task.name)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the layers that tasks share, frozen layers included."""
        layers = self.layers.values()
        own = [p for layer in layers for p in (layer.weight, layer.bias) if p is not None]
        fixed = [self.network.get_submodule(name) for name in self._fixed_names]
        return [*own, *(p for layer in fixed for p in layer.parameters())]

    def parameters_of(self, task: Task) -> list[nn.Parameter]:
        """Return the parameters that ``task`` trains; the first also trains the shared ones."""
        own = [p for module in self.modules_of(task) for p in module.parameters()]
        return [*self.shared_parameters(), *own] if task.name == self.switch.base else own

    def base_size(self) -> int:
        """Count the parameters of the network of the first task, with its head."""
        if self.tasks:
            return sum(p.numel() for p in self.parameters_of(self.tasks[0]))
        own = [p for norm in self.norms.values() for p in norm.base.parameters()]
        return sum(p.numel() for p in (*self.shared_parameters(), *own))

    def stored_bytes(self) -> dict[int, int]:
        """Return the bytes of parameters and persistent buffers of each task alone, by label."""
        return {
            task.label: sum(parameter_bytes(module) for module in self.modules_of(task))
            for task in self.tasks
        }

    def growth(self) -> float:
        """Return what all tasks after the first store, relative to the network of the first."""
        first, *later = self.stored_bytes().values() if self.tasks else (0,)
        return sum(later) / (first + tensor_bytes(self.shared_parameters()))
