"""What is shown of runs while they are computed."""

import io
import math

import pytest

from cl_strategies.cli import console, main
from cl_strategies.cli.progress import RunProgress, in_words
from cl_strategies.experiment.engine.watching import Moment


def moment(experience=1, epoch=2, *, share=0.2, loss=0.5234, over=True):
    return Moment(
        experience=experience,
        experiences=5,
        epoch=epoch,
        epochs=10,
        share=share,
        loss=loss,
        lr=0.1,
        seconds=1.0,
        over=over,
    )


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (moment(), "experience 2/5, epoch 2/10, loss 0.523"),
        (moment(over=False), "experience 2/5, epoch 3/10, loss 0.523"),
        (moment(epoch=12, loss=math.nan), "experience 2/5, epoch 12"),
    ],
)
def test_a_place_in_words(place, text):
    assert in_words(place) == text


def test_a_file_gets_a_line_now_and_then_with_the_time_that_is_left():
    lines, clock = [], Clock()
    shown = RunProgress(1, line=lines.append, now=clock)
    for clock.now in range(0, 301, 10):
        shown.at("a", moment(experience=0, share=clock.now / 300, epoch=1))
    assert [line.split("; ")[1].replace("\xa0", " ") for line in lines] == [
        "2%, about 24.5 min left",
        "6%, about 23.5 min left",
        "14%, about 21.5 min left",
    ]
    assert lines[0].startswith("experience 1/5, epoch 1/10, loss 0.523; ")


def test_runs_that_were_read_take_no_part_in_the_speed():
    clock = Clock()
    shown = RunProgress(10, line=print, now=clock)
    for run in "abcdefgh":
        shown.ended(run)
    clock.now = 5.0
    shown.at("i", moment(experience=0, share=0.0))
    assert math.isnan(shown.remaining())
    clock.now = 15.0
    shown.at("i", moment(experience=2, share=0.5))  # half a run in ten seconds
    assert shown.share == pytest.approx(0.85) and shown.remaining() == pytest.approx(30.0)
    shown.ended("i")
    assert shown.share == pytest.approx(0.9)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_no_color_is_respected(monkeypatch, environment, colored):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out, err = Terminal(), Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    assert main(["list", "codecs"]) == 0
    console.warn("careful")
    assert ("\x1b[1mcodecs:\x1b[0m\n" in out.getvalue()) == colored
    assert ("\x1b" in err.getvalue()) == colored and "cl-strategies:" in err.getvalue()


def test_numbers_and_units_are_apart_in_any_encoding(capsys):
    console.note("about 1\u202f200\u00a0s left")
    assert "about 1 200 s left" in capsys.readouterr().err


def test_a_file_has_no_color(capsys):
    assert main(["list", "codecs"]) == 0
    assert "\x1b" not in capsys.readouterr().out
