"""What a method costs: seconds per experience, bytes of the model, bytes of its own state."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import get_metric_name
from torch import Tensor, nn

from cl_strategies.plugins.protocols.training import TrainingStrategy


def parameter_bytes(model: nn.Module) -> int:
    """Return the bytes that must be stored to use ``model``: parameters and persistent buffers.

    Buffers count because a network with BatchNorm or learned quantization ranges is not the same
    network without them; non-persistent buffers, which ``state_dict`` leaves out, do not. Tied
    parameters share memory and count once. A model with a method ``pruned_bytes`` says what of
    this need not be stored, because it is zero.

    :param model: any module; a parameter stored in another type counts with that type's size.
    """
    pruned = getattr(model, "pruned_bytes", None)
    whole = tensor_bytes(model.state_dict(keep_vars=True).values())
    return whole if pruned is None else whole - int(pruned())


def tensor_bytes(tensors: Any) -> int:
    """Return the bytes of the distinct memory behind ``tensors``, ignoring other objects."""
    sizes: dict[tuple[Any, ...], int] = {}
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            size = tensor.numel() * tensor.element_size()
            start = (tensor.device, tensor.data_ptr())
            sizes[start] = max(sizes.get(start, 0), size)
    return sum(sizes.values())


class ExperienceMetric(PluginMetric[float]):
    """One number for every experience trained, recorded when its training ends.

    :ivar values: the numbers so far, one for each trained experience.
    """

    name = "Metric"

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []

    def measure(self, strategy: TrainingStrategy) -> float:
        """Return the number for the experience that ``strategy`` has just finished."""
        raise NotImplementedError

    def result(self) -> float:
        """Return the latest value; NaN before the first."""
        return self.values[-1] if self.values else float("nan")

    def reset(self) -> None:
        """Discard all values."""
        self.values = []

    def after_training_exp(self, strategy: TrainingStrategy) -> MetricValue:
        self.values.append(self.measure(strategy))
        name = get_metric_name(self, strategy, add_experience=True, add_task=False)
        return MetricValue(self, name, self.values[-1], strategy.clock.train_iterations)

    def state_dict(self) -> dict[str, Any]:
        """Return the values so far, as plain data."""
        return {"values": list(self.values)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.values = list(state["values"])

    def __str__(self) -> str:
        return self.name


class TrainSeconds(ExperienceMetric):
    """Measure the wall-clock seconds of training one experience.

    Time runs from the adaptation of the data set to the end of ``after_training_exp``, so that the
    work of a method before and after its epochs counts; evaluations in between do not.
    """

    name = "Train_Seconds"

    def __init__(self) -> None:
        super().__init__()
        self._start = 0.0
        self._evaluating = 0.0

    def before_train_dataset_adaptation(self, strategy: TrainingStrategy) -> None:
        self._start = _now(strategy.device)

    def before_eval(self, strategy: TrainingStrategy) -> None:
        self._evaluating = _now(strategy.device)

    def after_eval(self, strategy: TrainingStrategy) -> None:
        self._start += _now(strategy.device) - self._evaluating

    def measure(self, strategy: TrainingStrategy) -> float:
        return _now(strategy.device) - self._start


class ParameterBytes(ExperienceMetric):
    """:func:`parameter_bytes` of the strategy's model after each experience."""

    name = "Parameter_Bytes"

    def measure(self, strategy: TrainingStrategy) -> int:
        return parameter_bytes(strategy.model)


class MethodStateBytes(ExperienceMetric):
    """Bytes that a method keeps between experiences besides the model (buffers, importances...).

    :param function: Function that returns the number of bytes for a strategy.
    """

    name = "Method_State_Bytes"

    def __init__(self, *, function: Callable[[Any], int]) -> None:
        super().__init__()
        self.function = function

    def measure(self, strategy: TrainingStrategy) -> int:
        return int(self.function(strategy))


class PeakMemory:
    """Measure the largest memory used since the last :meth:`reset`.

    :param device: Device to measure: on a GPU the bytes that PyTorch has allocated there, else the
        resident set of the whole process (on Linux).
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)

    def reset(self) -> None:
        """Measure the peak from here on."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._countable = _reset_resident_peak()

    def bytes(self) -> int | None:
        """Return the peak in bytes; ``None`` before :meth:`reset`, or if it cannot be measured."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return _resident_peak() if getattr(self, "_countable", False) else None


def _reset_resident_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _resident_peak() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("VmHWM:")]
    return int(found[0][1]) * 1024 if found else None


def _now(device: torch.device) -> float:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
