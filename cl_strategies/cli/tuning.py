"""The command that chooses hyper-parameters."""

from __future__ import annotations

import argparse
from pathlib import Path

from cl_strategies.cli.arguments.executor_options import executor_options
from cl_strategies.cli.arguments.short_forms import settings
from cl_strategies.cli.arguments.suites import suite_to_tune
from cl_strategies.cli.console import answer, warn
from cl_strategies.cli.outcomes import exit_code_of
from cl_strategies.cli.progress import run_progress


def tune_suite(options: argparse.Namespace) -> int:
    """Choose the hyper-parameters of a suite with its grid."""
    from cl_strategies.experiment.sweep.tuning import trials, tune

    suite, overrides = suite_to_tune(options), settings(options)
    total = sum(len(trial.configs) for trial in trials(suite, overrides))
    exit_codes: list[int] = []
    with run_progress(total) as shown:
        tuned = tune(
            suite,
            options.out or Path("tuning") / suite.name,
            overrides=overrides,
            executor_name=options.executor,
            executor_options=executor_options(options),
            jobs=options.jobs,
            progress=lambda config, problem: shown.ended(config.slug),
            watch=lambda config, moment: shown.at(config.slug, moment),
            told=lambda result: exit_codes.append(exit_code_of(result)),
            warn=warn,
        )
    answer(tuned.read_text(encoding="utf-8"))
    answer(f"{tuned}\n{tuned.with_name('tuning.csv')}")
    return max(exit_codes)
