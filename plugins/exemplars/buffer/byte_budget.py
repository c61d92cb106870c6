"""A replay memory whose size is a number of bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from typing import Annotated, Any, ClassVar

from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.avalanche_data import (
    RawImages,
    Transforms,
    image_transforms,
    labels_of,
    make_dataset,
)
from cl_strategies.plugins.exemplars.buffer.class_coverage import Coverage
from cl_strategies.plugins.exemplars.buffer.encoder import AsStored, Encoder
from cl_strategies.plugins.exemplars.buffer.options import Boxes, CodecOrName, Order
from cl_strategies.plugins.exemplars.buffer.quota import LOOK_AHEAD, Candidate, Queue, Record, fill
from cl_strategies.plugins.exemplars.buffer.selection import (
    check_order,
    draw_keys,
    needs_features,
)
from cl_strategies.plugins.exemplars.buffer.serialization import (
    Groups,
    StoredImages,
    check_kind,
    pack_groups,
    unpack_groups,
)
from cl_strategies.plugins.exemplars.codecs.base import HEADER
from cl_strategies.plugins.exemplars.codecs.catalog import make_codec, present_name
from cl_strategies.plugins.exemplars.codecs.pixels import Kind, to_pixels
from cl_strategies.plugins.exemplars.options import Balance, Growing, MemBytes, Pool
from cl_strategies.plugins.features.extraction import extract_features
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
class ByteBudgetBuffer(ExemplarsBuffer):
    """Store exemplars as bytes, under a budget in bytes that is never exceeded.

    An exemplar costs its payload (which begins with a header of 7 bytes and holds its box, if it
    has one) and 16 bytes more: label, task label, key and length. The data set that it came from
    is not kept. Reading decodes it, and applies the transforms that the data set of
    the latest experience has.

    Works wherever Avalanche takes an ``ExemplarsBuffer``.

    :raises UserError: for an option out of its range, or a codec that needs boxes without a rule.
    :ivar max_size: ``mem_bytes``, under Avalanche's name for the size of a buffer.
    """

    first_by_position: ClassVar[str] = "mem_bytes"

    def __init__(
        self,
        *,
        mem_bytes: Annotated[MemBytes, Alias("max_size")],
        codec: CodecOrName = "raw",
        balance: Balance = "class",
        growing: Growing = False,
        order: Order = "random",
        boxes: Boxes = None,
        pool: Pool = True,
        rank_stored: Annotated[
            bool,
            Doc("Rank images as they will be stored, which encodes all of them, not as they are."),
        ] = False,
        layer: Annotated[
            str | None, Doc("Layer whose input is ranked; ``None`` for the last one with weights.")
        ] = None,
    ) -> None:
        super().__init__(mem_bytes)
        check_order(order)
        self.codec = make_codec(codec)
        if self.codec.needs_box and boxes is None:
            raise UserError(
                f"the codec {self.codec.name} needs a box per image: give the buffer a rule for "
                "boxes (cl_strategies.plugins.masking.boxes)"
            )
        self.balance = balance
        self.growing = growing
        self.order = order
        self.boxes = boxes if self.codec.needs_box else None
        self.pool = pool
        self.rank_stored = rank_stored
        self.layer = layer
        self.coverage = Coverage()
        self._groups: Groups = {}
        self._kind: Kind | None = None
        self._has_tasks = True
        self._updates = 0
        self._transforms: Transforms | None = None
        self._dataset: AvalancheDataset | None = None

    # -- what is stored -------------------------------------------------------------------

    @property
    def records(self) -> list[Record]:
        """Exemplars, group by group, each in its order."""
        return [record for group in self._groups.values() for record in group]

    @property
    def budget(self) -> int:
        """Bytes that may be used now."""
        return self.max_size * len(self._groups) if self.growing else self.max_size

    @property
    def bytes_used(self) -> int:
        """Bytes of all exemplars; never more than :attr:`budget`."""
        return sum(record.cost for record in self.records)

    def counts(self) -> dict[int, int]:
        """Return the number of exemplars of each class."""
        return dict(sorted(Counter(record.label for record in self.records).items()))

    def report(self) -> dict[str, Any]:
        """Summarize what the memory holds, in numbers.

        ``raw_bytes`` is what the same images take as uint8, and ``compression_rate`` the share
        of it that is used, labels and headers included. ``box_area`` is the mean share of an
        image that its box covers, ``None`` without boxes.
        """
        records, used = self.records, self.bytes_used
        box_of = self.codec.box if self.codec.needs_box else None  # type: ignore[attr-defined]
        raw, shares = 0, 0.0
        for record in records:
            _, _, height, width, channels = HEADER.unpack_from(record.payload)
            raw += height * width * channels
            if box_of is not None:
                h0, h1, w0, w1 = box_of(record.payload)
                shares += (h1 - h0) * (w1 - w0) / (height * width)
        return {
            "codec": self.codec.name,
            "budget": self.budget,
            "bytes_used": used,
            "exemplars": len(records),
            "bytes_per_exemplar": used / len(records) if records else None,
            "raw_bytes": raw,
            "compression_rate": used / raw if raw else None,
            "box_area": shares / len(records) if records and box_of is not None else None,
            "exemplars_per_class": self.counts(),
        }

    @property
    def buffer(self) -> AvalancheDataset:
        """The exemplars as an Avalanche data set that decodes them when they are read.

        :raises UserError: if they come from a checkpoint and :meth:`use_transforms` was not
            called since.
        """
        if self._dataset is None:
            records = self.records
            if not records or self._kind is None:
                return AvalancheDataset([])
            if self._transforms is None:
                raise UserError(
                    "the exemplars were loaded from a checkpoint, which holds no transforms: call "
                    "use_transforms(experience.dataset) first"
                )
            self._dataset = make_dataset(
                StoredImages(records, self.codec, self._kind),
                [record.label for record in records],
                [record.task for record in records] if self._has_tasks else None,
                self._transforms,
            )
        return self._dataset

    @buffer.setter
    def buffer(self, new_buffer: Any) -> None:
        raise UserError("exemplars come in through post_adapt(strategy, experience)")

    def use_transforms(self, dataset: AvalancheDataset) -> None:
        """Transform the exemplars as ``dataset`` transforms its samples."""
        self._transforms = image_transforms(dataset, others=("cam",))
        self._dataset = None

    # -- what changes it ------------------------------------------------------------------

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Take in the samples of an experience, at its end.

        :raises UserError: for samples that are not images, or a budget too small for one
            exemplar; the buffer is then as before.
        """
        self.update_from_dataset(exp.dataset, agent_state)

    def update_from_dataset(self, dataset: AvalancheDataset, strategy: Any = None) -> None:
        """Take in the samples of a data set, as :meth:`post_adapt` does.

        :param strategy: The strategy, which only orders and boxes that use the network need.
        """
        transforms = image_transforms(dataset, others=("cam",))
        labels, tasks = labels_of(dataset)
        kind = self._check_stream(dataset, tasks)
        task_of = tasks or [0] * len(labels)
        rows: dict[tuple[int, int], list[int]] = {}
        for row, label in enumerate(labels):
            rows.setdefault(self._group(label, task_of[row]), []).append(row)
        box_of = None if self.boxes is None else self.boxes(strategy, dataset)
        encode = Encoder(dataset, self.codec, box_of)
        features = self._features(strategy, dataset, encode, kind)
        keys = draw_keys(self.order, list(rows.values()), len(labels), features).tolist()

        def make(row: int) -> Record:
            return Record(encode(row), labels[row], task_of[row], keys[row])

        fresh = {
            group: [
                Candidate(keys[row], partial(make, row))
                for row in sorted(members, key=keys.__getitem__)
            ]
            for group, members in rows.items()
        }
        seen = {*self.counts(), *labels}
        self._groups = self._fill(fresh, self.max_size)
        each = " for each group" if self.growing else ""
        self.coverage.check(seen, self.counts(), f"{self.max_size} bytes{each}")
        self._kind, self._has_tasks, self._transforms = kind, tasks is not None, transforms
        self._updates += 1
        self._dataset = None

    def resize(self, strategy: TrainingStrategy, new_size: int) -> None:
        """Change the budget; what no longer fits is dropped from the end of each group.

        :raises UserError: if it is not positive or cannot hold one of the exemplars; the buffer
            is then as before.
        """
        self._groups = self._fill({}, _positive(new_size))
        self.max_size = new_size
        self._dataset = None

    def rewrite(self, payload_of: Callable[[Record], bytes]) -> None:
        """Store other payloads for the same samples, such as images that were trained.

        Where they are larger, what no longer fits is dropped from the end of each group.

        :param payload_of: A function from an exemplar to its new payload.
        :raises UserError: if one is not of this codec, or the budget cannot hold one of them; the
            buffer is then as before.
        """
        groups = {
            name: [record._replace(payload=payload_of(record)) for record in group]
            for name, group in self._groups.items()
        }
        for record in [record for group in groups.values() for record in group]:
            self.codec.check(record.payload)
        self._groups = self._fill({}, self.max_size, stored=groups)
        self._dataset = None

    def _fill(
        self,
        fresh: Mapping[tuple[int, int], list[Candidate]],
        size: int,
        stored: Groups | None = None,
    ) -> Groups:
        stored = self._groups if stored is None else stored
        names = [*stored, *(name for name in fresh if name not in stored)]
        queues = [Queue(_merge(stored.get(name, []), fresh.get(name, []))) for name in names]
        ahead = LOOK_AHEAD if fresh else 0  # what shrinks loses its end and nothing else
        fill(queues, size, per_group=self.growing, pool=self.pool, look_ahead=ahead)
        return {name: queue.taken for name, queue in zip(names, queues, strict=True)}

    def _group(self, label: int, task: int) -> tuple[int, int]:
        if self.balance == "class":
            return task, label
        return (self._updates if self.balance == "experience" else 0), 0

    def _check_stream(self, dataset: Any, tasks: list[int] | None) -> Kind:
        if not len(dataset):
            raise UserError("there is no sample to store in this experience")
        _, kind = to_pixels(RawImages(dataset)[0])
        check_kind(self._kind, kind)
        if self._groups and self._has_tasks != (tasks is not None):
            raise UserError("some experiences have task labels and others have not")
        return kind

    def _features(
        self, strategy: TrainingStrategy, dataset: Any, encode: Callable[[int], bytes], kind: Kind
    ) -> Tensor | None:
        if not needs_features(self.order):
            return None
        if strategy is None:
            raise UserError(f"the order {self.order!r} needs a strategy with a model")
        if self.rank_stored:
            labels, tasks = labels_of(dataset)
            seen = AsStored(encode, self.codec, kind, labels)
            dataset = make_dataset(seen, labels, tasks, image_transforms(dataset))
        return extract_features(strategy, dataset, layer=self.layer)

    # -- checkpoints ----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the exemplars as tensors and plain data."""
        return {
            "codec": self.codec.name,
            "balance": self.balance,
            "max_size": self.max_size,
            "kind": self._kind,
            "has_tasks": self._has_tasks,
            "updates": self._updates,
            **pack_groups(self._groups),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; call :meth:`use_transforms` before reading exemplars.

        :raises UserError: if the state is damaged, was made by another codec or another balance,
            or exceeds its budget; the buffer is then as before.
        """
        found = {"codec": present_name(state["codec"]), "balance": state["balance"]}
        for name, own in (("codec", self.codec.name), ("balance", self.balance)):
            if found[name] != own:
                raise UserError(
                    f"the exemplars were stored with {name} {found[name]!r}, but this buffer has "
                    f"{own!r}: build it as the one that was saved"
                )
        groups = unpack_groups(state, self.codec)
        size = _positive(state["max_size"])
        budget = size * len(groups) if self.growing else size
        used = sum(record.cost for group in groups.values() for record in group)
        if used > budget:
            raise UserError(f"the saved exemplars take {used} bytes, more than their {budget}")
        self._groups, self.max_size, self._kind = groups, size, state["kind"]
        self._has_tasks, self._updates = state["has_tasks"], state["updates"]
        self._transforms = self._dataset = None


def _merge(stored: list[Record], fresh: list[Candidate]) -> Iterator[Candidate]:
    """Merge both in the order of their keys; of equal ones the stored first."""
    kept = [Candidate(record.key, record) for record in stored]
    return iter(sorted([*kept, *fresh], key=attrgetter("key")) if fresh else kept)


def _positive(size: int) -> int:
    if type(size) is not int or size < 1:
        raise UserError(f"the budget is {size!r}: give a positive number of bytes")
    return size
