"""The quantizers as registered names: listing, options, the command line, third parties."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.quantizers.proxq import ProxQ
from cl_strategies.plugins.quantization.quantizers.scheme import scheme
from cl_strategies.registry import Entry, registry

NAMES = ["uniform", "dorefa", "pact", "lsq", "lsq-plus", "llsq", "apot", "alignq", "lifequant"]


def test_the_quantizers_are_registered_under_the_names_of_their_schemes():
    assert [entry.name for entry in registry("quantizers")] == NAMES
    assert [entry.load().name for entry in registry("quantizers")] == NAMES


def test_the_command_line_lists_them(capsys):
    assert main(["list", "quantizers", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == NAMES


def test_a_name_that_a_strategy_has_too_is_shown_with_its_kind(capsys):
    assert main(["show", "lifequant"]) == 0
    assert "strategy.replay_ratio" in capsys.readouterr().out
    assert main(["show", "quantizers/lifequant"]) == 0
    assert "quantization.alpha = 1.0" in capsys.readouterr().out
    assert main(["show", "apot"]) == 0
    assert "apot (quantizers)" in capsys.readouterr().out


def test_the_older_spelling_of_the_kind_is_understood(capsys):
    assert main(["list", "quantisers", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == NAMES
    assert main(["show", "quantisers/lifequant"]) == 0
    assert "quantization.alpha = 1.0" in capsys.readouterr().out


def test_listing_them_imports_neither_torch_nor_avalanche():
    code = (
        "import sys; from cl_strategies.registry import registry; list(registry('quantizers'));"
        "sys.exit(bool({'torch', 'avalanche'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_scheme_by_name_takes_the_options_of_its_class():
    made = scheme("lifequant", alpha=0.5, clamp=False)
    space = {"alpha": 0.5, "standardize": True, "clamp": False}
    assert isinstance(made, ProxQ) and vars(made.space) == space
    with pytest.raises(UserError, match="unknown option of lifequant 'alfa'.*alpha"):
        scheme("lifequant", alfa=0.5)
    with pytest.raises(UserError, match="a finished scheme"):
        scheme(made, alpha=1.0)


def test_a_third_party_quantizer_is_found_by_its_name():
    entry = Entry(
        name="their-quantizer",
        factory="cl_strategies.plugins.quantization.quantizers.lsq:LSQ",
        summary="from outside",
    )
    known = registry("quantizers")
    known.add(entry)
    try:
        assert scheme("their-quantizer", per_channel=True).name == "lsq"
    finally:
        del known._entries["their-quantizer"]
