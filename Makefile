# `make demo`, `make test` and `make lint` each do all the set-up they need, in .venv.
# Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := $(shell grep '^torch==' constraints.txt)
OUT ?= demo-out

# Nothing phones home, whatever is started from here.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.PHONY: help demo test lint notebooks setup clean

help:
	@echo "make demo   segment both hippocampi of the MNI152 brain with the shipped model, into $(OUT)/"
	@echo "make test   run the tests             make test ARGS='-k telemetry' runs some of them"
	@echo "make lint   ruff, mypy, import-linter, codespell"
	@echo "make notebooks  make notebooks/*.ipynb anew from the .py beside them"
	@echo "make setup  only install into $(VENV)  make clean removes it"

demo: $(STAMP)
	$(BIN)/medswin demo -o $(OUT)

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

notebooks: $(STAMP)
	$(BIN)/python notebooks/build.py

setup: $(STAMP)

# torch first and alone: pip then keeps the build it found, and never trades it for another one.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "medswin needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | tail -n 1)." \
	       "Repair: install one and run make with PYTHON=python3.12 (or its path)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(TORCH)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist
