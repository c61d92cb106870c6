"""Streams of arrays, data sets and data frames."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset
from torchvision.datasets import ImageFolder

from cl_strategies.benchmarks import (
    contract_violations,
    domains,
    image_folder,
    permute_dataset,
    split_dataset,
)
from cl_strategies.errors import UserError

Y = np.arange(40) % 4
BYTES = np.random.RandomState(0).randint(0, 256, (40, 6, 5, 3)).astype(np.uint8)
NUMBERS = BYTES[..., 0].astype(np.float32) / 255
NAMES = np.array(["pear", "fig", "kiwi", "plum"])


class Frame:
    """What is asked of a pandas DataFrame, which is not among the requirements."""

    iloc = None

    def __init__(self, **columns: Any) -> None:
        self.data = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]


class HuggingFace:
    """What is asked of a data set of Hugging Face."""

    def __init__(self, images: Any, labels: Any, names: Any) -> None:
        self.columns = {"image": images, "labels": labels}
        self.column_names = list(self.columns)
        self.features = {"image": None, "labels": SimpleNamespace(names=names)}

    def __len__(self) -> int:
        return len(self.columns["labels"])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        return {name: column[key] for name, column in self.columns.items()}


class Pairs(Dataset[Any]):
    """Samples without any attribute."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> Any:
        return self.x[index], self.y[index]


def pillow() -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in BYTES]


FORMS = {
    "numbers": ((NUMBERS, Y), (1, 6, 5)),
    "numbers of torch": ((torch.from_numpy(NUMBERS), torch.from_numpy(Y)), (1, 6, 5)),
    "features": ((NUMBERS.reshape(40, 30), Y), (30,)),
    "bytes, channels last": ((BYTES, Y), (3, 6, 5)),
    "bytes, channels first": ((BYTES.transpose(0, 3, 1, 2), list(Y)), (3, 6, 5)),
    "tensors": (TensorDataset(torch.from_numpy(NUMBERS)[:, None], torch.from_numpy(Y)), (1, 6, 5)),
    "pairs of images": (Pairs(pillow(), Y), (3, 6, 5)),
    "pairs of numbers": (Pairs(torch.from_numpy(NUMBERS)[:, None], Y.tolist()), (1, 6, 5)),
    "frame of images": (Frame(image=list(BYTES), target=list(Y)), (3, 6, 5)),
    "hugging face": (HuggingFace(pillow(), Y.tolist(), None), (3, 6, 5)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_a_stream_under_the_contract(form):
    data, shape = FORMS[form]
    benchmark = split_dataset(data, n_experiences=2, scenario="task", order=1, name="mine")
    assert contract_violations(benchmark) == []
    info = benchmark.info
    assert (info.name, info.input_shape, info.class_names) == ("mine", shape, ("0", "1", "2", "3"))
    assert [len(one.dataset) for one in benchmark.train_stream] == [16, 16]
    assert [len(one.dataset) for one in benchmark.test_stream] == [4, 4]


def test_all_forms_of_the_same_images_are_the_same_stream(digest):
    forms = ["bytes, channels last", "bytes, channels first", "pairs of images"]
    forms += ["frame of images", "hugging face"]
    assert len({digest(split_dataset(FORMS[form][0])) for form in forms}) == 1
    forms = ["numbers", "numbers of torch", "tensors", "pairs of numbers"]
    assert len({digest(split_dataset(FORMS[form][0])) for form in forms}) == 1


def test_numbers_stay_as_they_are_and_names_become_ids():
    benchmark = split_dataset(
        (NUMBERS, NAMES[Y]), n_experiences=1, class_order=["plum", *NAMES[:3]]
    )
    assert benchmark.info.class_names == ("fig", "kiwi", "pear", "plum")
    assert benchmark.info.class_order == (3, 2, 0, 1)
    data = benchmark.train_stream[0].dataset
    for row in (0, 7):
        (source,) = np.flatnonzero((data[row][0][0].numpy() == NUMBERS).all(axis=(1, 2)))
        assert benchmark.info.class_names[data[row][1]] == NAMES[Y[source]]


def test_test_data_of_its_own_and_transforms_of_its_own():
    x, y = torch.from_numpy(NUMBERS), torch.from_numpy(Y)
    how = (lambda x: x + 1, lambda x: x - 1)
    benchmark = split_dataset((x[:24], y[:24]), (x[24:], y[24:]), transforms=how, n_experiences=2)
    assert [len(one.dataset) for one in benchmark.test_stream] == [8, 8]
    assert benchmark.train_stream[0].dataset[0][0].min() >= 1
    assert benchmark.test_stream[0].dataset[0][0].max() <= 0


def test_a_data_set_dict_and_names_of_its_classes():
    parts = {
        "train": HuggingFace(pillow()[:32], Y[:32].tolist(), NAMES.tolist()),
        "validation": HuggingFace(pillow()[32:], Y[32:].tolist(), NAMES.tolist()),
    }
    benchmark = split_dataset(parts, n_experiences=2)
    assert benchmark.info.class_names == tuple(NAMES)
    assert [len(one.dataset) for one in benchmark.test_stream] == [4, 4]
    with pytest.raises(UserError, match=r"parts \['test'\], none called train"):
        split_dataset({"test": parts["train"]})


def test_folders_of_torchvision_and_frames_of_paths_are_the_folder(flowers, digest):
    files = sorted(flowers.rglob("*.png"))
    labels = [file.parent.name for file in files]
    expected = digest(image_folder(path=flowers))
    assert digest(split_dataset(ImageFolder(str(flowers)))) == expected
    assert digest(split_dataset(Frame(path=files, label=labels))) == expected
    names = [str(file.relative_to(flowers)) for file in files]
    assert digest(split_dataset(Frame(file=names, label=labels), images=flowers)) == expected


def test_permuted_pixels_are_the_same_pixels():
    benchmark = permute_dataset((BYTES, Y), n_experiences=3, normalize=False)
    assert contract_violations(benchmark) == []
    assert benchmark.info.scenario == "domain" and benchmark.info.input_shape == (3, 6, 5)
    first, second = (one.dataset[5][0] for one in list(benchmark.train_stream)[:2])
    assert torch.equal(first.flatten().sort().values, second.flatten().sort().values)
    assert not torch.equal(first, second)
    normalized = permute_dataset((BYTES, Y), n_experiences=1).train_stream[0].dataset
    x = torch.stack([normalized[i][0] for i in range(len(normalized))])
    assert x.mean(dim=(0, 2, 3)).abs().max() < 1e-4
    assert (x.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-2


def test_domains_are_tasks():
    data = {"plain": (BYTES, NAMES[Y]), "inverted": Pairs([255 - one for one in BYTES], NAMES[Y])}
    benchmark = domains(data, test_fraction=0.3)
    assert contract_violations(benchmark) == []
    assert benchmark.info.task_classes == ((0, 1, 2, 3),) * 2
    assert len(benchmark.test_stream[1].dataset) == 12
    assert domains(data, data, scenario="task", order=[1, 0]).info.task_order == (1, 0)
    with pytest.raises(UserError, match=r"test has the domains \['plain'\]"):
        domains(data, {"plain": data["plain"]})
    with pytest.raises(UserError, match=r"domain 'b' has no training sample of 'kiwi'"):
        domains({"a": data["plain"], "b": (BYTES[:2], NAMES[:2])})
    with pytest.raises(UserError, match="takes a mapping"):
        domains([data["plain"]])


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ((NUMBERS, Y[:-1]), {}, r"shape \(40, 6, 5\), and there are 39 labels"),
        ((np.where(BYTES[..., 0] == BYTES[7, 0, 0, 0], np.nan, NUMBERS), Y), {}, r"is not finite"),
        ((BYTES.astype(np.int64), Y), {}, r"x is of type torch.int64: give uint8 images"),
        ((NUMBERS, Y + 0.5), {}, r"the data, row 0 has the label 0.5: give the name"),
        ((NUMBERS, [None, *Y[1:]]), {}, r"the data, row 0 has the label None"),
        ((NUMBERS, Y * 0), {}, r"the data has the class '0' only"),
        ((NUMBERS, Y), {"image_size": 4}, r"image_size: the data holds floating-point numbers"),
        ((NUMBERS, Y), {"augmentation": "flip"}, r"augmentation: the data holds"),
        ("flowers", {}, r"the data is the path 'flowers': use image_folder"),
        (7, {}, r"the data is a int: give a pair"),
        ({"train": 3}, {}, r"the data is a int"),
        (
            Pairs(["no image"] * 40, Y),
            {},
            r"the data, sample 0 is a str: its first element must be",
        ),
        (
            Pairs([*pillow()[:39], "x"], Y),
            {},
            r"the data, sample 39 is not a readable image .*a str, not",
        ),
        (Frame(path=["none.png"] * 2, label=[0, 1]), {}, r"the data, row 0 names none\.png, which"),
        (Frame(label=[0, 1]), {}, r"has the columns 'label', none of them called path"),
        (HuggingFace(pillow(), ["x"] * 39 + [2.5], None), {}, r"row 39 has the label 2.5"),
    ],
)
def test_what_is_wrong_is_said_with_the_row_and_the_remedy(data, options, message):
    with pytest.raises(UserError, match=message):
        split_dataset(data, **options)


def test_x_and_y_apart_are_refused():
    with pytest.raises(UserError, match=r"two arrays: give a pair \(x, y\)"):
        split_dataset(NUMBERS, Y)


def test_a_stream_says_what_it_is():
    made = repr(split_dataset((NUMBERS, Y), n_experiences=2, name="mine"))
    assert made.startswith("<StreamBenchmark mine: 2 experiences, ")


def test_labels_of_test_data_must_be_known_and_marks_must_not_contradict():
    with pytest.raises(UserError, match=r"the test data of the data, row 1 has the label 'nut'"):
        split_dataset((NUMBERS, NAMES[Y]), (NUMBERS[:2], ["fig", "nut"]))
    frame = Frame(image=list(BYTES), label=list(Y), split=["train", "test"] * 20)
    with pytest.raises(UserError, match="says itself which samples are for testing"):
        split_dataset(frame, frame)
    with pytest.raises(UserError, match="augmentation changes places of pixels"):
        permute_dataset((BYTES, Y), augmentation="flip")


def test_pandas_itself(flowers):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"image": list(BYTES), "label": pandas.Categorical(NAMES[Y])})
    assert split_dataset(frame).info.class_names == ("fig", "kiwi", "pear", "plum")
    files = sorted(map(str, Path(flowers).rglob("*.png")))
    frame = pandas.DataFrame({"path": files, "label": [1.0, *[2.0] * 22, np.nan]})
    with pytest.raises(UserError, match="row 23 has the label nan"):
        split_dataset(frame)
