"""Exemplars as a data set that decodes when it is read, and as plain data for checkpoints."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.quota import Record
from cl_strategies.plugins.exemplars.codecs.base import Codec, damaged
from cl_strategies.plugins.exemplars.codecs.pixels import Kind, from_pixels

Groups = dict[tuple[int, int], list[Record]]


class StoredImages(Dataset[tuple[Any, int]]):
    """A data set of images and labels that are decoded one by one.

    :param records: The stored exemplars.
    :param codec: The codec that decodes them.
    :param kind: The type of a sample; see :func:`to_pixels`.
    """

    def __init__(self, records: Sequence[Record], codec: Codec, kind: Kind) -> None:
        self.payloads = [record.payload for record in records]
        self.targets = [record.label for record in records]
        self.codec = codec
        self.kind = kind

    def __getitem__(self, index: int) -> tuple[Any, int]:
        pixels = self.codec.decode(self.payloads[index])
        return from_pixels(pixels, self.kind), self.targets[index]

    def __len__(self) -> int:
        return len(self.payloads)


def pack_groups(groups: Groups) -> dict[str, Any]:
    """Pack groups of exemplars as tensors and plain data."""
    records = [record for group in groups.values() for record in group]
    data = b"".join(record.payload for record in records)
    return {
        "groups": torch.tensor(list(groups), dtype=torch.int64).reshape(-1, 2),
        "counts": torch.tensor([len(group) for group in groups.values()], dtype=torch.int64),
        "labels": torch.tensor([record.label for record in records], dtype=torch.int32),
        "tasks": torch.tensor([record.task for record in records], dtype=torch.int32),
        "keys": torch.tensor([record.key for record in records], dtype=torch.float32),
        "lengths": torch.tensor([len(record.payload) for record in records], dtype=torch.int32),
        "payloads": torch.from_numpy(np.frombuffer(bytearray(data), np.uint8).copy()),
        "checksum": zlib.crc32(data),
    }


def unpack_groups(state: Mapping[str, Any], codec: Codec) -> Groups:
    """Unpack the groups that :func:`pack_groups` was given.

    :raises UserError: if the state is damaged, or its exemplars were made by another codec.
    """
    data = state["payloads"].numpy().tobytes()
    lengths = state["lengths"].tolist()
    columns = [state[name].tolist() for name in ("labels", "tasks", "keys")]
    counts = state["counts"].tolist()
    consistent = (
        all(len(column) == len(lengths) for column in columns)
        and min([0, *lengths, *counts]) >= 0
        and (sum(lengths), sum(counts)) == (len(data), len(lengths))
        and len(counts) == len(state["groups"])
    )
    if not consistent:
        raise damaged("the numbers of exemplars, labels and bytes do not agree")
    if zlib.crc32(data) != state["checksum"]:
        raise damaged("its checksum is wrong")
    ends = np.cumsum([0, *lengths]).tolist()
    payloads = [data[start:end] for start, end in pairwise(ends)]
    for payload in payloads:
        codec.check(payload)
    records = iter(map(Record, payloads, *columns))
    names = [(int(a), int(b)) for a, b in state["groups"].tolist()]
    return {
        name: [next(records) for _ in range(count)]
        for name, count in zip(names, counts, strict=True)
    }


def check_kind(known: Kind | None, found: Kind) -> None:
    """Refuse a stream that changes what its samples are.

    :raises UserError: if it does.
    """
    if known not in (None, found):
        raise UserError(
            f"the exemplars so far were {known} images, the new ones are {found} images: "
            "let all experiences give the same"
        )
