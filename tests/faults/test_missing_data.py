"""Runs whose data are missing, or that fail for another reason, stop only themselves."""

from __future__ import annotations

import json

from cl_strategies.cli import main


def test_runs_without_data_are_recorded_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    suite = tmp_path / "suite.toml"
    suite.write_text(
        '[train]\nepochs = 1\n[[benchmarks]]\nname = "split-cifar10"\n'
        '[[benchmarks]]\nname = "split-digits"\nn_experiences = 2\nfraction = 0.2\n'
        '[[strategies]]\nname = "naive"\n'
    )
    out = tmp_path / "out"
    assert main(["compare", str(suite), "--out", str(out), "--executor", "serial"]) == 1
    error = capsys.readouterr().err
    assert "cl-strategies datasets fetch cifar10" in error and "Traceback" not in error
    results = [json.loads(path.read_text()) for path in out.glob("runs/*/result.json")]
    status = {r["config"]["benchmark"]["name"]: r["status"] for r in results}
    assert status == {"split-cifar10": "failed", "split-digits": "finished"}
    failed = next(r for r in results if r["status"] == "failed")
    assert "cifar10: not on this machine" in failed["error"]["message"]
    assert "Traceback" in failed["error"]["traceback"]
    assert "cifar10: not on this machine" in (out / "report.html").read_text()


def test_tuning_names_the_settings_that_failed_and_chooses_among_the_others(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    suite = tmp_path / "suite.toml"
    suite.write_text(
        '[train]\noptimizer = "sgd"\n[[benchmarks]]\nname = "split-digits"\nn_experiences = 1\n'
        'fraction = 0.1\n[[strategies]]\nname = "naive"\n[tuning]\nseeds = [7]\n'
        '[tuning.grid]\n"train.lr" = [1e30, 0.01]\n'
    )
    assert main(["tune", str(suite), "--executor", "serial", "--out", "tuned"]) == 1
    said = capsys.readouterr()
    assert "failed: a weight is not finite" in said.err or "failed: the loss is" in said.err
    assert "lr = 0.01" in (tmp_path / "tuned" / "tuned.toml").read_text()
