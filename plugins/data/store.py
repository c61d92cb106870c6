"""Samples kept in memory on the training device, within a byte limit.

What is read once serves every experience, buffer and evaluation that asks for the same rows of the
same data set again. A data set of tensors on the right device is used as it is and costs nothing.
"""

from __future__ import annotations

import random
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from cl_strategies.plugins.data.flatten import NotResident, Rows
from cl_strategies.plugins.data.transforms import as_stored

_CHUNK = 256  # samples between two looks at the random generators


class TooLarge(NotResident):
    """The samples exceed the byte limit in the form asked for."""


class Kept:
    """Some rows of one data set behind a fixed deterministic transform.

    :ivar x: inputs (slots, ...) on the training device.
    :ivar rest: the other elements of a sample, untransformed, one tensor (slots, ...) for each.
    :ivar image: whether ``x`` stands for Pillow images.
    :ivar bytes: what this object occupies itself.
    """

    def __init__(
        self, x: Tensor, rest: list[Tensor], *, image: bool = False, owned: int, rows: int = 0
    ) -> None:
        self.x = x
        self.rest = rest
        self.image = image
        self.bytes = owned
        self._slot = np.full(rows, -1, dtype=np.int64) if rows else None

    def slots(self, rows: Rows) -> Rows:
        """Return where ``rows`` are kept; -1 for those that are not."""
        return rows if self._slot is None else self._slot[rows]

    def put(self, rows: Rows, slots: Rows, samples: list[tuple[Tensor, list[Any]]]) -> None:
        """Keep ``samples``, the given rows of the data set, in ``slots``.

        :raises NotResident: if they do not have the shape of those kept before.
        """
        inputs = [x for x, _ in samples]
        if any(x.shape != self.x.shape[1:] or x.dtype != self.x.dtype for x in inputs):
            raise NotResident("its samples differ in shape or type")
        try:
            pairs = zip(*(rest for _, rest in samples), strict=True)
            columns = [default_collate(list(column)) for column in pairs]
        except (TypeError, ValueError, RuntimeError) as error:
            raise NotResident(f"the targets of its samples cannot be stacked: {error}") from None
        if not all(isinstance(column, Tensor) for column in columns):
            raise NotResident("its samples hold something other than tensors and numbers")
        where = torch.from_numpy(slots)
        self.x[where.to(self.x.device)] = torch.stack(inputs).to(self.x.device)
        for i, column in enumerate(columns):
            if i == len(self.rest):
                self.rest.append(column.new_zeros((len(self.x), *column.shape[1:])))
            self.rest[i][where] = column
        if self._slot is not None:
            self._slot[rows] = slots


class Store:
    """Everything that is kept, the least recently used forgotten first.

    :param max_bytes: limit of what the store occupies on the device.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._kept: dict[tuple[Any, ...], tuple[Kept, Any, list[Any]]] = {}

    @property
    def bytes(self) -> int:
        """Number of bytes that are occupied now."""
        return sum(kept.bytes for kept, _, _ in self._kept.values())

    def fetch(self, leaf: Any, rows: Rows, prefix: list[Any], device: torch.device) -> Kept:
        """Return rows of ``leaf`` behind the transforms ``prefix``, read now unless they are kept.

        :raises TooLarge: if they exceed the limit.
        :raises NotResident: if they differ in shape, or are read at random.
        """
        key = (id(leaf), tuple(map(id, prefix)), device)
        found = self._kept.pop(key, None)
        kept = found[0] if found is not None else None
        if kept is None or (kept.slots(rows) < 0).any():
            if not prefix and isinstance(leaf, TensorDataset):
                kept = self._of_tensors(leaf, device)
            else:
                kept = self._read(leaf, rows, prefix, device, kept)
        try:
            guard = weakref.ref(leaf, lambda _: self._kept.pop(key, None))
        except TypeError:  # a list, for instance: it cannot be recognized later
            return kept
        self._kept[key] = (kept, guard, prefix)  # last: the most recently used
        return kept

    def _of_tensors(self, leaf: TensorDataset, device: torch.device) -> Kept:
        x, *rest = leaf.tensors
        computed = isinstance(getattr(type(leaf), "tensors", None), property)
        owned = x.numel() * x.element_size() if computed or x.device != device else 0
        self._make_room(owned)
        return Kept(x.detach().to(device), [column.detach() for column in rest], owned=owned)

    def _read(
        self, leaf: Any, rows: Rows, prefix: list[Any], device: torch.device, kept: Kept | None
    ) -> Kept:
        first, image, _ = _samples(leaf, rows[:1], prefix)[0]
        each = first.numel() * first.element_size()
        wanted = np.unique(rows)
        # Room for the whole data set, so that later experiences join; else for these rows only.
        whole = len(leaf) * each <= self.max_bytes
        if kept is None or not whole:
            capacity = len(leaf) if whole else len(wanted)
            self._make_room(capacity * each)
            x = torch.empty((capacity, *first.shape), dtype=first.dtype, device=device)
            kept = Kept(x, [], image=image, owned=capacity * each, rows=len(leaf))
        missing = wanted[kept.slots(wanted) < 0]
        for begin in range(0, len(missing), _CHUNK):
            chunk = missing[begin : begin + _CHUNK]
            slots = chunk if whole else np.arange(begin, begin + len(chunk))
            read = _samples(leaf, chunk, prefix)
            if any(is_image != kept.image for _, is_image, _ in read):
                raise NotResident("its samples are images and tensors mixed")
            kept.put(chunk, slots, [(x, rest) for x, _, rest in read])
        return kept

    def _make_room(self, needed: int) -> None:
        if needed > self.max_bytes:
            raise TooLarge(
                f"it needs {needed / 2**20:.1f} MiB, more than max_bytes "
                f"({self.max_bytes / 2**20:.1f} MiB)"
            )
        for key in list(self._kept):
            if self.bytes + needed <= self.max_bytes:
                return
            del self._kept[key]


def _samples(leaf: Any, rows: Rows, prefix: list[Any]) -> list[tuple[Tensor, bool, list[Any]]]:
    result = []
    with generators_untouched("its data set draws random numbers when a sample is read"):
        for row in rows.tolist():
            sample = leaf[row]
            if not isinstance(sample, tuple | list) or len(sample) < 2:
                raise NotResident("its samples are not tuples of an input and a target")
            x, *rest = sample
            for transform in prefix:
                x = transform(x)
            result.append((*as_stored(x), rest))
    return result


@contextmanager
def generators_untouched(otherwise: str | None = None) -> Iterator[None]:
    """Leave the global random generators as they were.

    :param otherwise: raise :class:`NotResident` with this message if they had been used.
    """
    before = _generators()
    try:
        yield
    finally:
        now = _generators()
        used = now[0] != before[0]
        if used:
            _, numpy_state, python_state, torch_state = before
            torch.set_rng_state(torch_state)
            np.random.set_state(numpy_state)
            random.setstate(python_state)
    if used and otherwise is not None:
        raise NotResident(otherwise)


def _generators() -> tuple[Any, ...]:
    """Return something comparable, then the states of the global generators."""
    states: tuple[Any, ...] = np.random.get_state(), random.getstate(), torch.get_rng_state()
    name, keys, *rest = states[0]
    return (name, keys.tobytes(), *rest, states[1], states[2].numpy().tobytes()), *states
