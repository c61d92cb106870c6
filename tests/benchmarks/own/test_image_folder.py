"""A folder of somebody's images as a stream."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cl_strategies.benchmarks import contract_violations, image_folder, load
from cl_strategies.benchmarks.own import pictures, sources
from cl_strategies.benchmarks.own.pictures import Treatment
from cl_strategies.errors import DataMissingError, UserError
from cl_strategies.experiment.identity.data_fingerprint import fingerprint


@pytest.mark.parametrize("scenario", ["class", "task"])
def test_a_folder_of_classes_keeps_the_contract(flowers, scenario, global_rngs):
    before = global_rngs()
    benchmark = load("image-folder", path=str(flowers), scenario=scenario, n_experiences=3, order=1)
    assert global_rngs() == before
    assert contract_violations(benchmark) == []
    info = benchmark.info
    assert (info.name, info.scenario, info.input_shape) == ("image-folder", scenario, (3, 10, 8))
    assert info.class_names == ("daisy", "rose", "tulip", "violet")
    assert sorted(info.n_classes_per_experience) == [1, 1, 2]
    sizes = [len(one.dataset) for one in [*benchmark.train_stream, *benchmark.test_stream]]
    assert sorted(sizes) == [1, 1, 2, 5, 5, 10]


@pytest.mark.parametrize("scenario", ["domain", "task"])
def test_a_folder_of_domains_keeps_the_contract(looks, scenario):
    options = {"scenario": scenario, "domains": ["sketch", "photo"]}
    benchmark = image_folder(path=looks, **options)
    assert contract_violations(benchmark) == []
    assert benchmark.info.task_classes == ((0, 1), (0, 1))
    assert benchmark.info.class_names == ("cup", "pen")
    first = benchmark.test_stream[0].dataset._flat_data._datasets[0]._datasets[0]
    assert "sketch" in first.pictures.source.name(int(first.rows[0]))
    assert image_folder(path=looks, scenario="domain").info.n_experiences == 2


def test_pixels_are_those_of_the_files(flowers):
    plain = image_folder(path=flowers, n_experiences=1, normalize=False)
    given = image_folder(path=flowers, n_experiences=1, mean=[0.5, 0.25, 0.0], std=[2.0, 1.0, 0.5])
    data = plain.train_stream[0].dataset
    leaf = data._flat_data._datasets[0]
    while not hasattr(leaf, "pictures"):
        leaf = leaf._datasets[0]
    name = leaf.pictures.source.name(int(leaf.rows[3]))
    pixels = torch.from_numpy(np.asarray(Image.open(name)).transpose(2, 0, 1) / 255).float()
    assert torch.allclose(data[3][0], pixels)
    shift, scale = torch.tensor([0.5, 0.25, 0.0]), torch.tensor([2.0, 1.0, 0.5])
    expected = (pixels - shift.view(3, 1, 1)) / scale.view(3, 1, 1)
    assert torch.allclose(given.train_stream[0].dataset[3][0], expected)


def test_normalization_is_that_of_the_first_experience_as_it_comes(flowers):
    options = {"path": flowers, "n_experiences": 2, "fraction": 0.6}
    for order in ([0, 1], [1, 0]):
        measured = image_folder(order=order, **options)
        plain = image_folder(order=order, normalize=False, **options)
        first = plain.train_stream[0].dataset
        x = torch.stack([first[i][0] for i in range(len(first))]).double()
        mean, std = x.mean(dim=(0, 2, 3)), x.std(dim=(0, 2, 3), correction=0)
        for stream in ("train_stream", "test_stream"):
            ours = getattr(measured, stream)[1].dataset[0][0]
            raw = getattr(plain, stream)[1].dataset[0][0]
            expected = (raw - mean.view(3, 1, 1)) / std.view(3, 1, 1)
            assert torch.allclose(ours.double(), expected, atol=1e-4)


def test_a_channel_that_never_changes_is_left_at_its_scale(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(3):
            pixels = np.full((4, 4, 3), 51, dtype=np.uint8)
            pixels[..., 0] = number * 50
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    x = image_folder(path=tmp_path, n_experiences=1).train_stream[0].dataset[0][0]
    assert x.isfinite().all() and x[1:].abs().max() < 1e-5


def test_folders_called_train_and_test_divide_the_images(tmp_path, write, flowers):
    write(tmp_path / "train", seed=1)
    write(tmp_path / "val", count=2, seed=2)
    benchmark = image_folder(path=tmp_path, n_experiences=2)
    assert [len(one.dataset) for one in benchmark.train_stream] == [12, 12]
    assert [len(one.dataset) for one in benchmark.test_stream] == [4, 4]
    apart = image_folder(path=tmp_path / "train", test_path=flowers, n_experiences=2)
    assert [len(one.dataset) for one in apart.test_stream] == [12, 12]


def test_the_order_of_classes_by_names_positions_or_seed(flowers):
    def order(given):
        return image_folder(path=flowers, class_order=given).info.class_order

    assert order(["tulip", "daisy", "violet", "rose"]) == order([2, 0, 3, 1]) == (2, 0, 3, 1)
    assert order(None) == (0, 1, 2, 3)
    assert order(5) == tuple(np.random.RandomState(5).permutation(4))


def test_images_are_brought_to_a_size_and_to_gray(flowers):
    benchmark = image_folder(
        path=flowers, image_size=[6, 4], color="gray", augmentation="crop-flip"
    )
    assert benchmark.info.input_shape == (1, 6, 4)
    assert benchmark.train_stream[0].dataset[0][0].shape == (1, 6, 4)
    ramp = Image.fromarray(np.tile(np.arange(12, dtype=np.uint8) * 20, (4, 1)))
    cut = np.asarray(Treatment(size=(4, 4), crop=True)(ramp))
    assert cut.tolist() == np.asarray(ramp)[:, 4:8].tolist()
    stretched = np.asarray(Treatment(size=(4, 4))(ramp))
    assert stretched.shape == (4, 4) and (stretched[:, 0] < 40).all()


def test_each_file_is_decoded_once_and_a_small_cache_changes_nothing(flowers, digest, monkeypatch):
    decoded = []
    real = sources.decode_picture
    monkeypatch.setattr(sources, "decode_picture", lambda *a: decoded.append(1) or real(*a))
    sources._DECODED.clear()
    first = image_folder(path=flowers, image_size=7)
    for experience in first.train_stream:
        experience.dataset[0]
    again = image_folder(path=flowers, image_size=7, order=3)
    assert len(decoded) == 24
    sources._DECODED.clear()
    reread = image_folder(path=flowers, image_size=7, cache_bytes=0)
    assert digest(first) == digest(reread) and len(decoded) > 2 * 24
    assert fingerprint(first) == fingerprint(reread) == fingerprint(again)
    assert not sources._DECODED


def test_one_changed_pixel_is_another_data_set_and_a_moved_folder_is_not(flowers, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(flowers, moved)
    before = fingerprint(image_folder(path=flowers))
    assert fingerprint(image_folder(path=moved)) == before
    os.utime(moved / "rose" / "4.png", (1, 1))
    assert fingerprint(image_folder(path=moved)) == before
    for name in ("0.png", "5.png"):  # whether it is for training or testing
        with Image.open(moved / "rose" / name) as image:
            image.putpixel((0, 0), (1, 2, 3))
            image.save(moved / "rose" / name)
        assert fingerprint(image_folder(path=moved)) != before
        shutil.copy2(flowers / "rose" / name, moved / "rose" / name)
    assert fingerprint(image_folder(path=moved)) == before


def empty_class(root):
    (root / "weed").mkdir()


def broken_image(root):
    (root / "rose" / "3.png").write_bytes(b"\x89PNG no more")


def other_size(root):
    Image.new("RGB", (8, 9)).save(root / "tulip" / "2.png")


def deep_image(root):
    Image.fromarray(np.zeros((10, 8), dtype=np.uint16)).save(root / "tulip" / "2.png")


def bitmap(root):
    Image.new("RGB", (8, 10)).save(root / "tulip" / "2.bmp")


def loose(root):
    Image.new("RGB", (8, 10)).save(root / "alone.png")


def one_class(root):
    for name in ("rose", "tulip", "violet"):
        shutil.rmtree(root / name)


def one_image(root):
    for number in range(5):
        (root / "rose" / f"{number}.png").unlink()


def train_beside(root):
    (root / "train").mkdir()


def divided(root):
    train = root.parent / "train"
    shutil.move(root, train)
    root.mkdir()
    shutil.move(train, root / "train")
    shutil.copytree(root / "train", root / "test")


def unknown_test_class(root):
    divided(root)
    shutil.move(root / "test" / "rose", root / "test" / "Rose")


def untested_class(root):
    divided(root)
    shutil.rmtree(root / "test" / "rose")


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (empty_class, {}, r"weed has no images: put PNG, JPEG or WEBP"),
        (broken_image, {}, r"rose.3\.png is not a readable image .* replace it"),
        (other_size, {}, r"tulip.2\.png has 9x8 pixels, .* 10x8: give image_size"),
        (deep_image, {}, r"tulip.2\.png is not .*more than 8 bits"),
        (bitmap, {}, r"tulip.2\.bmp is an image of a kind that is not read: convert"),
        (loose, {}, r"alone\.png lies beside the folders"),
        (one_class, {}, r"has the class 'daisy' only: give samples of at least two"),
        (one_image, {}, r"the class 'rose' has 1 sample.* too few .* test_fraction = 0.2"),
        (train_beside, {}, r"has a folder train beside daisy, .*: give path"),
        (unknown_test_class, {}, r"Rose.0\.png has the label 'Rose', which no training sample"),
        (untested_class, {}, r"has no sample of 'rose': every class needs test"),
        (None, {"n_experiences": 5}, r"n_experiences is 5, and there are 4 classes"),
        (None, {"class_order": ["rose", "tulip"]}, r"'daisy', 'violet' is missing"),
        (None, {"class_order": ["rose", "tulipp"]}, r"unknown class .*did you mean tulip"),
        (None, {"class_order": [0, 1, 2, 2]}, r"each of 0\.\.3 exactly once"),
        (None, {"scenario": "domain"}, r"daisy has images such as 0\.png, but no folders"),
        (None, {"domains": ["rose"]}, r'domains are given, and scenario is "class"'),
        (None, {"mean": [0.5, 0.5, 0.5]}, r"mean and std belong together"),
        (None, {"mean": [0.5], "std": [1.0]}, r"mean is \[0.5\]: give 3"),
        (None, {"image_size": [3, 4, 5]}, r"give one number of pixels, or height and width"),
        (None, {"resize": "crop"}, r"there is no image_size"),
    ],
)
def test_what_is_wrong_is_said_with_the_file_and_the_remedy(
    tmp_path, flowers, spoil, options, message
):
    root = flowers
    if spoil is not None:
        root = tmp_path / "flowers"
        shutil.copytree(flowers, root)
        spoil(root)
    with pytest.raises(UserError, match=message):
        image_folder(path=root, **options)


def test_domains_need_the_same_classes(tmp_path, looks):
    shutil.copytree(looks, tmp_path / "looks")
    shutil.rmtree(tmp_path / "looks" / "photo" / "pen")
    with pytest.raises(UserError, match="domain 'photo' has no training sample of 'pen'"):
        image_folder(path=tmp_path / "looks", scenario="domain")
    with pytest.raises(UserError, match=r"unknown domain 'foto': did you mean photo"):
        image_folder(path=looks, scenario="domain", domains=["foto"])
    with pytest.raises(UserError, match=r"n_experiences is 3, and there are 2 domains"):
        image_folder(path=looks, scenario="domain", n_experiences=3)


def test_folders_that_may_be_domains_are_named(looks, caplog):
    image_folder(path=looks, image_size=4)
    assert 'if they are domains, set scenario = "domain"' in caplog.text
    caplog.clear()
    image_folder(path=looks, image_size=4, scenario="domain")
    assert not caplog.text


def test_without_a_folder(tmp_path):
    (tmp_path / "fotos").mkdir()
    with pytest.raises(DataMissingError, match=r"photos is not there \(there is .*fotos\): give"):
        image_folder(path="photos", data_root=tmp_path)
    with pytest.raises(DataMissingError, match=r"nowhere is not there: give the folder"):
        image_folder(path="nowhere", data_root=tmp_path)
    with pytest.raises(UserError, match=r"image-folder needs the data: .*--set benchmark.path="):
        image_folder()
    (tmp_path / "file.csv").touch()
    with pytest.raises(DataMissingError, match=r"is a file: give a folder, or use image-table"):
        image_folder(path=tmp_path / "file.csv")


def test_many_images_are_read_in_several_turns(flowers, monkeypatch, digest):
    whole = digest(image_folder(path=flowers, image_size=5))
    monkeypatch.setattr(pictures, "_CHUNK", 7)
    sources._DECODED.clear()
    assert digest(image_folder(path=flowers, image_size=5)) == whole
