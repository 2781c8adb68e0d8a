# The commands of a contributor. `make demo` and `make test` install what they need, and say so.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := requirements-dev.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Three processes share the tests (tests/lanes.py). For a few tests, one process is used, which starts at once.
LANES := --numprocesses=3
TEST_ARGS := $(LANES) --durations=15 --durations-min=1

.PHONY: help setup demo test lint fmt deploy bench lock clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## Make .venv with the package and its development tools

$(STAMP): pyproject.toml $(LOCK) scripts/ensure-python
	@sh scripts/ensure-python $(PYTHON)
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "==> installing overbook and its development tools into $(VENV)"
	@$(PIP) --require-hashes --requirement $(LOCK)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## Overcommit a node to 150 % and protect it under memory pressure; CLUSTER=1: on a real cluster
	@$(BIN)/overbook demo --install-packages $(if $(CLUSTER),--cluster) $(DEMO_ARGS)

test: setup  ## Run all tests, on a real kernel and a real control plane
	@$(BIN)/overbook sandbox prepare --install-packages --kubernetes
	@$(BIN)/python -m pytest $(TEST_ARGS)

lint: setup  ## Check with ruff, mypy --strict and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fmt: setup  ## Format the code and apply the fixes of ruff
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock:  ## Pin the newest versions of all dependencies in requirements-dev.txt and requirements/
	@sh scripts/ensure-python $(PYTHON)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv "$$folder" && \
	"$$folder/bin/python" -m pip install --quiet --disable-pip-version-check uv && \
	sh scripts/lock "$$folder/bin/uv"

deploy: setup  ## Write the files of deploy/ from the code
	@$(BIN)/python scripts/render-deploy

bench: setup  ## Run the benchmarks: ratios in one run, or CPU per operation
	@$(BIN)/python -m bench $(BENCH_ARGS)

clean:  ## Remove what the targets made; the download cache outside the clone stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-out
