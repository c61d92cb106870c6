"""Every block of every page runs, here or in the test that is named here."""

from __future__ import annotations

import tomllib

import pytest
from pages import ROOT, blocks, follow

METHODS = "docs/methods"
#: Where the blocks of a page are run, and more than that is looked at.
ELSEWHERE = {
    **dict.fromkeys(
        ("docs/exemplars.md", f"{METHODS}/cim.md", f"{METHODS}/compressed-replay.md"),
        "tests/docs/test_cim_docs.py",
    ),
    **{f"{METHODS}/{name}.md": "tests/docs/test_alasso_docs.py" for name in ("l2", "si", "alasso")},
    **{
        f"{METHODS}/{name}.md": "tests/docs/test_imm_docs.py"
        for name in ("imm-mean", "imm-mode", "sgd-dropout", "ewc")
    },
    **{
        f"{METHODS}/{name}.md": "tests/docs/test_data_free_docs.py"
        for name in ("zeroq", "zaq", "qimera", "intraq")
    },
    **{
        f"{METHODS}/{name}.md": "tests/docs/test_task_baselines_docs.py"
        for name in (
            *("batch-norm", "batch-ensemble", "gpm", "wsn", "bmkp", "iru", "ibp-wf", "apd"),
            *("apd-fixed", "clr", "prd"),
        )
    },
    **{
        f"{METHODS}/{name}.md": "tests/strategies/quantized/test_pages.py"
        for name in ("alignq", "lifequant")
    },
    **{
        f"docs/own-data/{name}.md": "tests/docs/test_own_data_docs.py"
        for name in ("folders", "python", "avalanche")
    },
    "docs/logging.md": "tests/docs/test_logging_docs.py",
    "docs/calibration.md": "tests/docs/test_calibration_docs.py",
    "docs/own-method.md": "tests/own/test_own_docs.py",
    "docs/reading-results.md": "tests/own/test_own_docs.py",
    "docs/quantization.md": "tests/strategies/quantized/test_pages.py",
    "docs/accumulation.md": "tests/strategies/contracts/test_gradient_accumulation.py",
    "docs/upstream-bugs.md": "tests/docs/test_upstream_bugs.py",
    "docs/index.md": "tests/test_quickstart.py",  # three minutes: `make compare`
}
SMALL_RUNS = ["--set", "benchmark.fraction=0.2", "--set", "model.hidden=[8]"]
#: Each of the other pages, and whether its runs are made small.
HERE = {
    "README.md": False,
    "docs/install.md": False,
    "docs/tutorial.md": True,
    "docs/avalanche-script.md": False,
    "docs/resuming.md": False,
    "docs/tuning.md": True,
    "docs/comparing.md": True,
    "docs/recipes.md": False,
    "docs/deployment.md": False,
    "docs/reports.md": True,
    "docs/records.md": True,
    "docs/performance.md": False,
    "docs/benchmarks.md": False,
    "docs/continual-evaluation.md": False,
    "docs/statistics.md": False,
    "docs/metrics.md": False,
    **{f"{METHODS}/{name}.md": False for name in ("joint", "halrp", "vcl", "dann", "dsan")},
}
#: Pages of which others say as much in less time.
SECONDS = {f"{METHODS}/{name}.md" for name in ("halrp", "vcl", "dann", "dsan")}
SMALLER = [
    (r"n_experiences = \d+\n", "n_experiences = 2\nfraction = 0.2\n"),
    (r"epochs = (5|10)\n", "epochs = 1\n"),
    (r"seeds = \[0, 1.*\]\n", "seeds = [0]\n"),
    (r"= \[1.0, .*100.0\]", "= [1.0, 100.0]"),
    (r"--seeds 0,1 ", "--seeds 0 "),
    (r"\[\[strategies\]\]\n", r"[[strategies]]\nmodel = { hidden = [8] }\n"),
]


def pages() -> set[str]:
    every = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {path.relative_to(ROOT).as_posix() for path in every}


def test_every_page_with_a_block_is_run_by_a_test():
    with_blocks = {page for page in pages() if blocks(page)}
    assert not set(HERE) & set(ELSEWHERE)
    assert with_blocks == set(HERE) | set(ELSEWHERE)
    for page, test in ELSEWHERE.items():
        stem = page.rpartition("/")[2].removesuffix(".md")
        assert stem in (ROOT / test).read_text() or page == "docs/index.md", page


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page in SECONDS)) for page in HERE],
)
def test_every_block_runs(page, tmp_path, monkeypatch, undrawn):
    small = HERE[page]
    follow(page, tmp_path, monkeypatch, SMALLER if small else (), SMALL_RUNS if small else ())


def test_every_table_of_a_configuration_can_be_read():
    for page in pages():
        for kind, text in blocks(page):
            if kind == "toml":
                tomllib.loads(text)
