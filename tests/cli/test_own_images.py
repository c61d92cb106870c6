"""Images of one's own from the command line and files alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cl_strategies.cli import main

SMALL = ["--set", "model.hidden=[8]", "--set", "benchmark.image_size=8"]


@pytest.fixture
def flowers(tmp_path, monkeypatch):
    """200 images in 4 classes, below the current folder."""
    monkeypatch.chdir(tmp_path)
    random = np.random.RandomState(0)
    for shade, name in enumerate(("daisy", "rose", "tulip", "violet")):
        folder = tmp_path / "flowers" / name
        folder.mkdir(parents=True)
        for number in range(50):
            pixels = random.normal(80 * shade, 40, (9, 8, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "flowers"


def test_two_hundred_images_become_a_report_and_a_changed_one_is_refused(flowers, undrawn, capsys):
    compare = ["compare", "--benchmark", "image-folder", "--strategies", "naive,replay,joint"]
    compare += ["--executor", "serial", "--out", "results", *SMALL]
    compare += ["--set", "benchmark.path=flowers", "--set", "train.epochs=2"]
    assert main(compare) == 0
    report = flowers.parent / "results" / "report.html"
    text = report.read_text()
    assert all(name in text for name in ("image-folder", "naive", "replay", "joint"))
    Image.new("RGB", (8, 9)).save(flowers / "rose" / "7.png")
    capsys.readouterr()
    assert main(compare) == 2
    assert "the data of image-folder here are others" in capsys.readouterr().err


RUN = """
[benchmark]
name = "image-folder"
path = "{path}"
scenario = "task"
class_order = ["violet", "daisy", "rose", "tulip"]
color = "gray"
augmentation = "crop-flip"

[strategy]
name = "naive"
"""


def test_a_file_is_enough_and_leads_to_folders_below_the_current_one_only(
    flowers, tmp_path_factory, monkeypatch, capsys
):
    (flowers.parent / "run.toml").write_text(RUN.format(path="flowers"))
    assert main(["run", "run.toml", "--out", "results", *SMALL]) == 0
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    for path in (flowers, "../" + str(flowers.relative_to(elsewhere.parent)), "~root/x"):
        (elsewhere / "run.toml").write_text(RUN.format(path=path))
        capsys.readouterr()
        assert main(["run", "run.toml", "--out", "results", *SMALL]) == 2
        assert "--set benchmark.path=" in capsys.readouterr().err
    given = ["--set", f"benchmark.path={flowers}"]
    assert main(["run", "run.toml", "--out", "results", *SMALL, *given]) == 0


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (None, ["benchmark.path=nowhere"], "nowhere is not there"),
        (None, ["benchmark.path=flowers", "benchmark.n_experiences=9"], "n_experiences is 9"),
        ("rose/7.png", ["benchmark.path=flowers"], "7.png is not a readable image"),
        ("weed/", ["benchmark.path=flowers"], "weed has no images"),
        (None, ["benchmark.path=flowers", "benchmark.scenario=domain"], "but no folders"),
        (None, [], "--set benchmark.path="),
    ],
)
def test_what_is_wrong_ends_the_command_before_any_training(
    flowers, spoil, options, message, capsys
):
    if spoil:
        place = flowers / spoil
        place.mkdir() if spoil.endswith("/") else place.write_bytes(b"no image")
    settings = [part for option in options for part in ("--set", option)]
    command = ["compare", "--benchmark", "image-folder", "--strategies", "naive,si", *settings]
    assert main([*command, "--executor", "serial", "--out", "results"]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (flowers.parent / "results" / "runs").exists()


THEIRS = """
from avalanche.benchmarks import nc_benchmark
import torch
from torch.utils.data import TensorDataset


def mine(count: int = 40):
    data = TensorDataset(torch.rand(count, 1, 4, 4), torch.arange(count) % 4)
    return nc_benchmark(data, data, n_experiences=2, task_labels=False, seed=0)


def nothing():
    return 3
"""


def test_a_function_that_makes_a_benchmark_of_avalanche_is_a_benchmark(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (tmp_path / "own_streams_of_a_test.py").write_text(THEIRS)
    run = ["run", "--strategy", "naive", "--out", "results", "--set", "model.hidden=[4]"]
    assert main([*run, "--benchmark", "own_streams_of_a_test:mine"]) == 0
    assert main([*run, "--benchmark", "own_streams_of_a_test:nothing"]) in (1, 2)
    assert "a int has no train_stream" in capsys.readouterr().err
