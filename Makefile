# Everything a developer does, one word each. `make help` tells.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
PYTHON ?= python3
export LULL_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lull
# kind, kubectl and helm as the cluster scripts found or built them
export PATH := $(LULL_CACHE)/bin:$(PATH)

.PHONY: help setup demo test test-unit test-e2e soak lint bench cluster cluster-down clean

help: ## tell what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## make .venv with everything, the command .venv/bin/lull included

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

lint: setup ## check style, format and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	cd e2e && MYPYPATH=.:images/loadgen:images/standin:images/clients ../$(VENV)/bin/mypy \
	  --explicit-package-bases --ignore-missing-imports --strict \
	  *.py demo images/loadgen/loadgen images/standin/standin images/clients/clients

test-unit: setup ## run the tests that need no cluster
	$(VENV)/bin/python -m pytest tests --numprocesses auto --dist worksteal

cluster: ## bring up the kind cluster and our images in it, from nothing (NODES=2 for two nodes)
	e2e/cluster/up.sh all

cluster-down: ## remove the cluster, and the Docker Engine if it was started for it
	e2e/cluster/down.sh

test-e2e: setup cluster ## run the stories on the kind cluster
	$(VENV)/bin/python -m pytest e2e -m "not soak"

# The stories come last and go to one worker, which begins once there is nothing else to begin.
test: lint setup cluster ## run everything: style, types, unit tests and the stories on kind
	$(VENV)/bin/python -m pytest tests e2e -m "not soak" --numprocesses auto --no-loadscope-reorder

soak: setup cluster ## run the long stories too
	$(VENV)/bin/python -m pytest e2e -m soak

bench: setup ## measure speed and memory; writes build/bench.json
	$(VENV)/bin/python tests/bench/run.py

demo: setup ## show the main job on a real cluster: three models, one of them asleep, hours of real traffic in four minutes
	e2e/demo/run.sh

clean: ## remove what was built here; caches outside the repository stay
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
