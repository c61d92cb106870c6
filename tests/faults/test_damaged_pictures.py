"""exemplars.png, which a run leaves for its report: damaged, hostile, without end."""

from __future__ import annotations

import io
import os
import pickle
import random
import shutil
import struct
import zlib

import pytest
from PIL import Image

from cl_strategies.cli import main
from cl_strategies.reports.reading.side_files import read_picture

pytestmark = pytest.mark.usefixtures("undrawn")

KEEPS = ("--executor", "serial", "--strategies", "compressed-replay")
SHOWN = "Exemplars as they are stored"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, command):
    out = tmp_path_factory.mktemp("finished")
    assert main(command(out, *KEEPS)) == 0
    assert SHOWN in (out / "report.html").read_text()
    return out


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def picture_of(out):
    (path,) = out.glob("runs/*/exemplars.png")
    return path


def pixels(content):
    with Image.open(io.BytesIO(content)) as picture:
        return picture.convert("RGB").tobytes()


def truncated(content, chance):
    return content[: chance.randrange(len(content))]


def flipped(content, chance):
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("damage", [truncated, flipped])
def test_it_is_named_as_damaged_or_shows_what_it_showed(damage, finished, tmp_path):
    source = picture_of(finished).read_bytes()
    expected, path = pixels(source), tmp_path / "exemplars.png"
    chance, named = random.Random(damage.__name__), 0
    for _ in range(200):
        path.write_bytes(damage(source, chance))
        content, fault = read_picture(path)
        if fault:
            assert content == b"" and "Delete it" in fault
            named += 1
        else:
            assert pixels(content) == expected
    assert named > 150


def cut(path, trap):
    path.write_bytes(path.read_bytes()[:-20])


def malicious(path, trap):
    class Opens:
        def __reduce__(self):
            return open, (str(trap), "w")

    path.write_bytes(pickle.dumps(Opens()))


def drawing(path, trap):
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')


def another_format(path, trap):
    Image.new("RGB", (8, 8)).save(path, "GIF")


def huge(path, trap):
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    raw = bytearray(file.getvalue())
    raw[16:24] = struct.pack(">II", 2**13, 2**13)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    path.write_bytes(raw)


def long(path, trap):
    with path.open("ab") as file:
        file.truncate(2**22 + 1)


def pipe(path, trap):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "attack", [cut, malicious, drawing, another_format, huge, long, pipe], ids=lambda a: a.__name__
)
def test_the_command_names_it_shows_none_and_keeps_the_numbers(
    attack, copy, finished, tmp_path, command, numbers, capsys
):
    path, trap = picture_of(copy), tmp_path / "ran"
    attack(path, trap)
    written = {p: p.stat().st_mtime_ns for p in copy.glob("runs/*/result.json")}
    capsys.readouterr()
    assert main(command(copy, *KEEPS)) == 0
    said = capsys.readouterr().err
    assert f"{path}: is no picture that could be shown" in said and "Delete it" in said
    page = (copy / "report.html").read_text()
    assert SHOWN not in page and "exemplars.png" in page
    assert not trap.exists()
    assert numbers(copy) == numbers(finished)
    path.unlink()
    assert main(command(copy, *KEEPS)) == 0
    assert str(path) not in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in written} == written


def test_an_unfinished_run_draws_it_anew(copy, finished, command, numbers):
    path = picture_of(copy)
    path.write_bytes(b"damaged")
    path.with_name("result.json").unlink()
    assert main(command(copy, *KEEPS)) == 0
    assert path.read_bytes() == picture_of(finished).read_bytes()
    assert numbers(copy) == numbers(finished)
