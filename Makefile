# Everything that a developer or a newcomer runs. `make run` and `make test` need Python 3.11 or later and nothing else.
PYTHON ?= $(firstword $(foreach p,python3.12 python3.13 python3.11 python3,$(if $(shell $(p) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo yes),$(p))))
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
export LITELLM_LOCAL_MODEL_COST_MAP := True
export LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS := True

.DEFAULT_GOAL := help
.PHONY: help run test setup setup-dev check lint fix bench faults audit demo-learning docs lock clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## set everything up and serve on PORT (8080)
	@exec $(BIN)/rung serve --port $(PORT)

test: setup-dev ## set everything up and run the tests
	$(BIN)/python -m pytest $(ARGS)

setup: $(VENV)/.serve ## install what serving, the bundled model and training need into .venv

setup-dev: $(VENV)/.dev ## install the developers' tools too

check: lint ## lint, types, layers, tests with coverage
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered $(ARGS)

lint: setup-dev ## the part of check that runs nothing: style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

fix: setup-dev ## format, and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup $(VENV)-bench/.installed ## measure Rung beside the LiteLLM proxy (docs/performance.md); ARGS=--quick
	$(BIN)/python -m tests.bench $(ARGS)

faults: setup-dev ## show every promise of docs/reliability.md against real processes; ARGS=--quick
	$(BIN)/python -m tests.faults $(ARGS)

audit: setup-dev ## look every pinned dependency up in the advisories' database; without a network it says so
	@$(BIN)/python -m tests.audit requirements/serve.txt requirements/dev.txt

demo-learning: setup-dev ## a gateway learns from a month of its own traffic (docs/guides/learning.md); ARGS=--help
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.learning $(ARGS)

docs: setup-dev ## check the documents: links, examples, and every table against the code
	$(BIN)/python -m pytest tests/test_docs.py $(ARGS)

lock: ## renew the locks (needs uv); COOLDOWN keeps releases of the last two weeks out
	./requirements/lock

clean: ## remove what was installed and built
	rm -rf $(VENV) .venv-bench build

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Rung needs Python 3.11, 3.12 or 3.13 on PATH (or: make PYTHON=/path/to/python3.12)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Rung needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is none of them"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: requirements/serve.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing Rung's locked dependencies into $(VENV) (once; a few minutes at most)"
	$(PIP) install -q --no-deps --require-hashes -r requirements/serve.txt
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.serve
	$(PIP) install -q --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)-bench/.installed: requirements/bench-litellm.txt | $(VENV)/bin/python
	@echo "installing the LiteLLM proxy's locked dependencies into $(VENV)-bench (once; a few minutes)"
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip --disable-pip-version-check --no-input install -q --no-deps --require-hashes -r $<
	@touch $@
