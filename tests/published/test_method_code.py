"""Fingerprints of the code of a method: what they see, and what they leave out."""

from __future__ import annotations

import ast

import pytest


def bare(source: str) -> str:
    from method_code import _Bare

    return ast.unparse(_Bare().visit(ast.parse(source)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('def f():\n    """One."""\n    return 1', 'def f():\n    """Two."""\n    return 1'),
        ("x = 1  # why", "x = 1"),
        ("a: Annotated[int, Doc('one')] = 1", "a: Annotated[int, Doc('two')] = 1"),
        ("raise UserError('one')", "raise UserError(f'two {x}')"),
        ("if TYPE_CHECKING:\n    import a", "if TYPE_CHECKING:\n    import b"),
    ],
)
def test_what_no_number_depends_on_is_left_out(before: str, after: str) -> None:
    assert bare(before) == bare(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [("x = 1", "x = 2"), ("f('one')", "f('two')"), ("a: int = 1", "a: int = 3")],
)
def test_what_is_computed_counts(before: str, after: str) -> None:
    assert bare(before) != bare(after)


def test_methods_reach_what_they_compute_with() -> None:
    from method_code import _home, _reached, fingerprint

    plugin = _home("cl_strategies.plugins", "SIPlugin")
    assert plugin.startswith("cl_strategies.plugins.regularization")
    assert any("regularization" in name for name in _reached(plugin))
    assert fingerprint("strategies/si") != fingerprint("strategies/mas")


def test_parts_are_what_a_configuration_names() -> None:
    from method_code import parts_of

    config = {
        "benchmark": {"name": "split-digits"},
        "model": {"name": "mlp"},
        "strategy": {"name": "cim", "host": "foster", "inner": "jpeg", "codec": "jpeg:quality=75"},
        "quantization": {"quantizer": "lsq"},
    }
    assert parts_of(config) == {
        "benchmarks/split-digits",
        "models/mlp",
        "strategies/cim",
        "strategies/foster",
        "quantizers/lsq",
        "codecs/jpeg",
    }
