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

# The 3D view of review pages: fetched, checked and never committed.
NIIVUE := 0.69.0
NIIVUE_SHA512 := YMjQvJgD1W2b7DuoxkwlC4VxbrgIePRJ5qyQzXKxi2v2MBVg285P/CIQyg46oDDGDIcaNlbd+MhtO/edMbXJkA==
VIEWER := medswin/review/vendor/niivue.umd.js

.PHONY: help demo test lint notebooks viewer setup clean

help:
	@echo "make demo   segment both hippocampi of the MNI152 brain with the shipped model, into $(OUT)/"
	@echo "make test   run the tests             make test ARGS='-k telemetry' runs some of them"
	@echo "make lint   ruff, mypy, import-linter, codespell"
	@echo "make notebooks  make notebooks/*.ipynb anew from the .py beside them"
	@echo "make viewer fetch NiiVue $(NIIVUE) (needs npm): review pages made after that have a 3D view"
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

viewer:
	rm -rf build/viewer && mkdir -p build/viewer
	cd build/viewer && npm pack --silent @niivue/niivue@$(NIIVUE)
	@test "$$(openssl dgst -sha512 -binary build/viewer/*.tgz | base64 | tr -d '\n')" = "$(NIIVUE_SHA512)" || { \
	  echo "NiiVue $(NIIVUE) is not what it was when it was pinned; it is not used. Repair: try again later" >&2; exit 1; }
	tar -xzf build/viewer/*.tgz -C build/viewer package/dist/niivue.umd.js
	mv build/viewer/package/dist/niivue.umd.js $(VIEWER)

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
