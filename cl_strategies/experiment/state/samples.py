"""Stored samples: written down by the ids that the stream gave them, read back from the stream."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from avalanche.benchmarks.utils.data import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.benchmarks.utils.flat_data import FlatData
from avalanche.benchmarks.utils.utils import concat_datasets

from cl_strategies.errors import UserError

#: Attributes that the stream itself provides.
OF_THE_STREAM = ("targets", "targets_task_labels", "sample_ids", "true_boxes")

LABEL_BYTES = 8


class SamplePool:
    """The samples of some train experiences, found by id.

    :param experiences: train experiences under the stream contract.
    """

    def __init__(self, experiences: Sequence[Any] = ()) -> None:
        self.experiences = experiences

    @cached_property
    def dataset(self) -> Any:
        return concat_datasets([experience.dataset for experience in self.experiences])

    @cached_property
    def rows(self) -> dict[int, int]:
        """Sample id -> row of :attr:`dataset`."""
        ids = getattr(self.dataset, "sample_ids", ())
        return {int(sample): row for row, sample in enumerate(ids)}

    def subset(self, ids: Sequence[int]) -> Any:
        """:raises UserError: for an id that is not in these experiences."""
        if not len(ids):
            return concat_datasets([])
        unknown = [sample for sample in ids if sample not in self.rows]
        if unknown:
            raise UserError(
                f"{len(unknown)} stored samples (the first has id {unknown[0]}) are not in the "
                f"{len(self.experiences)} experiences given: pass every train experience that "
                "was seen, of the same stream"
            )
        return self.dataset.subset([self.rows[sample] for sample in ids])

    def experience(self, position: int) -> Any:
        """:raises UserError: if the experience at ``position`` is not among these."""
        for experience in self.experiences:
            if experience.current_experience == position:
                return experience
        raise UserError(f"the state refers to experience {position}, which was not passed")


def sample_ids(dataset: Any, path: str) -> torch.Tensor:
    """:raises UserError: if the data set does not come from a stream of this package."""
    if not len(dataset):
        return torch.zeros(0, dtype=torch.int64)
    if not hasattr(dataset, "sample_ids"):
        raise UserError(
            f"{path} is a data set without sample_ids, so that its samples cannot be found "
            "again: use a stream of cl_strategies.benchmarks, or give "
            f"{path.partition('.')[0]} a state_dict() and a load_state_dict()"
        )
    return torch.tensor(list(dataset.sample_ids), dtype=torch.int64)


def transform_group(dataset: Any) -> str:
    """Return the group of transforms that a sample passes through."""
    return dataset._flat_data._transform_groups.current_group


def extra_attributes(dataset: Any) -> dict[str, DataAttribute]:
    """Data attributes that the method added, such as stored logits."""
    attributes = dataset._data_attributes
    return {name: value for name, value in attributes.items() if name not in OF_THE_STREAM}


def with_attribute(dataset: Any, name: str, values: Sequence[Any], in_samples: bool) -> Any:
    """Return ``dataset`` with one more attribute."""
    data = FlatData([list(values)], discard_elements_not_in_indices=True)
    attribute = DataAttribute(data, name, use_in_getitem=in_samples)
    return dataset.update_data_attribute(name, attribute)


def payload_bytes(dataset: Any) -> int:
    """Return bytes of the stored images, before any transform, and of their labels."""
    flat = dataset._flat_data
    images = sum(_image_bytes(_stored(flat, index)[0]) for index in range(len(flat)))
    return images + LABEL_BYTES * len(dataset)


def _stored(data: Any, index: int) -> Any:
    """Return the sample as its source holds it: beneath subsets, concatenations and transforms."""
    while True:
        if isinstance(data, AvalancheDataset):
            data = data._flat_data
        elif isinstance(data, FlatData):
            part, index = data._get_idx(index)
            data = data._datasets[part]
        else:
            return data[index]


def _image_bytes(image: Any) -> int:
    """:raises UserError: if it is neither a tensor, an array nor a Pillow image."""
    if hasattr(image, "nbytes"):
        return int(image.nbytes)
    if hasattr(image, "getbands"):
        return image.width * image.height * len(image.getbands())
    raise UserError(
        f"the bytes of a stored {type(image).__name__} are unknown: store tensors, arrays or "
        "Pillow images"
    )
