# Each target works as the first command after a clone: it creates .venv when needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
STAMP := $(VENV)/.installed
# Python compiles what it imports; pip would compile ten times as much.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
OUT ?= comparison/quickstart

.DEFAULT_GOAL := help
.PHONY: help install compare test test-all bench lint types wheel docs clean

help:
	@echo "make compare    compare strategies on real data, write $(OUT)/report.html"
	@echo "make test       the test suite (minutes)"
	@echo "make test-all   with the long runs"
	@echo "make bench      speed against Avalanche and a raw PyTorch loop"
	@echo "make lint types wheel docs clean"

# torch first and alone: its pinned version keeps pip from ever choosing another build.
$(RUNTIME): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e .
	@touch $@

$(STAMP): $(RUNTIME)
	$(PIP) -e '.[dev]'
	@touch $@

install: $(STAMP)

compare: $(RUNTIME)
	$(BIN)/cl-strategies compare quickstart --out $(OUT)

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

test-all: $(STAMP)
	$(PIP) -e '.[ray]'
	$(BIN)/python -m pytest -m ""

bench: $(STAMP)
	$(PIP) -e '.[bench,ray]'
	$(BIN)/python -m pytest tests/performance -m "" --benchmark-enable -s

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pylint --disable=all --enable=duplicate-code --min-similarity-lines=8 --recursive=y cl_strategies plugins benchmarks reports

types wheel: $(STAMP)
	$(BIN)/python .ci/check_wheel.py

docs: $(STAMP)
	$(PIP) -e '.[docs]'
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist *.egg-info
