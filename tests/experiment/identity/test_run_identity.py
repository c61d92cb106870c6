"""A finished or interrupted run of other data, or of other code, is named."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import cl_strategies
from cl_strategies import registry as registry_module
from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.identity import present_data as data_here
from cl_strategies.experiment.sweep import compare as sweep
from cl_strategies.experiment.sweep.compare import compare
from cl_strategies.reports import write_report
from cl_strategies.results import load_result
from cl_strategies.results.checksum import sealed

pytestmark = pytest.mark.usefixtures("undrawn")


def fashion(root: Path, seed: int) -> Path:
    """A data set of its own in the layout of Fashion-MNIST."""
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    for part, n in (("train", 60), ("t10k", 20)):
        x, y = (
            chance.integers(0, 255, (n, 28, 28), dtype=np.uint8),
            np.arange(n, dtype=np.uint8) % 10,
        )
        for name, magic, shape, content in (
            ("images-idx3", 2051, (n, 28, 28), x),
            ("labels-idx1", 2049, (n,), y),
        ):
            header = struct.pack(f">{1 + len(shape)}I", magic, *shape)
            (folder / f"{part}-{name}-ubyte").write_bytes(header + content.tobytes())
    return root


def config(root: Path | None = None, *, strategy: str = "naive", seed: int = 0) -> ExperimentConfig:
    benchmark = {"name": "split-digits", "n_experiences": 2, "fraction": 0.1}
    if root is not None:
        benchmark = {"name": "split-fashion-mnist", "n_experiences": 2, "data_root": str(root)}
    return ExperimentConfig.from_dict(
        {
            "benchmark": benchmark,
            "strategy": {"name": strategy},
            "model": {"hidden": [4]},
            "run": {"seed": seed},
        }
    )


def stop_after(experiences):
    def progress(done, total):
        if done == experiences:
            raise KeyboardInterrupt

    return progress


def told(made, out, **options):
    said: list[str] = []
    run(made, out, told=said.append, **options)
    return " ".join(said)


def rewritten(path, change):
    """The same file as someone else would have written it, with its checksum."""
    fields = json.loads(path.read_text())
    del fields["checksum"]
    change(fields)
    path.write_text(json.dumps(sealed(fields)))


def test_a_run_of_other_data_is_no_answer_and_can_be_done_again(tmp_path):
    roots = [fashion(tmp_path / name, seed) for seed, name in enumerate("ab")]
    first = run(config(roots[0]), tmp_path / "out")
    with pytest.raises(UserError, match=r"done with cl-strategies .* here are others .*--rerun"):
        run(config(roots[1]), tmp_path / "out")
    moved = fashion(tmp_path / "moved", 0)
    assert run(config(moved), tmp_path / "out") == first
    second = run(config(roots[1]), tmp_path / "out", rerun=True)
    assert second.identity.data != first.identity.data
    assert run(config(roots[1]), tmp_path / "out") == second


def test_data_that_change_where_they_lie_are_noticed_in_the_same_process(tmp_path):
    made = config(fashion(tmp_path / "a", 0))
    run(made, tmp_path / "out")
    assert "read, not computed" in told(made, tmp_path / "out")
    fashion(tmp_path / "a", 1)
    with pytest.raises(UserError, match="are others"):
        run(made, tmp_path / "out")


def test_an_interrupted_run_does_not_continue_with_other_data(tmp_path):
    roots = [fashion(tmp_path / name, seed) for seed, name in enumerate("ab")]
    with pytest.raises(KeyboardInterrupt):
        run(config(roots[0]), tmp_path / "out", progress=stop_after(1))
    with pytest.raises(UserError, match="begun with other data"):
        run(config(roots[1]), tmp_path / "out")
    again = run(config(roots[1]), tmp_path / "out", rerun=True)
    assert again.accuracy_matrix == run(config(roots[1]), tmp_path / "alone").accuracy_matrix


def test_a_comparison_names_other_data_and_does_the_rest(tmp_path, capsys):
    roots = [fashion(tmp_path / name, seed) for seed, name in enumerate("ab")]
    arguments = ["compare", "--benchmark", "split-fashion-mnist", "--strategies", "naive"]
    arguments += ["--set", "benchmark.n_experiences=2", "--executor", "serial"]
    arguments += ["--out", str(tmp_path / "out")]
    assert main([*arguments, "--data-root", str(roots[0])]) == 0
    capsys.readouterr()
    more = [*arguments, "--data-root", str(roots[1]), "--seeds", "0-1"]
    assert main(more) == 2
    said = capsys.readouterr().err
    assert "are others" in said and "They are mixed in the means of naive" in said
    assert len(list((tmp_path / "out").glob("runs/*/result.json"))) == 2
    assert main([*more, "--rerun"]) == 0
    assert "mixed" not in capsys.readouterr().err


def test_a_result_without_its_data_is_read_with_a_word(tmp_path, monkeypatch):
    made = config(fashion(tmp_path / "a", 0))
    run(made, tmp_path / "out")
    monkeypatch.setattr(data_here, "_KNOWN", {})
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    monkeypatch.setattr("cl_strategies.benchmarks.datasets.registry.DATASETS", {})
    assert "its data were not compared" in told(made, tmp_path / "out")


def test_a_run_of_another_version_is_read_and_named(tmp_path, monkeypatch, capsys):
    run(config(), tmp_path)
    assert "was" not in told(config(), tmp_path)
    monkeypatch.setattr(cl_strategies, "__version__", "9.9")
    said = told(config(), tmp_path)
    assert "done with cl-strategies" in said and "is 9.9 source" in said and "--rerun" in said
    result = compare([config(seed=seed) for seed in (0, 1)], tmp_path, executor_name="serial")
    assert list(result.read) == [config().slug] and "is 9.9" in result.read[config().slug]
    paths = write_report(tmp_path)
    for path in (paths.markdown, paths.html, paths.json):
        text = path.read_text()
        assert "not all computed by the same code" in text and "means of naive" in text
    assert main(["report", str(tmp_path)]) == 0
    assert "not all computed by the same code" in capsys.readouterr().err


def test_an_interrupted_run_continues_with_other_code_and_says_so(tmp_path, monkeypatch, caplog):
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, progress=stop_after(1))
    monkeypatch.setattr(cl_strategies, "__version__", "9.9")
    record = run(config(), tmp_path)
    assert "begun by other code" in caplog.text
    assert ", then 9.9" in record.identity.packages["cl-strategies"]
    assert "is 9.9" in told(config(), tmp_path)


def test_a_run_of_the_first_release_is_read_with_a_word(tmp_path):
    run(config(), tmp_path)
    directory = RunDirectory(tmp_path, config())
    rewritten(directory.result, lambda fields: fields.pop("identity"))
    rewritten(
        directory.path / "environment.json",
        lambda fields: fields.update({"cl-strategies": "0.1.0"}),
    )
    said = told(config(), tmp_path)
    assert "identity unknown: done with cl-strategies 0.1.0" in said and "--rerun" in said
    assert load_result(directory.result).identity is None
    assert "same code" not in write_report(tmp_path).markdown.read_text()
    run(config(seed=1), tmp_path)
    text = write_report(tmp_path).markdown.read_text()
    assert "0.1.0, identity unknown (1 run)" in text


def test_a_checkpoint_of_the_first_release_continues_with_a_word(tmp_path, caplog):
    from cl_strategies.experiment.state.checkpoint import load_checkpoint, save_checkpoint

    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, progress=stop_after(1))
    path = RunDirectory(tmp_path, config()).checkpoint
    state = load_checkpoint(path)
    del state["identity"], state["format"]
    save_checkpoint(path, state)
    assert run(config(), tmp_path).finished
    assert "does not say with which data and code" in caplog.text


@pytest.mark.parametrize("identity", [5, {"data": 1, "packages": {}}, {"data": "a"}])
def test_a_checkpoint_with_an_identity_that_is_none_is_named(tmp_path, identity):
    from cl_strategies.experiment.state.checkpoint import load_checkpoint, save_checkpoint

    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path, progress=stop_after(1))
    path = RunDirectory(tmp_path, config()).checkpoint
    state = load_checkpoint(path)
    del state["format"]
    save_checkpoint(path, {**state, "identity": identity})
    with pytest.raises(UserError, match=r"checkpoint\.pt: field 'identity"):
        run(config(), tmp_path)


PACKAGE = """
from cl_strategies.strategies import Naive

class Theirs(Naive):
    "A strategy of another package."
    strength = {strength}
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Another package that registers the strategy ``theirs``; a function that changes it."""
    folder = tmp_path / "site"

    def install(*, strength: int, version: str = "1.0") -> None:
        (folder / "their_strategies").mkdir(parents=True, exist_ok=True)
        (folder / "their_strategies" / "__init__.py").write_text(PACKAGE.format(strength=strength))
        info = folder / "their_strategies-1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: their-strategies\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(
            "[cl_strategies.strategies]\ntheirs = their_strategies:Theirs\n"
        )
        forget()

    def forget() -> None:
        sys.modules.pop("their_strategies", None)
        registry_module._shared.cache_clear()

    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield install
    forget()


@pytest.mark.parametrize(
    ("change", "word"),
    [({"strength": 10}, "1.0 source"), ({"strength": 1, "version": "1.1"}, "is 1.1 source")],
)
def test_a_changed_strategy_of_another_package_is_named(tmp_path, theirs, change, word):
    theirs(strength=1)
    made = config(strategy="theirs")
    record = run(made, tmp_path / "out")
    assert record.identity.packages["their_strategies"].startswith("1.0 source ")
    assert "their_strategies" not in told(made, tmp_path / "out")
    theirs(**change)
    said = told(made, tmp_path / "out")
    assert "their_strategies was 1.0 source" in said and word in said
    assert run(made, tmp_path / "out", rerun=True).identity != record.identity
    assert "their_strategies" not in told(made, tmp_path / "out")


def test_a_plugin_that_is_found_when_the_strategy_is_made_counts(tmp_path, theirs, monkeypatch):
    """The strategy is ours, and what it trains with is of another package."""
    from cl_strategies.experiment.engine import training

    theirs(strength=1)
    import their_strategies

    from cl_strategies.experiment.setup.divergence import FiniteGuard

    class Guard(FiniteGuard):
        pass

    Guard.__module__ = their_strategies.__name__
    build = training.build_strategy

    def with_guard(*arguments, **options):
        strategy = build(*arguments, **options)
        strategy.plugins.append(Guard())
        return strategy

    monkeypatch.setattr(training, "build_strategy", with_guard)
    record = run(config(), tmp_path / "out")
    assert "their_strategies" in record.identity.packages
    theirs(strength=2)
    assert "their_strategies was" in told(config(), tmp_path / "out")


def test_a_comparison_looks_at_data_and_packages_once(tmp_path, monkeypatch):
    from cl_strategies.experiment.identity import run_identity as identity
    from cl_strategies.experiment.identity import suppliers

    made = [config(seed=seed) for seed in range(3)]
    compare(made, tmp_path, executor_name="serial")
    looked: list[str] = []
    for module, name in ((identity, "data_here"), (suppliers, "describe")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda x, name=name, f=real: looked.append(name) or f(x))
    result = compare(made, tmp_path, executor_name="serial")
    assert looked == ["data_here", "describe"]
    assert result.read == dict.fromkeys((c.slug for c in made), "")
    assert sweep.Comparison([], {}, {}, []).read == {}


def test_the_command_says_what_is_read_and_not_computed(tmp_path, capsys):
    settings = ["benchmark.n_experiences=2", "benchmark.fraction=0.1", "model.hidden=[4]"]
    sets = [part for setting in settings for part in ("--set", setting)]
    names = ["--benchmark", "split-digits", "--out", str(tmp_path), *sets]
    one = ["run", "--strategy", "naive", *names]
    many = ["compare", "--strategies", "naive,si", "--executor", "serial", *names]
    assert main(one) == 0
    assert "read, not computed" not in capsys.readouterr().err
    assert main(one) == 0
    said = capsys.readouterr().err
    assert "read, not computed, from 2" in said and "; --rerun does it again" in said
    assert main(many) == 0
    assert "1 run read, not computed" in capsys.readouterr().err
    assert main(many) == 0
    assert "2 runs read, not computed" in capsys.readouterr().err
    assert main([*many, "--rerun"]) == 0
    assert "read, not computed" not in capsys.readouterr().err


def test_nothing_is_chosen_by_runs_of_other_data(tmp_path):
    from cl_strategies.experiment.config.suite import Suite
    from cl_strategies.experiment.sweep.tuning import tune

    def suite(root):
        row = {"name": "split-fashion-mnist", "n_experiences": 1, "data_root": str(root)}
        tuning = {"seeds": [7], "validation": 0.2, "grid": {"train.lr": [0.001]}}
        return Suite(benchmarks=[row], strategies=[{"name": "naive"}], tuning=tuning)

    roots = [fashion(tmp_path / name, seed) for seed, name in enumerate("ab")]
    tune(suite(roots[0]), tmp_path / "out", executor_name="serial")
    with pytest.raises(UserError, match="every setting of naive failed"):
        tune(suite(roots[1]), tmp_path / "out", executor_name="serial")
