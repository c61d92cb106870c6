"""Benchmarks that are given as Python objects: what they are called, and where they are.

Their name in a configuration is theirs, and their content stands beside it: a hash of every sample,
all labels and all transforms. So the same object made by another process is the same run, and one
with another image is another run. Other processes get the object itself.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typing_extensions import Doc

from cl_strategies.benchmarks import StreamInfo, from_avalanche
from cl_strategies.benchmarks.core.options import Order
from cl_strategies.errors import DataMissingError, UserError
from cl_strategies.errors.failure import named
from cl_strategies.experiment.config.run_config import Named
from cl_strategies.registry import Entry, registry
from cl_strategies.validation.hyperparameters import hyperparameters

Content = Annotated[
    str, Doc("Hash of the benchmark's samples, labels and transforms, in any order of its tasks.")
]

#: What is given, by content and order; a path is that of the object as another process wrote it.
_GIVEN: dict[tuple[str, tuple[int, ...] | None], Any] = {}
#: Files of this process in which objects are handed to others.
_WRITTEN: dict[tuple[str, tuple[int, ...] | None], Path] = {}


@dataclass(frozen=True)
class Parcel:
    """A benchmark on its way to another process.

    :param benchmark: name and options in the configuration.
    :param file: that holds it, on this machine.
    """

    benchmark: Named
    file: str


#: A parcel for another machine: the benchmark in the configuration, and the bytes of the object.
Packed = tuple[str, dict[str, Any], bytes]


@hyperparameters
def given_benchmark(*, content: Content = "", order: Order = None) -> Any:
    """Return the benchmark that was given as an object.

    :raises DataMissingError: if it was given to another process.
    """
    key = _key(content, order)
    if key not in _GIVEN:
        raise DataMissingError(
            "the benchmark was given as a Python object, and is not in this process: run the "
            "script again that makes it and calls compare"
        )
    if isinstance(_GIVEN[key], Path):
        _GIVEN[key] = _unpickled(_GIVEN[key])
    return _GIVEN[key]


def is_benchmark(thing: Any) -> bool:
    """Return whether ``thing`` is a benchmark, and not the name or the factory of one."""
    return not isinstance(thing, type) and hasattr(thing, "train_stream")


def give(benchmark: Any) -> dict[str, Any]:
    """Let runs use ``benchmark``, and return its table in their configurations.

    :param benchmark: under the stream contract, or of Avalanche.
    :raises UserError: for what cannot be brought under the contract.
    """
    from cl_strategies.experiment.identity.content import content_of

    benchmark = from_avalanche(benchmark)
    info: StreamInfo = benchmark.info
    natural = info.task_order == tuple(range(info.n_experiences))
    order = None if natural else list(info.task_order)
    content = content_of(benchmark)
    _GIVEN[_key(content, order)] = benchmark
    return {"name": _named(info.name, info.scenario), "content": content, "order": order}


def parcel_of(benchmark: Named) -> Parcel | None:
    """Return what another process needs of a benchmark; ``None`` for one with a registered name.

    :raises UserError: if it is an object that cannot be sent.
    """
    key = _key(benchmark.options.get("content", ""), benchmark.options.get("order"))
    if key not in _GIVEN or "content" not in benchmark.options:
        return None
    if key not in _WRITTEN or not _WRITTEN[key].exists():
        _WRITTEN[key] = _pickled(_GIVEN[key], benchmark.name)
    return Parcel(benchmark, str(_WRITTEN[key]))


def receive(parcel: Parcel | None) -> None:
    """Let this process find what another one has sent, which is read when a run asks for it."""
    if parcel is not None:
        options = parcel.benchmark.options
        _GIVEN.setdefault(_key(options["content"], options["order"]), Path(parcel.file))
        _enter(parcel.benchmark.name, ("class", "task", "domain"))


def packed(parcel: Parcel) -> Packed:
    """Return a parcel with the object itself in it, for another machine."""
    options = dict(parcel.benchmark.options)
    return parcel.benchmark.name, options, Path(parcel.file).read_bytes()


def unpacked(sent: Packed) -> Parcel:
    """Return a parcel of this machine for one that came from another, once for each object."""
    name, options, content = sent
    key = _key(options["content"], options["order"])
    if key not in _WRITTEN:
        path = _new_file()
        path.write_bytes(content)
        _WRITTEN[key] = path
    return Parcel(Named(name, options), str(_WRITTEN[key]))


def _key(content: str, order: Any) -> tuple[str, tuple[int, ...] | None]:
    return content, tuple(order) if isinstance(order, Sequence) else None


def _named(name: str, scenario: str) -> str:
    """Return the name of a benchmark that is given; another one if it is registered, too."""
    listed = {entry.name for entry in registry("benchmarks")}
    name = f"own-{name}" if name in listed else name
    _enter(name, (scenario,))
    return name


def _enter(name: str, scenarios: tuple[str, ...]) -> None:
    factory = "cl_strategies.experiment.identity.given_benchmarks:given_benchmark"
    summary = "A benchmark that was given as a Python object."
    entry = Entry(name=name, factory=factory, summary=summary, scenarios=scenarios)
    registry("benchmarks").add_unlisted(entry)


_folder: list[tempfile.TemporaryDirectory[str]] = []


def _pickled(benchmark: Any, name: str) -> Path:
    try:
        path = _new_file()
        with open(path, "wb") as file:
            pickle.dump(benchmark, file, protocol=pickle.HIGHEST_PROTOCOL)
    except OSError as error:
        raise UserError(
            f"{name} cannot be written to {tempfile.gettempdir()} for other processes "
            f"({error.strerror}): make room there, or give executor_name='serial'"
        ) from error
    except Exception as error:  # pickle raises what the objects raise
        raise UserError(
            f"{name} cannot be sent to other processes ({named(error)}): make it in a function of "
            "a module, and give that function as the benchmark; or give executor_name='serial'"
        ) from error
    return path


def _new_file() -> Path:
    if not _folder:  # of this user alone, and gone with this process
        _folder.append(tempfile.TemporaryDirectory(prefix="cl-strategies-"))
    handle, path = tempfile.mkstemp(dir=_folder[0].name, suffix=".pickle")
    os.close(handle)
    return Path(path)


def _unpickled(path: Path) -> Any:
    """Read what the process that started this one has written for it."""
    try:
        with open(path, "rb") as file:
            return pickle.load(file)
    except Exception as error:  # such as a class of a notebook, which is nowhere else
        raise UserError(
            f"the benchmark that was given as an object cannot be read here ({named(error)}): "
            "define its classes and functions in a module, or give executor_name='serial'"
        ) from error
