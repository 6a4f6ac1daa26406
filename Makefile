# Every target makes .venv and installs what it needs; stamps make the second run quick.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$python && break; done)
BIN := .venv/bin
SOURCES := streams models schemas

.PHONY: demo test lint bench clean

demo: .venv/.demo
	$(BIN)/headrace demo

# Tests of delivery watch the clocks of brokers and sessions: those on Apache Kafka have the machine to themselves.
# The first tests compile the kernels while mypy has the other core: two processes would do all of it twice.
test: .venv/.test
	$(BIN)/pytest tests/streams/processor/test_tape.py & compiling=$$!; $(MAKE) lint && wait $$compiling
	$(BIN)/pytest -n 2 --doctest-modules $(SOURCES) tests --ignore tests/delivery
	$(BIN)/pytest -n 2 tests/delivery -m "not kafka"
	$(BIN)/pytest tests/delivery -m kafka

lint: .venv/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.bench
	$(BIN)/headrace bench throughput

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache data

.venv/.demo: EXTRAS := embedded,data
.venv/.test: EXTRAS := embedded,data,bench,adopt,dense,test
.venv/.bench: EXTRAS := embedded,bench

.venv/.demo .venv/.test .venv/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Headrace needs Python 3.11 or newer, found none: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv
