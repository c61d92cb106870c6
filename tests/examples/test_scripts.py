"""The example scripts run from an empty folder, in seconds, and print what they promise."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


@pytest.fixture
def say(empty_folder, monkeypatch, capsys):
    """Run an example as ``python NAME.py`` does; what it printed."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_says_what_it_is(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 60 and lines[0].startswith('"""')


def test_one_more_plugin_acts(say):
    naive, alasso = map(float, re.findall(r"forgetting (\d\.\d+)", say("alasso_in_a_script")))
    assert abs(naive - alasso) > 0.005


def test_more_exemplars_fit_in_the_same_bytes(say):
    found = re.findall(r"(\d+) exemplars in (\d+) bytes of (\d+)", say("byte_budget_replay"))
    (raw, *_), (quantized, *_) = [tuple(map(int, line)) for line in found]
    assert quantized > 1.5 * raw
    assert all(int(used) <= int(budget) for _, used, budget in found)


def test_a_four_bit_network_is_exported(say, empty_folder):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    printed = say("low_bit_onnx")
    assert (empty_folder / "lifequant.onnx").stat().st_size < 12_000
    assert float(re.search(r"([\d.]+)% of the predictions", printed)[1]) > 95
    assert "'QLinearConv': 2" in printed


def test_own_images_are_compared(say, empty_folder):
    printed = say("own_images")
    assert len(list((empty_folder / "shapes").glob("*/*.png"))) == 120
    assert all(name in printed for name in ("naive", "compressed-replay", "joint"))
    assert (empty_folder / "own-images" / "report.html").exists()


@pytest.mark.slow
def test_ray_on_this_machine(say, empty_folder):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'cl-strategies[ray]'")
    printed = say("ray_nodes")
    assert printed.count(": done") == 4 and "Counter({'finished': 4})" in printed
    assert (empty_folder / "ray-results" / "report.html").exists()


@pytest.mark.slow
def test_ray_on_two_nodes(say, empty_folder, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'cl-strategies[ray]'")
    monkeypatch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
    from ray.cluster_utils import Cluster

    node = {"node_ip_address": "127.0.0.1", "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(**node, num_cpus=1)
        printed = say("ray_nodes", cluster.address, str(empty_folder / "shared"))
    finally:
        cluster.shutdown()
    assert "Counter({'finished': 4})" in printed
    assert len(list((empty_folder / "shared" / "runs").iterdir())) == 4
    assert "replay" in printed


def test_the_ray_example_without_ray_says_how_to_install_it(say, monkeypatch):
    from cl_strategies.errors import UserError

    monkeypatch.setitem(sys.modules, "ray", None)  # importing it fails
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match=r"pip install 'cl-strategies\[ray\]'"):
        say("ray_nodes")
