"""A published data set: where it is looked for, how it is downloaded, and how it is loaded.

A new data set is one subclass of :class:`PublishedDataset`, or of one of its two variants, and its
name in :mod:`~cl_strategies.benchmarks.datasets.registry`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from cl_strategies.benchmarks.datasets.data_folders import (
    ENVIRONMENT_VARIABLE,
    avalanche_root,
    given_roots,
    is_there,
    package_folders,
    reason,
)
from cl_strategies.errors import DataMissingError, UserError

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.samples import Samples

Loaded = TypeVar("Loaded", covariant=True)


@dataclass(frozen=True)
class LoadedDataset:
    """The samples of a data set that is divided into training and test samples.

    :param train: training samples.
    :param test: test samples; of Tiny ImageNet, whose test labels are secret, its validation part;
        of data sets that come without a split, a fixed share of each class.
    :param class_names: one name per class id.
    """

    train: Samples
    test: Samples
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DatasetStatus:
    """Whether a data set is there.

    :param name: kebab-case name.
    :param present: whether all its files are there; their contents are not read.
    :param looked_in: folders, in the order in which they were looked in.
    :param found_at: the folder it was found in.
    :param problem: what is incomplete, if a folder holds only some of the files, or why one could
        not be looked into.
    :param how_to_get: a command, or what to do by hand.
    """

    name: str
    present: bool
    looked_in: tuple[str, ...]
    found_at: str | None
    problem: str | None
    how_to_get: str

    def message(self) -> str:
        """Say in a few lines what a person needs to know."""
        if self.present:
            return f"{self.name}: found in {self.found_at}"
        lines = [f"{self.name}: not on this machine; looked in:"]
        lines += [f"  {folder}" for folder in self.looked_in]
        lines += [self.problem] if self.problem else []
        return "\n".join([*lines, f"get it: {self.how_to_get}"])


class PublishedDataset(ABC, Generic[Loaded]):
    """A data set that a program can download.

    :cvar name: registered name, kebab-case.
    :cvar title: name in messages.
    :cvar files: files or folders that it consists of, relative to :attr:`layout`.
    :cvar layout: folder below a root that holds them, as torchvision or its authors have it.
    :cvar avalanche_folder: its folder in Avalanche's data folder.
    :cvar gzip: whether each file may also end in ``.gz``.
    :cvar system: folders that system packages install it in.
    :cvar alternative: another way to get it than to download it.
    :cvar stream: registered name of the stream that is cut from its files, for a data set that is
        not divided into training and test samples.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    files: ClassVar[tuple[str, ...]] = ()
    layout: ClassVar[str] = ""
    avalanche_folder: ClassVar[str] = ""
    gzip: ClassVar[bool] = False
    system: ClassVar[tuple[str, ...]] = ()
    alternative: ClassVar[str] = ""
    stream: ClassVar[str] = ""

    @abstractmethod
    def load(self, data_root: str | Path | None = None) -> Loaded:
        """Load the data set: a :class:`LoadedDataset`, unless :attr:`stream` names a stream.

        :param data_root: folder to look in first.
        :raises DataMissingError: if it is not on this machine, or a file of it is damaged.
        """

    def fetch(self, root: Path) -> None:
        """Download the data set to ``root``, so that ``root / layout`` holds its files.

        :raises OSError: or ``RuntimeError``, if it cannot be downloaded.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it is downloaded")

    def candidates(self, data_root: str | Path | None) -> Iterator[Path]:
        """Yield the folders to look in, best first."""
        for root in given_roots(data_root):
            yield root / self.layout
            yield root / self.avalanche_folder / self.layout
            if self.system:
                yield root / self.name
        yield from map(Path, self.system)
        yield from self.default_folders()

    def default_folders(self) -> Iterator[Path]:
        """Yield the folders to look in last."""
        yield avalanche_root() / self.avalanche_folder / self.layout

    def missing_files(self, folder: Path) -> list[str]:
        """Return those of :attr:`files` that ``folder`` lacks.

        :raises OSError: if that cannot be known.
        """
        return [
            name
            for name in self.files
            if not is_there(folder / name) and not (self.gzip and is_there(folder / f"{name}.gz"))
        ]

    def how_to_get(self, data_root: str | Path | None) -> str:
        """Return a command, or what to do by hand."""
        command = f"cl-strategies datasets fetch {self.name}"
        if data_root is not None:
            command += f" --data-root {data_root}"
        return f"{command} ({self.alternative})" if self.alternative else command

    def status(self, data_root: str | Path | None = None) -> DatasetStatus:
        """Look for the data set, without reading its files.

        :param data_root: folder to look in first.
        :raises UserError: if ``data_root`` or the folder that the environment variable names is
            not a folder, or cannot be looked into.
        """
        folders = list(dict.fromkeys(self.candidates(data_root)))
        found, problem = None, None
        for folder in folders:
            try:
                missing = self.missing_files(folder)
            except OSError as error:
                problem = problem or f"{folder} cannot be looked into: {reason(error)}"
                continue
            if not missing:
                found, problem = str(folder), None
                break
            if len(missing) < len(self.files) and problem is None:
                problem = f"{folder} is incomplete: it lacks {', '.join(missing)}"
        return DatasetStatus(
            name=self.name,
            present=found is not None,
            looked_in=tuple(map(str, folders)) or (self.nowhere,),
            found_at=found,
            problem=problem,
            how_to_get=self.how_to_get(data_root),
        )

    @property
    def nowhere(self) -> str:
        """What :attr:`DatasetStatus.looked_in` says where there is no folder to look in."""
        return "no folder"

    def locate(self, data_root: str | Path | None = None) -> Path:
        """Return the folder that holds the files.

        :raises DataMissingError: with the folders looked in and the command that downloads it.
        """
        if (located := _located.get()) is not None:
            located.append((self, data_root))
        status = self.status(data_root)
        if status.found_at is None:
            raise DataMissingError(status.message())
        return Path(status.found_at)

    def download(self, data_root: str | Path | None = None) -> Path:
        """Download the data set, unless it is there, and return the folder that holds its files.

        :param data_root: folder to put it in; ``None``: the folder that ``CL_STRATEGIES_DATA``
            names, or else Avalanche's data folder.
        :raises UserError: if it cannot be downloaded, with what to do instead.
        """
        status = self.status(data_root)
        if status.found_at is not None:
            return Path(status.found_at)
        explicit = data_root or os.environ.get(ENVIRONMENT_VARIABLE)
        root = Path(explicit).expanduser() if explicit else avalanche_root() / self.avalanche_folder
        try:
            root.mkdir(parents=True, exist_ok=True)
            self.fetch(root)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{self.title} could not be fetched into {root} ({error}): check the connection, "
                f"or put its files in {root / self.layout} by hand"
            ) from error
        return self.locate(root)


class ManualDataset(PublishedDataset[Loaded]):
    """A data set that no program can download.

    :cvar by_hand: how a person gets it.
    """

    by_hand: ClassVar[str]

    def how_to_get(self, data_root: str | Path | None) -> str:
        return f"by hand: {self.by_hand}"

    def download(self, data_root: str | Path | None = None) -> Path:
        """Return the folder that holds the files.

        :raises UserError: with what to do by hand, if there is none.
        """
        status = self.status(data_root)
        if status.found_at is None:
            raise UserError(f"{self.title} cannot be fetched by a program. By hand: {self.by_hand}")
        return Path(status.found_at)


class PackagedDataset(PublishedDataset[Loaded]):
    """A data set that comes with a Python package.

    :cvar package: the package, as one imports it.
    :cvar requirement: the package, as one gives it to pip.
    """

    package: ClassVar[str]
    requirement: ClassVar[str]

    def default_folders(self) -> Iterator[Path]:
        yield from package_folders(self.package)

    @property
    def nowhere(self) -> str:
        return f"the package {self.requirement}: not installed"

    def how_to_get(self, data_root: str | Path | None) -> str:
        return f"pip install {self.requirement}"

    def download(self, data_root: str | Path | None = None) -> Path:
        """Return the folder that holds the files.

        :raises UserError: if the package is not installed.
        """
        status = self.status(data_root)
        if status.found_at is None:
            raise UserError(f"{self.title} come with a package: {status.how_to_get}")
        return Path(status.found_at)


#: Data sets, each with the folder in which it was looked for first.
Located = list[tuple[PublishedDataset[Any], str | Path | None]]

_located: ContextVar[Located | None] = ContextVar("located", default=None)


@contextmanager
def what_is_located() -> Iterator[Located]:
    """Record every call of :meth:`PublishedDataset.locate` inside."""
    located: Located = []
    token = _located.set(located)
    try:
        yield located
    finally:
        _located.reset(token)
