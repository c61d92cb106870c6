"""Sequences of domains: made of digits, and read from the published folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl_strategies.benchmarks import download, load, office_31
from cl_strategies.benchmarks.datasets.domains import read_imageclef, read_office31
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.digit_domains import LOOKS
from cl_strategies.benchmarks.streams.domains import chosen_domains
from cl_strategies.errors import DataMissingError, UserError

PHOTOGRAPHS = {"office-31": (3, 31), "imageclef": (3, 12)}


def images(experience: Any) -> torch.Tensor:
    return torch.stack([x for x, _, _ in experience.dataset])


@pytest.fixture(scope="module")
def whole() -> Any:
    return load("digit-domains")


@pytest.fixture(scope="module")
def looks(whole) -> dict[str, torch.Tensor]:
    return dict(zip(LOOKS, map(images, whole.test_stream), strict=True))


def test_every_domain_has_the_same_digits_in_another_look(looks, whole):
    labels = {tuple(e.dataset.targets) for e in whole.test_stream}
    assert len(labels) == 1
    for look in looks.values():
        assert look.shape == (359, 3, 16, 16) and look.min() >= 0 and look.max() <= 1
    plain = looks["plain"]
    torch.testing.assert_close(looks["inverted"], 1 - plain, atol=1e-6, rtol=0)
    assert all(torch.equal(look[:, 0], look[:, 1]) for look in (plain, looks["blurred"]))


def test_blur_takes_detail_and_noise_adds_it(looks):
    def detail(x: torch.Tensor) -> float:
        return float(x.diff(dim=2).square().mean() + x.diff(dim=3).square().mean())

    assert detail(looks["blurred"]) < 0.4 * detail(looks["plain"])
    assert detail(looks["noisy"]) > 1.3 * detail(looks["plain"])
    assert abs(float(looks["blurred"].mean() - looks["plain"].mean())) < 0.02
    inside = (looks["noisy"] - looks["plain"])[(looks["plain"] - 0.5).abs() < 0.05]
    assert 0.2 < float(inside.std()) < 0.27


def test_photographs_show_through_and_keep_the_digit(looks):
    photo, plain = looks["photo"], looks["plain"]
    where = plain[:, 0] == 0
    background = photo.permute(0, 2, 3, 1)[where]
    assert float(background.std()) > 0.1  # where there is no digit there is a photograph
    assert (photo[:, 0] != photo[:, 2]).float().mean() > 0.5  # in color
    far = (photo - plain).abs().permute(0, 2, 3, 1)[plain[:, 0] == 1].mean()
    assert 0.1 < float(far) < 0.9


def test_training_and_test_images_share_neither_digits_nor_backgrounds():
    benchmark = load("digit-domains", domains="photo")
    parts = [
        {x.numpy().tobytes() for x in images(stream[0])}
        for stream in (benchmark.train_stream, benchmark.test_stream)
    ]
    assert len(parts[0]) == 1438 and parts[0].isdisjoint(parts[1])


def test_a_seed_changes_backgrounds_and_noise_alone(looks):
    other = load("digit-domains", stream_seed=1)
    same = [
        torch.equal(first, images(second))
        for first, second in zip(looks.values(), other.test_stream, strict=True)
    ]
    assert dict(zip(LOOKS, same, strict=True)) == {
        **{"plain": True, "inverted": True, "photo": False, "blurred": True, "noisy": False}
    }


def test_a_look_does_not_depend_on_the_others_and_size_can_be_chosen(looks):
    alone = load("digit-domains", domains="Noisy-Photo", image_size=16)
    assert torch.equal(images(alone.test_stream[1]), looks["photo"])
    assert torch.equal(images(alone.test_stream[0]), looks["noisy"])
    small = load("digit-domains", image_size=8, domains="plain")
    digits = load_dataset("digits").test.x
    torch.testing.assert_close(images(small.test_stream[0])[:, :1], digits, atol=0.002, rtol=0)


def test_digit_domains_are_the_same_on_every_machine(digest: Callable[[Any], str]) -> None:
    benchmark = load("digit-domains", order=2, fraction=0.2, domains="plain-blurred-noisy")
    expected = "d45904db06a29a293a2332765ea027aa7c930bf77e190a7c033ba4b9445abef1"
    assert digest(benchmark) == expected


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_domains_of_photographs_are_read_in_the_order_given(name, data_root):
    tasks, classes = PHOTOGRAPHS[name]
    benchmark = load(name, data_root=data_root)
    assert len(benchmark.train_stream) == tasks and benchmark.info.n_classes == classes
    assert benchmark.info.input_shape == (3, 224, 224)
    for learn, check in zip(benchmark.train_stream, benchmark.test_stream, strict=True):
        assert set(learn.dataset.targets) == set(check.dataset.targets) == set(range(classes))


def test_the_papers_sequences_differ_in_their_order_only(data_root):
    sizes = {
        text: [len(e.dataset) for e in load("office-31", domains=text, data_root=data_root)
               .train_stream]
        for text in ("A-D-W", "w-d-a")
    }  # fmt: skip
    assert sizes["A-D-W"] == sizes["w-d-a"][::-1] and len(set(sizes["A-D-W"])) == 3
    four = load("imageclef", domains="B-C-I-P", data_root=data_root, n_experiences=3)
    assert len(four.train_stream) == 3
    small = load("imageclef", data_root=data_root, image_size=32)
    assert small.train_stream[0].dataset[0][0].shape == (3, 32, 32)


def test_office31_is_read_from_its_folders(data_root):
    names, found = read_office31(Path(data_root) / "office31")
    assert names[:2] == ["thing_00", "thing_01"] and set(found) == {"A", "D", "W"}
    files, labels = found["D"]
    assert files[0].endswith("dslr/images/thing_00/frame_0001.jpg") and labels[0] == 0
    assert len(files) == len(labels) and sorted(set(labels)) == list(range(31))


def test_imageclef_is_read_from_its_lists_wherever_they_lie(data_root):
    found = read_imageclef(Path(data_root) / "image_CLEF")
    assert set(found) == set("BCIP")
    for letter, (files, labels) in found.items():
        assert len(files) == 60 and np.bincount(labels).tolist() == [5] * 12
        for path, label in zip(files, labels, strict=True):
            assert f"/{letter.lower()}/n{label:02}_" in path


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: shutil.rmtree(r / "office31/dslr/images/thing_07"), "30 folders"),
        (
            lambda r: [p.unlink() for p in (r / "office31/webcam/images/thing_03").iterdir()],
            "no im",
        ),
        (lambda r: (r / "image_CLEF/iList.txt").unlink(), "iList.txt is missing"),
        (lambda r: (r / "image_CLEF/iList.txt").write_text("i/none.JPEG 0\n"), "names no image"),
        (lambda r: (r / "image_CLEF/list/cList.txt").write_text(""), "no image of the classes"),
        (lambda r: (r / "image_CLEF/list/bList.txt").write_bytes(b"\xff\xfe"), "bList.txt"),
    ],
)
def test_damaged_folders_are_named(damage, message, tmp_path, data_root):
    for name in ("office31", "image_CLEF"):
        shutil.copytree(Path(data_root) / name, tmp_path / name)
    damage(tmp_path)
    with pytest.raises(DataMissingError, match=message):
        load("office-31", data_root=str(tmp_path))
        load("imageclef", domains="B-C-I-P", data_root=str(tmp_path))


@pytest.mark.parametrize("name", ["office-31", "imageclef"])
def test_what_cannot_be_downloaded_says_how_to_get_it(name, nothing_installed, tmp_path):
    with pytest.raises(DataMissingError, match="by hand"):
        load(name)
    with pytest.raises(UserError, match="by a program"):
        download(name, tmp_path)


@pytest.mark.parametrize("text", ["", "A-A", "A-X", "A,D"])
def test_unknown_domains_are_refused(text):
    with pytest.raises(UserError, match="joined by hyphens"):
        chosen_domains(text, ["A", "D", "W"], None)


def test_domains_of_another_type_are_refused():
    for load_or_call in (partial(load, "office-31"), office_31):
        with pytest.raises(UserError, match="domains is 3: give text"):
            load_or_call(domains=3)


@pytest.mark.parametrize("count", [0, 4, True])
def test_no_more_experiences_than_domains(count):
    with pytest.raises(UserError, match="n_experiences"):
        office_31(n_experiences=count)


def test_svhn_is_split_by_class(data_root):
    benchmark = load("split-svhn", data_root=data_root)
    assert benchmark.info.n_classes == 10 and benchmark.info.input_shape == (3, 32, 32)
    x = benchmark.train_stream[0].dataset[0][0]
    assert -1 <= float(x.min()) < 0 < float(x.max()) <= 1
