# The commands for developers. They need Python 3.11 or newer and make; everything else is installed into .venv.

.DEFAULT_GOAL := help
.SILENT:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
unexport PYTHONDONTWRITEBYTECODE  # compiled once, not by each of the many processes; `make clean` removes it

PY := .venv/bin/python
PRODUCTION := api manage models sandbox tasks telemetry workers settings.py variables.py revisions.py celery_config.py asgi.py wsgi.py logs.py metrics_server.py threads.py
PYTHONS := $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14
LOCK := $(PY) -m uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url

help: ## Show this list
	awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready console-if-possible ## Watch a real workflow run; WORKFLOW=file.json and INPUT=text-or-file run another one
	WITH_DEMO_USER=1 $(PY) -m devstack.demo $(if $(WORKFLOW),--workflow "$$WORKFLOW") $(if $(INPUT),--input "$$INPUT")

up: .venv/ready console-if-possible ## Run the whole stack here with one log, until Ctrl-C; PORT=4000 sets the API's port
	WITH_DEMO_USER=1 $(PY) -m devstack up

console: .venv/ready ## Build the console, unless it is built from these sources already
	$(PY) -m devstack.console build

console-if-possible: .venv/ready
	$(PY) -m devstack.console build --if-possible

down: .venv/ready ## Stop the stack that `up` or `demo` started
	$(PY) -m devstack down

test: .venv/ready ## Run all tests but the long ones, on real servers of their own; ARGS="tests/x -k y" runs some
	$(PY) -m pytest $(if $(ARGS),$(ARGS),-n 4 --dist loadfile --ignore tests/api/contract/test_fuzz.py)

test-faults: .venv/ready ## Run the fault tests on real processes, and all cases of which `test` samples some (half an hour)
	THOROUGH=1 $(PY) -m pytest -m "faults or thorough" $(ARGS)

test-hosts: .venv/ready ## Run the fault tests of several hosts, which are network namespaces here: as root, on Linux
	$(PY) -m pytest -m faults tests/faults/test_hosts.py $(ARGS)

test-stories: .venv/ready ## Run the part of test-faults with other servers around the stack: poolers, brokers, TLS, proxies (minutes)
	$(PY) -m pytest -m faults $(if $(ARGS),$(ARGS),-n 3 --dist loadfile tests/stories tests/test_story.py)

test-console: .venv/ready ## Journeys through the console in Chromium, on a stack of their own; ARGS="-g sign" runs some
	$(PY) -m devstack.console test $(ARGS)

test-compose: .venv/ready ## Build the images, run docker-compose.yml with Podman, end its containers, restore, upgrade (half an hour)
	$(PY) -m pytest -m containers --capture=no $(or $(ARGS),tests/containers)

compose-demo: .venv/ready ## Run docker-compose.yml with simulators, in containers; ends with the console's address
	$(PY) -m devstack.containers up

compose-demo-down: .venv/ready ## Remove the containers of compose-demo, and their data
	$(PY) -m devstack.containers down

openapi: .venv/ready ## Write the API's description; SAYS="what changed for callers" when it changed
	$(PY) -m devstack.description.contract write "$$SAYS"

contract: .venv/ready ## Check that code, docs/openapi.json and docs/api-changelog.md match
	$(PY) -m devstack.description.contract check

clients: .venv/ready ## Generate a Python client and a Postman collection in build/clients, and run a workflow with it
	$(PY) -m devstack.description.clients

fuzz: .venv/ready ## Send invalid requests to every operation; EXAMPLES=40 of each kind, CI uses fewer
	FUZZ_EXAMPLES=$(or $(EXAMPLES),40) FUZZ_SEED=$(or $(SEED),$$(date +%s)) $(PY) -m pytest tests/api/contract/test_fuzz.py

check: lint check-console test ## Run all checks that a change must pass: lint, check-console, then test

lint: .venv/ready ## ruff, mypy, import contracts, bandit, migrations against the models
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet . || { echo "Some files are not formatted: make fmt"; exit 1; }
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo
	$(PY) -m bandit --quiet --recursive --severity-level medium $(PRODUCTION)
	$(PY) -m devstack with-database sh -c '$(PY) -m alembic upgrade head && $(PY) -m alembic check'

check-console: .venv/ready ## Types, ESLint, Prettier, unit tests, build and size of the console
	$(PY) -m devstack.console check

audit: .venv/ready ## Ask PyPI for known vulnerabilities of the pinned packages; needs network access
	.venv/bin/uv tool run --from pip-audit==2.9.0 pip-audit --strict --disable-pip --require-hashes -r requirements-dev.txt \
	    || { echo "Not audited, or not clean: see above. Without a network nothing is known."; exit 1; }

fmt: .venv/ready ## Format the code, and fix lint automatically where possible
	$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

lock: .venv/ready ## Pin the packages of requirements*.in, with hashes
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
	$(LOCK) requirements-node.in -o requirements-node.txt
	$(LOCK) requirements-simulators.in -o requirements-simulators.txt
	for place in sandbox/guest console; do (cd $$place && npm install --package-lock-only --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved --silent); done

migrate: .venv/ready ## Migrate the stack's database to the newest revision
	$(PY) -m devstack migrate

psql: .venv/ready ## Open psql on the stack's database
	$(PY) -m devstack psql

bench: .venv/ready ## Measure the engine beside a bare one that only drives
	$(PY) -m bench.engine $(ARGS)

bench-api: .venv/ready ## Measure submitting and reading beside a bare Flask
	$(PY) -m bench.api $(ARGS)

.PHONY: bench-mixed
bench-mixed: .venv/ready ## Measure what two processes reach with reads and submits together, beside a bare Flask
	$(PY) -m bench.mixed $(ARGS)

bench-watching: .venv/ready ## Measure 2,000 clients that wait at one process
	$(PY) -m bench.watching $(ARGS)

bench-memory: .venv/ready ## Measure a worker's memory under large values; ARGS="--runs 3 --rounds 1" for less
	$(PY) -m bench.memory $(ARGS)

bench-neighbours: .venv/ready ## Measure how much an attacker slows a user; ARGS="--seconds 5 unknown_keys" for less
	$(PY) -m bench.neighbours $(ARGS)

bench-expressions: .venv/ready ## Measure what an expression costs; ARGS="--evaluations 1000000" for the long one
	$(PY) -m bench.expressions $(ARGS)

bench-faults: .venv/ready ## Kill workers at random and count what is lost; ARGS="resume inflight" measures parts
	$(PY) -m bench.faults $(ARGS)

bench-fairness: .venv/ready ## Measure how long one user's flood delays another user; ARGS="--runs 1000" for less
	$(PY) -m bench.fairness $(ARGS)

bench-scaling: .venv/ready ## Measure what a run takes of what all workers share, and how fast one wallet is
	$(PY) -m bench.scaling $(ARGS)

bench-check: .venv/ready ## Run every benchmark in its short form, to show that it works
	$(PY) -m bench.check

soak: .venv/ready ## Run thousands of payments, refunds and executions while workers are killed; ARGS="--purchases 60" for less
	$(PY) -m bench.soak $(ARGS)

restore-drill: .venv/ready ## Lose the database under load, recover it on a new server, and say what was lost; ARGS="--short"
	$(PY) -m bench.drills.restore $(ARGS)

rolling-demo: .venv/ready ## Replace every process under load behind nginx, and count failed requests and lost runs; ARGS="--short"
	$(PY) -m bench.drills.rolling $(ARGS)

upgrade-drill: .venv/ready ## Migrate under load, and let the former version work on the new schema; ARGS="--former TAG"
	$(PY) -m bench.drills.upgrade $(ARGS)

clean: ## Stop the stack; delete its data and all caches (.venv stays)
	if [ -x $(PY) ]; then $(PY) -m devstack down; fi
	rm -rf build console/dist .devstack .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

venv: .venv/ready ## Create .venv; every other target does so if needed

# What the sandbox of an environment is made of; see sandbox/image.py.
SANDBOX := $(wildcard sandbox/*.py sandbox/guest/*.js* sandbox/guest/prelude/*.js)

.venv/ready: .venv/packages $(SANDBOX)
	$(PY) -m sandbox
	touch $@

.venv/packages: requirements-dev.txt requirements-node.txt
	python=; for name in $(PYTHONS); do \
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "AgentForge needs Python 3.11 or newer, and none was found (PYTHON=/path names one)."; exit 1; fi; \
	echo "Installing the pinned packages into .venv (once, about a minute) ..."; \
	set -e; pip='.venv/bin/python -m pip'; \
	if [ -L .venv ]; then \
	    if ! [ -x .venv/bin/python ]; then echo ".venv is a link to no environment; remove the link, or make one where it leads."; exit 1; fi; \
	elif ! "$$python" -m venv .venv >/dev/null 2>&1; then \
	    "$$python" -m venv --clear --without-pip .venv; pip="$$python -m pip --python .venv/bin/python"; \
	fi; \
	install="$$pip install --quiet --quiet --disable-pip-version-check --no-input --root-user-action=ignore --no-deps --require-hashes"; \
	$$install -r requirements-dev.txt; \
	node=$$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\.\([0-9]*\).*/\1 \2/p'); \
	set -- $${node:-0 0}; \
	if ! command -v npm >/dev/null 2>&1 || [ $$1 -lt 20 ] || { [ $$1 -eq 20 ] && [ $$2 -lt 19 ]; }; then $$install -r requirements-node.txt; fi
	touch $@

.PHONY: help compose-demo compose-demo-down test-compose check-console console console-if-possible test-console demo up down test test-faults test-hosts test-stories fuzz openapi contract clients check lint audit fmt lock migrate psql bench \
	bench-api bench-check bench-expressions bench-fairness bench-faults bench-memory bench-neighbours bench-watching soak restore-drill rolling-demo upgrade-drill clean venv
