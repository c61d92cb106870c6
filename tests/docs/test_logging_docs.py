"""The page on loggers: its table is that of the declarations, and its script runs."""

import re
from pathlib import Path

from cl_strategies.cli.describing.parameter_table import markdown_table
from cl_strategies.experiment import ExperimentConfig
from cl_strategies.experiment.config.logging_options import LOGGERS, LoggingOptions
from cl_strategies.validation.hyperparameters import parameters_of

PAGE = (Path(__file__).parents[2] / "docs" / "logging.md").read_text()


def test_the_table_is_that_of_the_options():
    assert markdown_table(parameters_of(LoggingOptions).values()) in PAGE
    assert all(f"| `{name}` | " in PAGE for name in LOGGERS)


def test_the_table_of_a_file_is_read(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    (tmp_path / "run.toml").write_text(
        f'{text}[benchmark]\nname = "split-digits"\n[strategy]\nname = "si"\n'
    )
    options = ExperimentConfig.from_toml(tmp_path / "run.toml").logging
    assert options == LoggingOptions(
        to=("tensorboard", "wandb"), project="forgetting", offline=True
    )


def test_the_script_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(script, "logging.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 5  # one epoch of each experience
    assert list(tmp_path.glob("results/logs/csv/replay-split-digits-*.csv"))
