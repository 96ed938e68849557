# Two commands are enough: `make demo` and `make test`. Both make .venv where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint verify verify-training bench site wheel clean

$(VENV)/.installed: pyproject.toml constraints.txt hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "prep needs Python 3.11 or later; make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	@echo "== A right answer:  prep grade conv2d docs/samples/conv2d_right.py"
	$(BIN)/prep grade conv2d docs/samples/conv2d_right.py
	@echo "== A wrong one:  prep grade conv2d docs/samples/conv2d_wrong.py"
	@$(BIN)/prep grade conv2d docs/samples/conv2d_wrong.py; test $$? -eq 1 || { echo "expected a wrong answer to be rejected"; exit 1; }
	@echo "== Your turn:  . $(BIN)/activate && prep start conv2d"

test: $(VENV)/.installed lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/mypy

verify: $(VENV)/.installed
	$(BIN)/prep verify --all

verify-training: $(VENV)/.installed
	$(BIN)/prep verify --training --profile cpu

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/grade.py

site: $(VENV)/.installed
	$(BIN)/prep site build --out dist/site

wheel: $(VENV)/.installed
	$(BIN)/python -m hatchling build --target wheel --directory dist

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
