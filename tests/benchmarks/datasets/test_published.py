"""A data set is one class: where its files lie, how they are downloaded, how they are loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cl_strategies.benchmarks import check_dataset, check_datasets, download
from cl_strategies.benchmarks.core.samples import TensorSamples
from cl_strategies.benchmarks.datasets.published import LoadedDataset, PublishedDataset
from cl_strategies.benchmarks.datasets.registry import DATASETS, load_dataset
from cl_strategies.benchmarks.streams.split import split_stream
from cl_strategies.errors import DataMissingError, UserError


class Dots(PublishedDataset[LoadedDataset]):
    """Two classes of single pixels."""

    name = "dots"
    title = "Dots"
    avalanche_folder = "dots"
    layout = "dots-1"
    files = ("labels.txt",)

    def fetch(self, root: Path) -> None:
        (root / self.layout).mkdir()
        (root / self.layout / "labels.txt").write_text("0 1 0 1")

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        text = (self.locate(data_root) / "labels.txt").read_text()
        labels = np.array([int(label) for label in text.split()])
        samples = TensorSamples(torch.zeros(len(labels), 1, 1, 1), labels)
        return LoadedDataset(samples, samples, ("black", "white"))


@pytest.fixture
def dots(monkeypatch: pytest.MonkeyPatch, nothing_installed: Path) -> Path:
    """An empty folder, on a machine that knows of the data set."""
    monkeypatch.setitem(DATASETS, "dots", Dots())
    return nothing_installed / "data"


def test_one_class_is_looked_for_downloaded_and_loaded(dots: Path) -> None:
    status = check_dataset("dots", dots)
    assert not status.present and status in check_datasets(dots)
    assert status.looked_in[0] == str(dots / "dots-1")
    with pytest.raises(DataMissingError, match=f"datasets fetch dots --data-root {dots}"):
        load_dataset("dots", dots)
    assert download("dots", dots) == dots / "dots-1"
    assert check_dataset("dots", dots).found_at == str(dots / "dots-1")
    benchmark = split_stream(load_dataset("dots", dots), name="split-dots", n_experiences=2)
    assert benchmark.info.class_names == ("black", "white")


def test_a_data_set_without_a_split_names_the_stream_that_is_cut_from_it() -> None:
    with pytest.raises(UserError, match="use the stream omniglot-rotation"):
        load_dataset("omniglot")
    for dataset in DATASETS.values():
        assert dataset.title and (dataset.files or dataset.name == "digits")
