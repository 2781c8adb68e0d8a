# Everything a contributor needs. `make demo` and `make test` set up what they use and say so.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test lint fmt bench clean

help:  ## What can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## Make .venv with the package and its development tools in it

$(STAMP): pyproject.toml scripts/ensure-python
	@sh scripts/ensure-python $(PYTHON)
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "==> installing overbook and its development tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup  ## Boot a node, overcommit it to 150 %, and save it when a guest runs wild
	@$(BIN)/overbook demo --install-packages $(DEMO_ARGS)

test: setup  ## All tests, on the real kernel and a real control plane
	@$(BIN)/overbook sandbox prepare --install-packages --kubernetes
	@$(BIN)/python -m pytest $(TEST_ARGS)

lint: setup  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fmt: setup  ## Format the code and mend what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup  ## The benchmarks: ratios in one run, or CPU per operation
	@$(BIN)/python -m bench $(BENCH_ARGS)

clean:  ## Remove what setup made; the download cache outside the clone stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-out
