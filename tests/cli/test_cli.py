"""The command line: what it prints, and that bad input is one message and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.experiment.config.suite import recipes

pytestmark = pytest.mark.usefixtures("undrawn")

FAST = [
    "--set",
    "train.epochs=1",
    "--set",
    "benchmark.n_experiences=2",
    "--set",
    "benchmark.fraction=0.2",
]
RUN = ["run", "--benchmark", "split-digits", "--strategy", "naive", *FAST]


def complaint(capsys, *arguments):
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.startswith("cl-strategies: ") and captured.err.count("cl-strat") < 3
    return captured.err


def test_list_names_every_kind(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in ("strategies:", "alasso", "benchmarks:", "permuted-digits", "models:", "mlp"):
        assert name in text


@pytest.mark.parametrize("kind", ["strategies", "benchmarks", "models"])
def test_list_as_json_is_a_list_of_objects_with_names(capsys, kind):
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows and all(row["name"] and row["summary"] for row in rows)


def test_list_names_the_recipes_as_show_finds_them(capsys):
    assert main(["list", "recipes", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in rows} == {"recipes"} and all(row["summary"] for row in rows)
    assert {row["name"] for row in rows} == {*recipes()}
    assert main(["list"]) == 0
    assert "recipes:\n  adaptation-digits  " in capsys.readouterr().out


def test_show_answers_nonsense_with_kinds_and_few_names(capsys):
    error = complaint(capsys, "show", "nonsense")
    assert "strategies, benchmarks, models, quantizers, codecs, recipes" in error
    assert len(error) < 300
    assert "did you mean alasso" in complaint(capsys, "show", "alaso")
    assert "did you mean codecs/jpeg" in complaint(capsys, "show", "codec/jpeg")


def test_show_tells_kinds_apart_by_a_prefix(capsys):
    assert main(["show", "codecs/jpeg"]) == 0
    assert "codec.quality = 75" in capsys.readouterr().out


def test_show_prints_options_and_defaults(capsys):
    assert main(["show", "alasso"]) == 0
    text = capsys.readouterr().out
    assert "strategy.a = 1.8" in text and "strategy.monotone = true" in text and "ICCV" in text


def test_show_describes_a_recipe(capsys):
    assert main(["show", "quickstart"]) == 0
    text = capsys.readouterr().out
    assert "80 runs" in text and "permuted-digits: n_experiences = 10" in text
    assert main(["show", "quickstart", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == [0, 1, 2, 3, 4]


def test_compare_keeps_published_numbers_beside_the_runs(capsys, tmp_path):
    file = tmp_path / "suite.toml"
    file.write_text(
        '[[benchmarks]]\nname = "split-digits"\n[[benchmarks]]\nname = "task-digits"\n'
        '[[strategies]]\nname = "naive"\n'
        '[[published]]\nsetting = "elsewhere"\nsource = "somebody"\nbenchmark = "split-digits"\n'
        'metrics = ["average_accuracy"]\n[published.values]\nwsn = ["12.3 ± 0.4"]\n'
    )
    arguments = ["compare", str(file), *FAST, "--executor", "serial"]
    for name, kept in (("split-digits", True), ("task-digits", False)):
        out = tmp_path / name
        assert main([*arguments, "--benchmark", name, "--out", str(out)]) == 0
        assert (out / "published.json").exists() == kept
        assert ("12.3 ± 0.4" in (out / "report.md").read_text()) == kept
        assert "12.3" not in (out / "summary.csv").read_text()


def test_run_prints_its_numbers_and_is_not_repeated(capsys, tmp_path):
    arguments = [*RUN, "--out", str(tmp_path)]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "average_accuracy" in first
    assert main(arguments) == 0
    assert capsys.readouterr().out == first


def test_run_reads_a_file_and_the_command_line_beats_it(capsys, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        '[benchmark]\nname = "split-digits"\nn_experiences = 2\nfraction = 0.2\n'
        '[strategy]\nname = "si"\nc = 5.0\n[train]\nepochs = 7\n'
    )
    assert main(["run", str(file), "--set", "train.epochs=1", "--out", str(tmp_path)]) == 0
    path = capsys.readouterr().out.strip().splitlines()[-1]
    config = json.loads(Path(path).read_text())["config"]
    assert config["train"]["epochs"] == 1 and config["strategy"]["strength"] == 5.0


def test_compare_takes_ranges_of_named_orders(capsys, tmp_path):
    arguments = [
        "compare",
        "--benchmark",
        "task-digits",
        "--strategies",
        "naive",
        "--orders",
        "B-C",
    ]
    fast = ["--set", "train.epochs=1", "--set", "benchmark.fraction=0.05"]
    assert main([*arguments, *fast, "--executor", "serial", "--out", str(tmp_path)]) == 0
    results = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/result.json")]
    found = {result["config"]["benchmark"]["order"]: result["task_order"] for result in results}
    assert found == {"B": [1, 0, 4, 2, 3], "C": [2, 4, 1, 3, 0]}
    assert "max_order_disparity" in (tmp_path / "summary.csv").read_text()


def test_compare_writes_the_promised_columns(capsys, tmp_path):
    arguments = ["compare", "--benchmark", "split-digits", "--strategies", "naive,si", *FAST]
    assert main([*arguments, "--seeds", "0-1", "--executor", "serial", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.strip().splitlines()[-1].endswith("report.html")
    # si does nothing in one epoch, which every form of the report says
    texts = [(tmp_path / f"report.{kind}").read_text() for kind in ("md", "html")]
    command = "cl-strategies tune --benchmark split-digits --strategies si --set train.epochs=1"
    assert all(f"{command} --set" in text for text in (*texts, said.err))
    lines = (tmp_path / "summary.csv").read_text().splitlines()
    assert lines[0] == "benchmark,strategy,metric,mean,std,n"
    rows = [line.split(",") for line in lines[1:]]
    assert {row[1] for row in rows} == {"naive", "si"}
    assert {"average_accuracy", "backward_transfer", "forgetting"} <= {row[2] for row in rows}
    assert {row[5] for row in rows} == {"2"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "strategy"], "did you mean strategies"),
        (["list", "recipe"], "did you mean recipes"),
        (["show", "a" * 10_000], f"unknown name '{'a' * 100}...'"),
        (["show", "alaso"], "did you mean alasso"),
        (["run", "--benchmark", "split-digits"], "[strategy]"),
        (["run", "missing.toml"], "cannot read missing.toml"),
        ([*RUN, "--set", "train.epoch=3"], "did you mean epochs"),
        ([*RUN, "--set", "train.epochs"], "key=value"),
        ([*RUN, "--set", "train.epochs=many"], "give an integer"),
        ([*RUN, "--set", "benchmark.fraction=2.0"], "fraction"),
        ([*RUN, "--set", "benchmark.order=[0, 0]"], "order"),
        ([*RUN, "--set", "run.device=tpu"], "run.device"),
        (["compare"], "nothing to compare"),
        (["compare", "quickstrat"], "did you mean quickstart"),
        (["compare", "quickstart", "--strategies", "alaso"], "did you mean alasso"),
        (["compare", "quickstart", "--seeds", "a-b"], "--seeds"),
        (["compare", "quickstart", "--seeds", "3-1"], "empty"),
        (["compare", "quickstart", "--orders", "B-A"], "--orders"),
        (["compare", "quickstart", "--orders", "A-B"], "order is 'A'"),
        (["compare", "quickstart", "--shard", "4/4"], "shard"),
        (["compare", "quickstart", "--executor", "cluster"], "unknown executor"),
        (["report", "nowhere"], "nowhere"),
        (["datasets", "check", "cifar"], "did you mean"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert message in complaint(capsys, *arguments)


def test_missing_data_says_where_it_was_looked_for_and_how_to_get_it(capsys, tmp_path):
    error = complaint(
        capsys,
        *("run", "--benchmark", "split-cifar10", "--strategy", "naive"),
        *("--data-root", str(tmp_path), "--out", str(tmp_path / "out")),
    )
    assert str(tmp_path) in error and "cl-strategies datasets fetch cifar10" in error


def test_an_unwritable_folder_is_one_message(capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "cannot write" in complaint(capsys, *RUN, "--out", str(tmp_path / "file"))


def test_wrong_options_are_found_before_the_first_run(capsys, tmp_path):
    message = complaint(
        capsys,
        *("compare", "--benchmark", "split-digits", "--strategies", "naive,si", *FAST),
        *("--set", "strategy.c=-1.0", "--out", str(tmp_path)),
    )
    assert "unknown option of naive" in message
    assert not (tmp_path / "runs").exists()


def test_a_diverged_run_is_recorded_and_the_others_go_on(capsys, tmp_path):
    suite = tmp_path / "suite.toml"
    suite.write_text(
        '[[benchmarks]]\nname = "split-digits"\nn_experiences = 2\nfraction = 0.2\n'
        '[[strategies]]\nname = "naive"\ntrain = {optimizer = "sgd", lr = 1e30}\n'
        '[[strategies]]\nname = "si"\n'
    )
    assert main(["compare", str(suite), "--out", str(tmp_path), "--executor", "serial"]) == 1
    results = [json.loads(p.read_text()) for p in tmp_path.glob("runs/*/result.json")]
    status = {r["config"]["strategy"]["name"]: r["status"] for r in results}
    assert status == {"naive": "failed", "si": "finished"}
    failed = next(r for r in results if r["status"] == "failed")
    assert failed["error"]["kind"] == "diverged" and "not finite" in failed["error"]["message"]
    assert "not finite" in (tmp_path / "report.md").read_text()


def test_a_damaged_checkpoint_is_named_and_nothing_is_lost(capsys, tmp_path):
    arguments = [*RUN, "--out", str(tmp_path)]
    assert main(arguments) == 0
    capsys.readouterr()
    (folder,) = (tmp_path / "runs").iterdir()
    (folder / "result.json").unlink()
    checkpoint = folder / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert str(checkpoint) in complaint(capsys, *arguments)
    assert (folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize("argument", ["--help", "list"])
def test_help_and_list_come_without_heavy_imports(argument):
    code = (
        "import sys\n"
        "from cl_strategies.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, argument], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "strategies" in done.stdout


def test_doctor_reports_every_part(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for part in (
        "torch",
        "avalanche-lib",
        "patched",
        "device",
        "digits",
        "Everything needed works",
    ):
        assert part in text
