# Everything a developer does, by name. `make help` lists it.

VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install install-dev prepare run-dev run worker test test-browser test-clients fuzz audit check lint \
	eval bench screenshots schema compile upgrade sync sync-dev pre-commit clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' \
		| awk -F '\t' '{printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}'

run-dev: prepare ## Start bRAG for development on http://127.0.0.1:8000, restarting on changes
	@BRAG_URL= $(BIN)/python -m app ingest docs --if-empty
	@exec $(BIN)/python -m app serve --reload

run: prepare ## Start bRAG for production: gunicorn with WORKERS processes
	@exec $(BIN)/gunicorn --config settings/gunicorn.conf.py

worker: prepare ## Ingest for the DATABASE_URL that an API serves; as many of them as you like
	@exec $(BIN)/python -m app.worker

test: install-dev prepare ## Run the tests, in parallel
	$(BIN)/python -m pytest -n auto

test-browser: install-dev prepare ## Run the tests of the page, in a real Chromium
	$(BIN)/python -m pytest -n auto tests/web/browser

test-clients: prepare examples/.venv/installed ## Ask with openai, LangChain and llm
	examples/.venv/bin/python examples/openai_clients.py

fuzz: install-dev prepare ## Send 20,000 generated requests to all routes; FUZZ_CASES and FUZZ_SEED say otherwise
	FUZZ_CASES=$(or $(FUZZ_CASES),20000) $(BIN)/python -m pytest tests/fuzzing -q -s

audit: install-dev ## Ask the network for known vulnerabilities of what is pinned
	$(BIN)/pip-audit --disable-pip --require-hashes -r requirements/requirements.txt

check: install-dev ## Verify style, types and import rules; change nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --severity-level medium app settings

lint: install-dev ## Fix style where it can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

eval: prepare ## Measure retrieval and answers on bRAG's own documents; fail below the floors
	$(BIN)/python -m app eval evaluation/brag_docs --answers $(EVAL_FLOORS:%=--fail-below %)

bench: prepare ## Measure speed, as ratios in one run
	$(BIN)/python -m benchmarks

screenshots: install-dev prepare ## Take the pictures of the page in docs/images anew
	$(BIN)/python -m benchmarks.screenshots

prepare: install ## Prepare the models, once per machine
	@$(BIN)/python -m app prepare

install: $(VENV)/installed ## Install what bRAG needs to run, into .venv

install-dev: $(VENV)/installed-dev ## Install what development needs, too

schema: install ## Write db/schema.sql after a new migration
	$(BIN)/python -m app migrate --dump

compile: install-dev ## Pin what requirements/*.in name, as it is now
	$(BIN)/pip-compile $(COMPILE) -o requirements/requirements.txt requirements/requirements.in
	$(BIN)/pip-compile $(COMPILE) -o requirements/requirements-dev.txt requirements/requirements-dev.in
	$(BIN)/pip-compile $(COMPILE) -o examples/requirements-clients.txt examples/requirements-clients.in

upgrade: COMPILE += --upgrade
upgrade: compile ## Pin the newest versions

sync: $(VENV) ## Make .venv hold exactly the pinned packages
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-sync requirements/requirements.txt

sync-dev: install-dev ## The same with the packages for development
	$(BIN)/pip-sync requirements/requirements-dev.txt

pre-commit: install-dev ## Check every commit from now on
	$(BIN)/pre-commit install

clean: ## Remove .venv, caches and all local data
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A little below what is measured now, so that only a change for the worse fails.
EVAL_FLOORS := ndcg@10=0.54 recall@5=0.59 gold@5=0.46 citation_precision=0.89 refused=0.83

COMPILE := --quiet --allow-unsafe --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# The Python that the pins were made with, else a newer one.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $$name && break; done)

$(VENV):
	@test -n "$(PYTHON)" || { echo "bRAG needs Python 3.11 or newer. Install it, or say where \
	it is: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements/requirements.txt | $(VENV)
	@echo "Installing packages into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@ln -sf ../../brag $(BIN)/brag
	@touch $@

$(VENV)/installed-dev: requirements/requirements-dev.txt $(VENV)/installed
	@echo "Installing packages for development into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Programs that bRAG does without, in an environment of their own.
examples/.venv/installed: examples/requirements-clients.txt | $(VENV)
	@echo "Installing the clients of the examples ..."
	@$(BIN)/python -m venv --clear examples/.venv
	@examples/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
