"""The command that chooses hyper-parameters."""

from __future__ import annotations

import argparse
from pathlib import Path

from cl_strategies.cli.arguments.executor_options import executor_options
from cl_strategies.cli.arguments.short_forms import settings
from cl_strategies.cli.arguments.suites import suite_to_tune
from cl_strategies.cli.console import answer, progress_bar
from cl_strategies.cli.outcomes import exit_code_of


def tune_suite(options: argparse.Namespace) -> int:
    """Choose the hyper-parameters of a suite with its grid."""
    from cl_strategies.experiment.sweep.tuning import trials, tune

    suite, overrides = suite_to_tune(options), settings(options)
    total = sum(len(trial.configs) for trial in trials(suite, overrides))
    exit_codes: list[int] = []
    with progress_bar("runs", total=total) as bar:
        tuned = tune(
            suite,
            options.out or Path("tuning") / suite.name,
            overrides=overrides,
            executor_name=options.executor,
            executor_options=executor_options(options),
            jobs=options.jobs,
            progress=lambda config, problem: bar.update() and None,
            told=lambda result: exit_codes.append(exit_code_of(result)),
        )
    answer(tuned.read_text(encoding="utf-8"))
    answer(f"{tuned}\n{tuned.with_name('tuning.csv')}")
    return max(exit_codes)
