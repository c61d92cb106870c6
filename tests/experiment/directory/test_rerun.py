"""A run that is done again: by every executor, and without losing what it was."""

from __future__ import annotations

import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.rerun import ask, is_asked, last_progress, place_of
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine import runner
from cl_strategies.experiment.engine.runner import abandon, run
from cl_strategies.experiment.sweep.compare import compare
from cl_strategies.reports import write_report

pytestmark = pytest.mark.usefixtures("undrawn")


def config(seed=0, **train):
    return ExperimentConfig.from_dict(
        {
            "benchmark": {"name": "split-digits", "n_experiences": 3, "fraction": 0.1},
            "strategy": {"name": "si"},
            "model": {"hidden": [4]},
            "train": train,
            "run": {"seed": seed},
        }
    )


def stop_after(experiences):
    def progress(done, total):
        if done == experiences:
            raise KeyboardInterrupt

    return progress


def stamps(out, configs):
    return {c.slug: RunDirectory(out, c).stamp() for c in configs}


@pytest.mark.parametrize("name", ["serial", pytest.param("process", marks=pytest.mark.slow)])
def test_every_finished_run_is_done_again(tmp_path, name):
    configs = [config(0), config(1)]
    first = compare(configs, tmp_path, executor_name=name)
    before = stamps(tmp_path, configs)
    again = compare(configs, tmp_path, executor_name=name, rerun=True)
    assert not again.read and not again.problems
    assert all(stamp > before[slug] for slug, stamp in stamps(tmp_path, configs).items())
    assert [r.accuracy_matrix for r in again.records] == [r.accuracy_matrix for r in first.records]
    assert list(compare(configs, tmp_path, executor_name=name).read) == [c.slug for c in configs]
    assert not list(tmp_path.glob("runs/*/again"))


def test_the_old_result_is_there_until_the_new_one_is(tmp_path):
    first = run(config(), tmp_path)
    directory = RunDirectory(tmp_path, config())
    files = {path.name: path.read_bytes() for path in directory.path.iterdir() if path.is_file()}
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, rerun=True, progress=stop_after(2))
    assert {name: (directory.path / name).read_bytes() for name in files} == files
    assert directory.record() == first
    assert not write_report(tmp_path).problems


@pytest.mark.parametrize("rerun", [True, False])
def test_an_interrupted_rerun_continues_and_comes_to_its_end(tmp_path, rerun):
    run(config(), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, rerun=True, progress=stop_after(2))
    assert last_progress(config(), tmp_path) > RunDirectory(tmp_path, config()).stamp()
    done: list[int] = []
    run(config(), tmp_path, rerun=rerun, progress=lambda now, total: done.append(now))
    assert done == [2, 3] and not is_asked(config(), tmp_path)
    read: list[str] = []
    run(config(), tmp_path, told=read.append)
    assert read and not write_report(tmp_path).problems


def test_a_comparison_that_was_killed_while_it_did_runs_again_does_the_rest(tmp_path):
    configs = [config(seed) for seed in range(3)]
    compare(configs, tmp_path, executor_name="serial")
    before = stamps(tmp_path, configs)

    def killed(made, problem):
        if made == configs[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(configs, tmp_path, executor_name="serial", rerun=True, progress=killed)
    halfway = stamps(tmp_path, configs)
    assert [halfway[c.slug] > before[c.slug] for c in configs] == [True, True, False]
    result = compare(configs, tmp_path, executor_name="serial", rerun=True)
    now = stamps(tmp_path, configs)
    assert [now[c.slug] > halfway[c.slug] for c in configs] == [False, False, True]
    assert list(result.read) == [c.slug for c in configs[:2]]
    compare(configs, tmp_path, executor_name="serial", rerun=True)
    assert all(stamp > now[slug] for slug, stamp in stamps(tmp_path, configs).items())


def test_asking_that_was_cut_short_is_done_again(tmp_path, monkeypatch):
    from cl_strategies.experiment.directory import rerun

    configs = [config(seed) for seed in range(3)]
    real, left = rerun.write_text, [2]  # the note that asking began, and one mark

    def deadly(path, text):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(rerun, "write_text", deadly)
        with pytest.raises(KeyboardInterrupt):
            ask(configs, tmp_path)
    assert [is_asked(c, tmp_path) for c in configs] == [True, False, False]
    ask(configs, tmp_path)
    assert all(is_asked(c, tmp_path) for c in configs)
    assert not list(tmp_path.glob("runs/.*"))


def test_a_rerun_that_fails_leaves_the_old_result_and_is_tried_again(tmp_path, monkeypatch):
    first = run(config(), tmp_path)

    def broken(*arguments, **options):
        raise MemoryError("no memory for this")

    with monkeypatch.context() as patch:
        patch.setattr("cl_strategies.strategies.SI.train", broken)
        result = compare([config()], tmp_path, executor_name="serial", rerun=True)
        assert [record.status for record in result.records] == ["failed"] and result.failed
        assert run(config(), tmp_path).status == "failed"
    assert RunDirectory(tmp_path, config()).record() == first
    result = compare([config()], tmp_path, executor_name="serial")
    assert [record.status for record in result.records] == ["finished"] and not result.read
    assert not is_asked(config(), tmp_path)


def test_a_rerun_whose_process_is_lost_leaves_the_old_result(tmp_path):
    first = run(config(), tmp_path)
    ask([config()], tmp_path)
    abandon(config(), tmp_path, "it was killed")
    assert RunDirectory(tmp_path, config()).record() == first
    assert run(config(), tmp_path).finished and not is_asked(config(), tmp_path)


def test_a_rerun_that_diverges_replaces_the_old_result_and_its_checkpoint(tmp_path, monkeypatch):
    from cl_strategies.errors import DivergedError

    run(config(), tmp_path)

    def diverged(*arguments, **options):
        raise DivergedError("the loss is not finite")

    with monkeypatch.context() as patch:
        patch.setattr("cl_strategies.strategies.SI.train", diverged)
        assert run(config(), tmp_path, rerun=True).error["kind"] == "diverged"
    directory = RunDirectory(tmp_path, config())
    assert directory.record().error["kind"] == "diverged" and not directory.checkpoint.exists()
    assert not is_asked(config(), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["replace", "unlink"])
def test_a_kill_at_each_step_of_replacing_loses_nothing(tmp_path, monkeypatch, step):
    import os

    from cl_strategies.experiment.directory import rerun

    numbers, real = run(config(), tmp_path / "whole").accuracy_matrix, getattr(os, step)
    for at in range(20):
        out = tmp_path / str(at)
        run(config(), out)
        left = [at]

        def deadly(*arguments, left=left, **options):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        putting = rerun._put_in_place

        def put(again, top, deadly=deadly, putting=putting):
            with monkeypatch.context() as patch:
                patch.setattr(os, step, deadly)
                putting(again, top)

        with monkeypatch.context() as patch:
            patch.setattr(rerun, "_put_in_place", put)
            try:
                run(config(), out, rerun=True)
            except KeyboardInterrupt:
                pass
            else:
                break
        assert RunDirectory(out, config()).record().accuracy_matrix == numbers
        result = compare([config()], out, executor_name="serial")
        assert [record.accuracy_matrix for record in result.records] == [numbers]
        assert not is_asked(config(), out) and not write_report(out).problems
    assert at >= 1


def test_a_rerun_in_a_link_is_refused(tmp_path):
    run(config(), tmp_path / "out")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (RunDirectory(tmp_path / "out", config()).path / "again").symlink_to(elsewhere)
    for attempt in (
        lambda: run(config(), tmp_path / "out", rerun=True),
        lambda: run(config(), tmp_path / "out"),
    ):
        with pytest.raises(UserError, match="is a link"):
            attempt()
    assert not list(elsewhere.iterdir())


def test_a_rerun_of_an_interrupted_run_begins_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, progress=stop_after(2))
    done: list[int] = []
    record = run(config(), tmp_path, rerun=True, progress=lambda now, total: done.append(now))
    assert done[0] == 0 and record.accuracy_matrix == run(config(), tmp_path / "b").accuracy_matrix


def test_what_is_asked_for_is_the_run_of_now(tmp_path, monkeypatch):
    """A rerun that was begun by other code begins anew: it was to tell what that of now does."""
    import cl_strategies

    run(config(), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, rerun=True, progress=stop_after(2))
    monkeypatch.setattr(cl_strategies, "__version__", "9.9")
    done: list[int] = []
    record = run(config(), tmp_path, rerun=True, progress=lambda now, total: done.append(now))
    assert done[0] == 0 and record.identity.packages["cl-strategies"].startswith("9.9")


def test_leftovers_of_a_rerun_that_was_not_asked_for_are_removed(tmp_path):
    run(config(), tmp_path)
    again = RunDirectory(tmp_path, config(), again=True)
    again.path.mkdir()
    again.checkpoint.write_bytes(b"half")
    assert not place_of(tmp_path, config()).again and not again.path.exists()
    assert runner.run(config(), tmp_path).finished
