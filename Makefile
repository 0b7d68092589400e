# Two commands for a fresh machine with Python 3.11 and make: `make bench` and `make test`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

# Real traces beside the checkout are used when they are there; everything works without them.
ifneq ($(wildcard ../shared/traces),)
export CLUSTERSIM_TRACES ?= $(abspath ../shared/traces)
endif

.PHONY: help install bench test test-slow check format docs speed clean

help:
	@echo "make bench      install, compare all placement policies on the embedded workload, write a report"
	@echo "make test       install, run the whole test suite"
	@echo "make check      format, lint, types, import direction, fast tests: what CI runs first"
	@echo "make test-slow  the full-size statistical reproductions (needs the real openb trace)"
	@echo "make speed      decisions and environment steps per second on this machine"
	@echo "make docs       write docs/environments.md and the figures anew"

install: $(VENV)/.installed

# torch goes first and pinned: a range would let pip choose a build with gigabytes of CUDA.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[agents,dev]'
	touch $@

bench: install
	$(BIN)/clustersim bench pod-placement --seeds 5 --jobs $(JOBS) --out results/pod-placement

test: install
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

test-slow: install
	$(BIN)/python -m pytest -n $(JOBS) -m slow

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/types && $(BIN)/python -m pip install --quiet --no-deps --target build/types .
	cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p clustersim
	$(BIN)/python -m pytest -q tests/test_imports.py
	$(BIN)/python -m pytest -q -n $(JOBS) -m "not slow and not long"

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

speed: install
	$(BIN)/clustersim speed

docs: install
	$(BIN)/python docs/build.py

clean:
	rm -rf $(VENV) build results
