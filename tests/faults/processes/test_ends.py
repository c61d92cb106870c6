"""However a run ends, it leaves a result, and the runs after it are done: in every executor."""

from __future__ import annotations

import json
import shutil
import signal
import warnings
from pathlib import Path

import pytest

from cl_strategies import registry
from cl_strategies.cli import main
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.sweep import executors
from cl_strategies.experiment.sweep.attempts import Outcome, end_of_process
from cl_strategies.experiment.sweep.compare import compare
from cl_strategies.experiment.sweep.ray_executor import work

THEIRS = Path(__file__).with_name("their_ends.py")
TINY = {
    "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.1},
    "model": {"hidden": [4]},
    "train": {"epochs": 1},
}
SAID = {
    "exit": "SystemExit: 0",
    "exit-text": "SystemExit: why",
    "interrupt": "KeyboardInterrupt: ",
    "generator": "GeneratorExit: ",
    "stop": "StopIteration: ",
    "own": "Own: ",
    "group": "BaseExceptionGroup: two",
    "mute": "Mute: (it has no text: asking for it raised SystemExit)",
    "odd": "Odd: odd",
    "mute-user": "UserError: (it has no text: asking for it raised SystemExit)",
    "busy": "UserError: not so",
    "memory": "MemoryError: ",
    "deep": "RecursionError: ",
    "long": "ValueError: xxx",
    "warned": "UserWarning: now an error",
    "moved": "RuntimeError: elsewhere",
    "deaf": "RuntimeError: no Ctrl-C any more",
}
DIED = {
    "os-exit": "ended by itself, as os._exit() does (exit code 0)",
    "os-exit-3": "ended by itself, as os._exit() does (exit code 3)",
    "segfault": "crashed with a segmentation fault (SIGSEGV, exit code -11)",
    "abort": "was aborted, by a check of a library in C or C++ (SIGABRT, exit code -6)",
    "kill": "was killed, by the system for want of memory, or by somebody (SIGKILL, exit code -9)",
    "term": "was told to end, by somebody or by a scheduler (SIGTERM, exit code -15)",
    "orphaned": "ended by itself, as os._exit() does (exit code 0)",
}
FEW = ("exit", "interrupt", "mute", "busy")


@pytest.fixture(scope="module", autouse=True)
def theirs(tmp_path_factory):
    """The package of a third party, as ``pip install`` leaves it, for all processes."""
    place = tmp_path_factory.mktemp("site-packages")
    shutil.copy(THEIRS, place)
    (place / "their_ends-1.0.dist-info").mkdir()
    points = "[cl_strategies.strategies]\nends = their_ends:Ends\n"
    (place / "their_ends-1.0.dist-info" / "entry_points.txt").write_text(points)
    metadata = "Metadata-Version: 2.1\nName: their-ends\nVersion: 1.0\n"
    (place / "their_ends-1.0.dist-info" / "METADATA").write_text(metadata)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        registry._shared.cache_clear()
        yield
    registry._shared.cache_clear()


def config(how="nothing", made="nothing"):
    strategy = {"name": "ends", "how": how, "made": made}
    return ExperimentConfig.from_dict({**TINY, "strategy": strategy})


def error_of(out, config):
    return json.loads(RunDirectory(out, config).result.read_text())["error"]


def check(comparison, out, expected):
    """Every run but the last has failed as is ``expected``, and the last has finished."""
    assert comparison.problems == {} and comparison.missing == []
    assert comparison.records[-1].finished
    for how, message in expected.items():
        error = error_of(out, config(how))
        assert error["kind"] == "error" and message in error["message"], how
        assert len(error["message"]) < 3_000 and error["traceback"], how


def test_a_run_in_this_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filters, handler = list(warnings.filters), signal.getsignal(signal.SIGINT)
    runs = [*map(config, SAID), config("forked")]
    check(compare(runs, "out", executor_name="serial"), "out", SAID)
    assert Path.cwd() == tmp_path and warnings.filters == filters
    assert signal.getsignal(signal.SIGINT) is handler
    # What was measured before is kept, and where it failed is told.
    record = RunDirectory("out", config("exit")).record()
    assert record.accuracy_matrix[0][0] is not None
    assert "their_ends.py" in record.error["traceback"]


@pytest.mark.parametrize(
    "ends",
    [
        ("exit", "mute", "segfault", "orphaned"),
        pytest.param([*FEW, *DIED], marks=pytest.mark.slow),
    ],
)
def test_a_run_in_a_process_of_its_own(ends, tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "ENDS_WITHIN", 0.5)
    expected = {how: {**SAID, **DIED}[how] for how in ends}
    runs = [config("lingering"), *map(config, expected), config("forked")]
    check(compare(runs, tmp_path, executor_name="process", jobs=2), tmp_path, expected)
    assert RunDirectory(tmp_path, config("lingering")).record().finished


@pytest.mark.parametrize("how", FEW)
def test_a_run_on_a_node_of_ray(how, tmp_path):
    failing = config(how)
    options = {"wait": False, "repeat": 0}
    assert work(failing.to_dict(), failing.slug, str(tmp_path), options) == (None, False)
    assert SAID[how] in error_of(tmp_path, failing)["message"]


def test_the_command_reports_and_answers_1(tmp_path, capsys):
    suite = tmp_path / "suite.toml"
    suite.write_text(
        "[train]\nepochs = 1\n[model]\nhidden = [4]\n"
        "[[benchmarks]]\nname = 'split-digits'\nn_experiences = 2\nfraction = 0.1\n"
        "[[strategies]]\nname = 'ends'\nhow = 'exit'\n[[strategies]]\nname = 'naive'\n"
    )
    out = tmp_path / "out"
    assert main(["compare", str(suite), "--executor", "serial", "--out", str(out)]) == 1
    assert "failed: SystemExit: 0" in capsys.readouterr().err
    assert (out / "report.html").exists()
    assert len(list(out.glob("runs/naive-*/result.json"))) == 1


@pytest.mark.parametrize("how", ["exit", "interrupt", "mute", "busy"])
def test_what_ends_while_it_is_made_is_refused_before_any_run(how, tmp_path, capsys):
    settings = ("strategy.how=nothing", f"strategy.made={how}")
    sets = [part for setting in settings for part in ("--set", setting)]
    names = ("--benchmark", "split-digits", "--strategies", "ends", "--out", str(tmp_path))
    assert main(["compare", *names, *sets, "--executor", "serial"]) == 2
    said = capsys.readouterr().err
    assert SAID[how].partition(": ")[2] in said and "Traceback" not in said


@pytest.mark.parametrize("name", ["serial", "process"])
def test_a_run_that_says_it_is_busy_is_not_tried_for_ever(name, tmp_path):
    made = config(made="busy")
    outcomes = list(executors.EXECUTORS[name]([made], tmp_path))
    assert outcomes == [Outcome(made, "not so")]


@pytest.fixture
def ctrl_c_is_heard():
    """A shell lets what it starts in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("how", ["ctrl-c", "ctrl-c-kept", "ctrl-c-changed"])
def test_ctrl_c_ends_the_command_whatever_a_plugin_makes_of_it(how, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        compare([config(how), config()], tmp_path, executor_name="serial")
    assert not list(tmp_path.glob("runs/*/result.json"))
    assert RunDirectory(tmp_path, config(how)).checkpoint.exists()


def test_what_a_handler_of_the_caller_raises_is_the_caller_s(tmp_path):
    before = signal.signal(signal.SIGTERM, lambda *arguments: exit_143())
    try:
        with pytest.raises(SystemExit, match="143"):
            run(config("term"), tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not RunDirectory(tmp_path, config("term")).result.exists()


def exit_143():
    raise SystemExit(143)


def test_what_a_loader_of_data_says_of_its_workers_is_a_failure(tmp_path):
    """PyTorch's handler stays from the first loader on, and raises when a worker is killed."""

    def worker_was_killed(*arguments):
        raise RuntimeError("a worker was killed")

    before = signal.signal(signal.SIGCHLD, worker_was_killed)
    try:
        record = run(config("forked"), tmp_path)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert record.error["message"] == "RuntimeError: a worker was killed"


def test_what_the_caller_s_progress_raises_is_the_caller_s(tmp_path):
    def progress(done, total):
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        run(config(), tmp_path, progress=progress)
    assert not RunDirectory(tmp_path, config()).result.exists()


@pytest.mark.parametrize("code", [0, 1, 255, None, *(-int(n) for n in signal.valid_signals()), -99])
def test_every_end_of_a_process_has_words(code):
    said = end_of_process(code)
    assert f"exit code {code})" in said and "the same command continues it" in said
    if code not in (-signal.SIGKILL,):
        assert "memory" not in said
