# Everything a developer types. It needs Python 3.11 or newer and make; the rest goes into .venv by itself.

.DEFAULT_GOAL := help
.SILENT:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
unexport PYTHONDONTWRITEBYTECODE  # compiled once, not by each of the many processes; `make clean` removes it

PY := .venv/bin/python
PRODUCTION := api models tasks workers settings.py celery_config.py wsgi.py logs.py
PYTHONS := $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14
LOCK := $(PY) -m uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url

help: ## Show this list
	awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## Watch a real workflow run; WORKFLOW=file.json and INPUT=text-or-file run another one
	$(PY) -m devstack.demo $(if $(WORKFLOW),--workflow "$$WORKFLOW") $(if $(INPUT),--input "$$INPUT")

up: .venv/ready ## Run the whole stack here with one log, until Ctrl-C; PORT= moves the API from 3000
	$(PY) -m devstack up

down: .venv/ready ## Stop the stack that `up` or `demo` started
	$(PY) -m devstack down

test: .venv/ready ## Run all tests but the long ones, with real servers of their own; ARGS="tests/x -k y" runs some
	$(PY) -m pytest $(if $(ARGS),$(ARGS),-n 3 --dist loadfile --ignore tests/api/test_fuzz.py)

test-faults: .venv/ready ## Break everything that may break, with real processes, the slow tests too (about a quarter of an hour)
	$(PY) -m pytest -m "faults or not faults" tests/faults tests/tasks/test_presence.py $(ARGS)

openapi: .venv/ready ## Keep the API's description; SAYS="what changed for callers" when it changed
	$(PY) -m devstack.contract write "$$SAYS"

contract: .venv/ready ## Code, docs/openapi.json and docs/CHANGELOG.md go together
	$(PY) -m devstack.contract check

clients: .venv/ready ## Generate a Python client and a Postman collection in build/clients, and run a workflow with it
	$(PY) -m devstack.clients

fuzz: .venv/ready ## Ask every operation strange things, as CI does with fewer; EXAMPLES=40 of each kind
	FUZZ_EXAMPLES=$(or $(EXAMPLES),40) FUZZ_SEED=$(or $(SEED),$$(date +%s)) $(PY) -m pytest tests/api/test_fuzz.py

check: lint test ## Everything that must hold before a change is merged: lint, then test

lint: .venv/ready ## ruff, mypy, import contracts, bandit, migrations against the models
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet . || { echo "Some files are not formatted: make fmt"; exit 1; }
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo
	$(PY) -m bandit --quiet --recursive --severity-level medium $(PRODUCTION)
	$(PY) -m devstack with-database sh -c '$(PY) -m alembic upgrade head && $(PY) -m alembic check'

audit: .venv/ready ## Ask PyPI for known holes in the pinned packages; needs a network that lets it
	.venv/bin/uv tool run --from pip-audit==2.9.0 pip-audit --strict --disable-pip --require-hashes -r requirements-dev.txt \
	    || { echo "Not audited, or not clean: see above. Without a network nothing is known."; exit 1; }

fmt: .venv/ready ## Format the code, and repair what can be repaired by itself
	$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

lock: .venv/ready ## Pin what requirements*.in ask for, with hashes
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt

migrate: .venv/ready ## Bring the stack's database to the newest revision
	$(PY) -m devstack migrate

psql: .venv/ready ## Open psql on the stack's database
	$(PY) -m devstack psql

bench: .venv/ready ## Measure the engine beside plain Celery
	$(PY) -m bench.engine

bench-api: .venv/ready ## Measure submitting and reading beside a bare Flask
	$(PY) -m bench.api

bench-watching: .venv/ready ## Let 2,000 clients wait at one process, wake them, kill them
	$(PY) -m bench.watching $(ARGS)

bench-faults: .venv/ready ## Kill workers at random and count what is lost; ARGS="resume inflight" measures parts
	$(PY) -m bench.faults $(ARGS)

bench-fairness: .venv/ready ## Measure how long one user's flood keeps another waiting; ARGS="--runs 1000" for less
	$(PY) -m bench.fairness $(ARGS)

soak: .venv/ready ## Pay, refund and run by the thousand while workers are killed; ARGS="--purchases 60" for less
	$(PY) -m bench.soak $(ARGS)

clean: ## Stop the stack; delete its data and all caches (.venv stays)
	if [ -x $(PY) ]; then $(PY) -m devstack down; fi
	rm -rf build .devstack .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

venv: .venv/ready ## Make .venv; every other target does so by itself

.venv/ready: requirements-dev.txt
	python=; for name in $(PYTHONS); do \
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "AgentForge needs Python 3.11 or newer, and none was found (PYTHON=/path names one)."; exit 1; fi; \
	echo "Installing the pinned packages into .venv (once, about a minute) ..."; \
	set -e; pip='.venv/bin/python -m pip'; \
	if ! "$$python" -m venv .venv >/dev/null 2>&1; then \
	    "$$python" -m venv --clear --without-pip .venv; pip="$$python -m pip --python .venv/bin/python"; \
	fi; \
	$$pip install --quiet --quiet --disable-pip-version-check --no-input --root-user-action=ignore --no-deps --require-hashes -r requirements-dev.txt
	touch $@

.PHONY: help demo up down test test-faults fuzz openapi contract clients check lint audit fmt lock migrate psql bench \
	bench-api bench-fairness bench-faults bench-watching soak clean venv
