# Every target makes .venv and installs what it needs; stamps make the second run quick.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$python && break; done)
BIN := .venv/bin
KERNELLESS := models schemas tests/models tests/schemas

.PHONY: demo test lint bench clean

demo: .venv/.demo
	$(BIN)/headrace demo

# The processor's kernel takes a minute to compile, which two processes would each do: one does and tests the
# processor, while the other core has what needs no such kernel. Tests of delivery wait for brokers and sessions
# most of the time, so there are two at once; they watch clocks, so no more than that, and nothing beside them.
test: .venv/.test
	$(BIN)/pytest tests/streams/processor & processor=$$!; \
		$(MAKE) lint && $(BIN)/pytest --doctest-modules $(KERNELLESS) && wait $$processor
	$(BIN)/pytest -n 2 --doctest-modules streams tests \
		$(addprefix --ignore ,tests/delivery tests/streams/processor $(KERNELLESS))
	$(BIN)/pytest -n 2 --dist loadgroup tests/delivery

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
