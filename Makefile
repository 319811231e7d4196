# make demo   sets up and runs the quickstart on all three backends
# make test   sets up and runs the tests; make test-all those that take longer, too
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up
KILLS ?= 30
SEED ?= 1
CHECKPOINTS ?= all

.PHONY: demo schema reference docs test test-all test-by-hand crash-test lint format clean

demo: $(SET_UP)
	$(BIN)/ftrun experiments/quickstart.toml --backend trainer --backend loop --backend accelerate

schema: $(SET_UP)
	FTRUN_PLUGINS= $(BIN)/ftrun schema --out experiments/schema.json

test: $(SET_UP)
	$(BIN)/pytest

test-all: $(SET_UP)
	$(BIN)/pytest -m "not by_hand"

test-by-hand: $(SET_UP)
	$(BIN)/pytest -m by_hand -n 0

crash-test: $(SET_UP)
	$(BIN)/python tests/crash.py --kills $(KILLS) --seed $(SEED) --checkpoints $(CHECKPOINTS)

lint: $(SET_UP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy $(wildcard examples/*/ftrun_*) $(wildcard examples/*/*.py)
	$(BIN)/lint-imports

format: $(SET_UP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(SET_UP)
	$(BIN)/python docs/make_reference.py

docs: reference
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build

$(SET_UP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ftrun needs Python 3.11 or newer; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --constraint constraints.txt --editable '.[sample,dev]'
	touch $(SET_UP)

clean:
	rm -rf $(VENV) build dist docs/_build
