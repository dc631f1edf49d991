# One verb each; every target makes what it needs. `make help` lists them.

PYTHON ?= python3
bin := .venv/bin
made := .venv/made

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-fast check bench prove format lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(made)  ## .venv with .venv/bin/hydrant, all dependencies as locked

$(made): deploy/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Hydrant needs Python 3.11 or newer: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "this Python can't make a virtual environment: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@echo "making .venv, once (a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(bin)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock
	@PYTHONWARNINGS=ignore $(bin)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(made)  ## real Kafka, a simulated HighLevel, two workers, 10,000 leads; ARGS=--keep leaves it running
	@$(bin)/python -m tests.lab.demo $(ARGS)

test: $(made)  ## every test, real Kafka included
	@$(bin)/python -m pytest -n 2 -m "not integration" $(ARGS) $(some)
	@$(bin)/python -m pytest -m integration $(ARGS) $(some)

some := $(if $(ARGS),|| [ $$? -eq 5 ])  # ARGS may choose tests of one half only: pytest ends with 5 in the other

test-fast: $(made)  ## the quick tests: no network, under 30 s
	@$(bin)/python -m pytest -n auto -m "not integration and not slow" $(ARGS)

check: $(made)  ## format, lint, types, imports
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@$(bin)/lint-imports --no-logo

bench: $(made)  ## each bar with its conditions; ARGS="sync_latency memory" for some
	@$(bin)/python -m tests.bench $(ARGS)

prove: $(made)  ## the invariants, by SEEDS=200 fault schedules (and FIRST=0, PARTS="alone chaos"); a report in build/prove.md
	@$(bin)/python -m tests.prove --seeds $(or $(SEEDS),200) --first $(or $(FIRST),0) $(PARTS)

format: $(made)  ## put the code in order
	@$(bin)/ruff format .
	@$(bin)/ruff check --fix .

lock: $(made)  ## pin all dependencies anew, with checksums and without addresses
	@$(bin)/pip-compile $(locked) --all-extras --output-file deploy/requirements.lock pyproject.toml
	@$(bin)/pip-compile $(locked) --extra build --output-file deploy/requirements-run.lock pyproject.toml

locked := --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links

clean:  ## remove what the other targets made
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
