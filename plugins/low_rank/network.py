"""Which tensors of a perturbed network belong to which task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from avalanche.models import MultiTaskModule
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.low_rank.layers import Factors, FreeWeights, Switch
from cl_strategies.plugins.low_rank.sizes import TaskSize, task_size
from cl_strategies.plugins.low_rank.surgery import head_modules, perturb


@dataclass
class Task:
    """One learned task: its label, its class ids, and whether it is finished."""

    label: int
    classes: tuple[int, ...]
    finished: bool = False

    @property
    def name(self) -> str:
        """Its key in module dictionaries."""
        return str(self.label)


class TaskNetwork(MultiTaskModule):
    """``network`` with what each task has of its own, by task and by layer.

    :param network: see :func:`~cl_strategies.plugins.low_rank.surgery.perturb`; it is changed in
        place.
    :ivar tasks: the tasks in the order of learning; the weights of the first are the base.
    :raises UserError: if the network cannot be perturbed, with the reason.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.switch = Switch()
        parts = perturb(network, self.switch)
        self.network = network
        self.tasks: list[Task] = []
        names = {id(module): name for name, module in network.named_modules()}
        self._head_name = names[id(parts.head)]
        self._layer_names, self._norm_names = tuple(parts.layers), tuple(parts.norms)

    @property
    def head(self) -> nn.Module:
        """The multi-head classifier."""
        return self.network.get_submodule(self._head_name)

    @property
    def layers(self) -> dict[str, Any]:
        """The perturbed layers by name."""
        return {name: self.network.get_submodule(name) for name in self._layer_names}

    @property
    def norms(self) -> dict[str, Any]:
        """The normalisations by name."""
        return {name: self.network.get_submodule(name) for name in self._norm_names}

    @property
    def current(self) -> Task | None:
        """The task being trained, if any."""
        return self.tasks[-1] if self.tasks and not self.tasks[-1].finished else None

    @property
    def warming_up(self) -> bool:
        """Whether the current task still has free weights."""
        task = self.current
        return task is not None and any(
            isinstance(entry, FreeWeights) for entry in self.entries(task).values()
        )

    def task(self, label: int) -> Task:
        """:raises UserError: if no task with this label was learned."""
        for task in self.tasks:
            if task.label == label:
                return task
        raise UserError(
            f"task {label} was not learned; learned were {[task.label for task in self.tasks]}"
        )

    def entries(self, task: Task) -> dict[str, Any]:
        """What ``task`` has in each perturbed layer: nothing for the base task."""
        layers = self.layers.items()
        return {name: layer.tasks[task.name] for name, layer in layers if task.name in layer.tasks}

    def factors(self, task: Task) -> dict[str, Factors]:
        """The factors of ``task`` by layer; empty for the base task and while it warms up."""
        entries = self.entries(task)
        return {name: entry for name, entry in entries.items() if isinstance(entry, Factors)}

    def norms_of(self, task: Task) -> list[nn.Module]:
        """The normalisations of ``task``."""
        base = task.name == self.switch.base
        return [norm.base if base else norm.tasks[task.name] for norm in self.norms.values()]

    def modules_of(self, task: Task) -> Iterator[nn.Module]:
        """The modules that ``task`` alone uses, without the base layers."""
        yield from self.entries(task).values()
        yield from self.norms_of(task)
        yield from head_modules(self.head, task.name)

    def parameters_of(self, task: Task) -> list[nn.Parameter]:
        """The parameters that training ``task`` changes."""
        own = [p for module in self.modules_of(task) for p in module.parameters()]
        if task.name != self.switch.base:
            return own
        return [p for layer in self.layers.values() for p in layer.parameters(recurse=False)] + own

    def base_size(self) -> int:
        """Parameters of the network of the first task, with its head."""
        base = [p for layer in self.layers.values() for p in layer.parameters(recurse=False)]
        base += [p for norm in self.norms.values() for p in norm.base.parameters()]
        if self.tasks:
            heads = head_modules(self.head, self.tasks[0].name)
            base += [p for head in heads for p in head.parameters()]
        return sum(parameter.numel() for parameter in base)

    def sizes(self) -> dict[int, TaskSize]:
        """What each task after the first stores, by label."""
        return {
            task.label: task_size(
                self.entries(task).values(),
                self.norms_of(task),
                head_modules(self.head, task.name),
            )
            for task in self.tasks[1:]
        }

    def growth(self) -> float:
        """What all tasks after the first store, relative to :meth:`base_size`."""
        return sum(size.total for size in self.sizes().values()) / self.base_size()
