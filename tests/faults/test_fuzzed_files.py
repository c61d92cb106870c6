"""Run directories, data folders and pictures that no one would write: never a traceback, always 0
or 2 and a message."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
import pickle
import shutil
import struct
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.errors import UserError
from cl_strategies.results.record import RunRecord

sys.path.insert(0, str(Path(__file__).parent))
from fuzzing import AMOUNTS, PLAIN, TEXT, cases, outcome

pytestmark = pytest.mark.usefixtures("nothing_is_trained")


@pytest.fixture(scope="module")
def record(nothing_is_trained):
    """A valid result.json, as plain data."""
    rows = [[0.9, None], [0.5, 0.8]]
    valid = {
        "schema": 2,
        "status": "finished",
        "error": None,
        "config": {
            "benchmark": {"name": "b"},
            "strategy": {"name": "s", "mem_bytes": 4096, "weight_bits": 4, "activation_bits": 4},
            "run": {"seed": 0},
            "train": {"epochs": 1, "lr": 0.1},
            "model": {"name": "mlp"},
        },
        "config_hash": "0" * 12,
        "task_order": [0, 1],
        "accuracy_matrix": rows,
        "seconds": {"train": [1.0, 1.0], "evaluation": [0.1, 0.1]},
        "bytes": {"parameters": [8, 8], "method_state": [0, 0]},
        "memory": {"peak": [1, 2]},
        "exemplars": {
            "count": [4, 8],
            "bytes": [100, 200],
            "raw_bytes": [300, 600],
            "classes": [1, 2],
        },
        "metrics": {
            "average_accuracy": 0.65,
            "forgetting": 0.4,
            "relative_forgetting": 0.4,
            "train_seconds": 2.0,
            "parameter_bytes": 8,
            "method_state_bytes": 4,
            "of_a_plugin": 1.0,
        },
    }
    RunRecord.from_dict(valid)
    return valid


DAMAGE = st.sampled_from([b""] * 9 + [b"[", b"\xff", b"[" * 100_000])
RAW = st.one_of(st.binary(max_size=40), st.sampled_from([b"{}", b"3", b"[" * 100_000]))
TABLE = b"""{"schema": 1, "tables": [{"setting": "<s>%s", "source": "\\u00e4", "benchmark": "b",
"metrics": ["m"], "values": {"s": ["4 \xc2\xb1 1"]}}]}"""
PUBLISHED = st.sampled_from(
    [b""] * 6 + [TABLE % b"", TABLE % b"\\ud800", b"{}", b"[", b'{"tables": 3}', b"\xff"]
)
EXTREME = st.sampled_from(
    [math.nan, math.inf, 1.7e308, -1.7e308, 1e99, 5e-324, 10**400, -(10**400)]
)
NESTED = st.integers(1, 150).map(lambda depth: json.loads("[" * depth + "]" * depth))
RUN_CHANGES = st.lists(
    st.tuples(st.integers(0, 80), st.one_of(PLAIN, EXTREME, EXTREME, NESTED)), max_size=3
)


def changed_somewhere(data: Any, at: int, value: Any) -> Any:
    """A copy of ``data`` in which one place, counted from 0, holds ``value``."""
    copy = deepcopy(data)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(copy)
    node, key = places[at % len(places)]
    node[key] = value
    return copy


def run_report(
    record: dict[str, Any],
    changes: list[tuple[int, Any]],
    seal: bool,
    damage: bytes,
    raw: bytes,
    published: bytes,
    drawn: bytes,
) -> None:
    from cl_strategies.results.checksum import checksum

    folder, other = Path("results/runs/one"), Path("results/runs/other")
    folder.mkdir(parents=True, exist_ok=True)
    other.mkdir(exist_ok=True)
    data = record
    for at, value in changes:
        data = changed_somewhere(data, at, value)
    again = {**data, "config_hash": "1" * 12}  # a repetition: means and spreads are computed
    if seal:
        data, again = ({**d, "checksum": checksum(d)} for d in (data, again))
    text = json.dumps(data).encode()
    (folder / "result.json").write_bytes(damage + text[len(damage) :] if damage else text)
    (other / "result.json").write_text(json.dumps(again))
    (folder / "environment.json").write_bytes(raw)
    (folder / "config.toml").write_bytes(raw)
    (folder / "metrics.jsonl").write_bytes(raw)
    (folder / "exemplars.png").write_bytes(drawn)
    Path("results/published.json").unlink(missing_ok=True)
    if published:
        Path("results/published.json").write_bytes(published)
    outcome(["report", "results"])


def idx(shape: list[int], size: int) -> bytes:
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + b"\1" * size


@cache
def picture(kind: str, mode: str, width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((width, height), 40).convert(mode).save(file, kind)
    return file.getvalue()


@st.composite
def pictures(draw: Any) -> bytes:
    """A picture, nearly: of an odd kind or size, cut short, or with some bytes changed."""
    kind, mode = draw(
        st.sampled_from(
            [
                *(("PNG", mode) for mode in ("RGB", "1", "P", "I;16", "RGBA")),
                *(("JPEG", mode) for mode in ("RGB", "L", "CMYK")),
                *(("GIF", "P"), ("WEBP", "RGB"), ("BMP", "RGB"), ("TIFF", "F"), ("PPM", "RGB")),
            ]
        )
    )
    raw = bytearray(picture(kind, mode, draw(st.integers(1, 9)), draw(st.integers(1, 9))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at : at + draw(st.integers(1, 4))] = draw(st.binary(min_size=1, max_size=4))
    return bytes(raw[: draw(st.sampled_from([None, None, None, 8, 30, len(raw) // 2]))])


@st.composite
def data_files(draw: Any) -> bytes:
    choice = draw(st.integers(0, 5))
    if choice == 5:
        return draw(pictures())
    if choice == 0:
        return draw(st.binary(max_size=60))
    if choice == 1:
        return gzip.compress(draw(st.binary(max_size=60)))[: draw(st.integers(0, 60))]
    if choice == 2:
        return pickle.dumps(draw(PLAIN), protocol=2)[: draw(st.integers(0, 80))]
    if choice == 3:
        return draw(
            st.sampled_from([b"cos\nsystem\n(S'touch ran'\ntR.", b"\x80\x04.", b"n01\nn02\n"])
        )
    shape = draw(st.lists(st.sampled_from([0, 1, 2, 28, 2**32 - 1]), min_size=1, max_size=3))
    return idx(shape, draw(st.integers(0, 60)))


LAYOUTS = {
    "split-mnist": [
        f"MNIST/raw/{part}-{kind}"
        for part in ("train", "t10k")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ],
    "split-cifar10": [
        f"cifar-10-batches-py/{name}"
        for name in ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    ],
    "split-tiny-imagenet": [
        f"tiny-imagenet-200/{name}"
        for name in (
            "wnids.txt",
            "val/val_annotations.txt",
            "train/n01/images/a.JPEG",
            "val/images/b.JPEG",
        )
    ],
}


def run_data(benchmark: str, files: list[bytes]) -> None:
    shutil.rmtree("data", ignore_errors=True)
    for place, raw in zip(LAYOUTS[benchmark], files, strict=False):
        path = Path("data") / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    assert outcome(["datasets", "check", "--data-root", "data"])[0] == 0
    code, _ = outcome(
        ["run", "--benchmark", benchmark, "--strategy", "naive", "--data-root", "data"]
    )
    assert code == 2 and not Path("ran").exists()


def run_pictures(raw: list[bytes], names: list[str]) -> None:
    """A whole Tiny ImageNet, but for its pictures and the lines that name them."""
    folder = Path("pictures/tiny-imagenet-200")
    shutil.rmtree(folder, ignore_errors=True)
    for place in ("train/n01/images", "train/n02/images", "val/images"):
        (folder / place).mkdir(parents=True)
    (folder / "wnids.txt").write_text("n01\nn02\n")
    lines = [f"{name}\tn0{row % 2 + 1}\n" for row, name in enumerate(names)]
    (folder / "val/val_annotations.txt").write_bytes("".join(lines).encode("utf-8", "replace"))
    for at, content in enumerate(raw):
        (folder / f"train/n0{at % 2 + 1}/images" / f"{at}.JPEG").write_bytes(content)
        (folder / "val/images" / f"{at}.JPEG").write_bytes(content)
    try:
        data = load_dataset("tiny-imagenet", "pictures")
        for samples in (data.train, data.test):
            read = samples.dataset(np.arange(len(samples.labels)), samples.labels)
            for row in range(len(read)):
                with contextlib.suppress(UserError):
                    assert read[row][0].mode == "RGB"
    except UserError as error:
        assert "tiny-imagenet" in str(error)


@AMOUNTS
def test_run_directories(amount, record):
    cases(amount)(
        given(
            st.tuples(
                RUN_CHANGES,
                st.sampled_from([True] * 5 + [False]),
                DAMAGE,
                RAW,
                PUBLISHED,
                st.one_of(pictures(), RAW),
            )
        )(lambda drawn: run_report(record, *drawn))
    )()


@AMOUNTS
def test_data_folders(amount):
    cases(amount)(
        given(st.sampled_from(list(LAYOUTS)), st.lists(data_files(), min_size=7, max_size=7))(
            run_data
        )
    )()


@pytest.mark.filterwarnings("ignore")  # Pillow's about pictures that are odd, but readable
@AMOUNTS
def test_folders_of_pictures(amount, nothing_is_trained):
    names = st.lists(
        st.one_of(st.sampled_from(["0.JPEG", "1.JPEG", "../0.JPEG", "/etc/hostname", ""]), TEXT),
        min_size=2,
        max_size=4,
    )
    cases(amount)(given(st.lists(pictures(), min_size=2, max_size=4), names)(run_pictures))()
