"""Commands that tell: list, show, recipes list, recipes show, new, datasets, doctor."""

from __future__ import annotations

import argparse
import json

from cl_strategies.cli.console import BOLD, answer
from cl_strategies.cli.describing.parameter_table import text_table
from cl_strategies.cli.exit_codes import EXIT_BAD_INPUT, EXIT_OK
from cl_strategies.errors import UserError


def list_names(options: argparse.Namespace) -> int:
    """List the registered names of one kind, or of all."""
    from cl_strategies.cli.describing.hours import hours_text
    from cl_strategies.cli.describing.names import RECIPES, recipe_rows, unknown_kind
    from cl_strategies.registry import KINDS, OLDER_KINDS, registry

    kinds = [options.kind] if options.kind else [*KINDS, RECIPES]
    if not {*kinds} <= {*KINDS, *OLDER_KINDS, RECIPES}:
        raise unknown_kind(options.kind)
    described = []
    for kind in kinds:
        if kind == RECIPES:
            described += [{"kind": kind, **row} for row in recipe_rows()]
        else:
            described += [{"kind": kind, **entry.describe()} for entry in registry(kind)]
    if options.json:
        answer(json.dumps(described, indent=2))
        return EXIT_OK
    for kind in kinds:
        rows = [row for row in described if row["kind"] == kind]
        width = max(len(row["name"]) for row in rows)
        answer(f"{kind}:", BOLD)
        for row in rows:
            cost = f" ({hours_text(row)})" if kind == RECIPES else ""
            answer(f"  {row['name']:{width}}  {row['summary']}{cost}")
    return EXIT_OK


def list_recipes(options: argparse.Namespace) -> int:
    """List the recipes, as ``list recipes`` does."""
    return list_names(argparse.Namespace(kind="recipes", json=options.json))


def show_recipe(options: argparse.Namespace) -> int:
    """Say what a recipe runs, as ``show`` does."""
    from cl_strategies.cli.describing.names import RECIPES, check_recipe

    check_recipe(options.suite)
    return show(argparse.Namespace(name=f"{RECIPES}/{options.suite}", json=options.json))


def show(options: argparse.Namespace) -> int:
    """Say what one name or recipe is, and its options."""
    from cl_strategies.cli.describing.describe_suite import describe_suite, to_dict
    from cl_strategies.cli.describing.names import RECIPES, entries_by_name, recipe_titles, unknown
    from cl_strategies.experiment.config.suite import Suite
    from cl_strategies.own_code import is_reference
    from cl_strategies.registry import registry

    recipe = options.name.removeprefix(f"{RECIPES}/")
    if recipe in recipe_titles():
        suite = Suite.from_toml(recipe)
        answer(json.dumps(to_dict(suite), indent=2) if options.json else describe_suite(suite))
        return EXIT_OK
    entries = entries_by_name()
    kind, _, name = options.name.rpartition("/")
    if is_reference(name):
        kind = kind or "strategies"
        entries[options.name] = (kind, registry(kind)[name])
    if options.name not in entries:
        raise unknown(options.name, {**entries, **recipe_titles()})
    kind, entry = entries[options.name]
    if options.json:
        described = {"kind": kind, **entry.describe(), "options": entry.defaults()}
        answer(json.dumps(described, indent=2))
        return EXIT_OK
    answer(f"{entry.name} ({kind})", BOLD)
    answer(f"  {entry.summary}")
    for title, text in (
        ("paper", entry.paper),
        ("scenarios", ", ".join(entry.scenarios)),
        ("needs", ", ".join(entry.needs)),
        ("data sets", ", ".join(entry.datasets).replace("|", " or ")),
        ("code", entry.factory),
    ):
        if text:
            answer(f"  {title}: {text}")
    table = "quantization" if kind == "quantizers" else registry(kind).singular
    parameters = entry.parameters().values()
    answer(f"  options:\n{text_table(parameters, table)}" if parameters else "  no options")
    return EXIT_OK


def new(options: argparse.Namespace) -> int:
    """Write the files of a new method."""
    from cl_strategies.scaffold.method import new_method

    paths = new_method(options.name, options.folder)
    answer("\n".join(map(str, paths)))
    answer(f"try it: cd {paths[0].parent} && python -m pytest")
    return EXIT_OK


def datasets(options: argparse.Namespace) -> int:
    """Say which data sets are here, and get them."""
    from dataclasses import asdict

    from cl_strategies.benchmarks import check_dataset, check_datasets, download

    if options.action == "fetch":
        if not options.name:
            raise UserError("name the data set to fetch; `cl-strategies datasets check` lists them")
        answer(str(download(options.name, options.data_root)))
        return EXIT_OK
    root = options.data_root
    statuses = [check_dataset(options.name, root)] if options.name else check_datasets(root)
    if options.json:
        answer(json.dumps([asdict(status) for status in statuses], indent=2))
    else:
        answer("\n".join(status.message() for status in statuses))
    missing = options.name and not all(status.present for status in statuses)
    return EXIT_BAD_INPUT if missing else EXIT_OK


def doctor(options: argparse.Namespace) -> int:
    """Say what is installed, what is broken and how to fix it."""
    from cl_strategies.cli.doctor import diagnose

    text, healthy = diagnose()
    answer(text)
    return EXIT_OK if healthy else EXIT_BAD_INPUT
