# Everything that is installed lies inside the checkout: .venv*/ and node_modules/ in tests/azurite, tests/axe and tests/generated.
PYTHON ?= python3
BIN := .venv/bin
AZURITE := tests/azurite/node_modules/.package-lock.json
AXE := tests/axe/node_modules/.package-lock.json
TYPESCRIPT := tests/generated/node_modules/.package-lock.json
# The folders of tests that start no service; their tests on Azurite are deselected by the marker.
FAST := tests/unit
BROWSER := tests/clients/test_browser.py tests/clients/page tests/clients/test_proxies.py
# What repeats the promises of make test by chance, under load, beside wrong clocks and dying stores, or by clients of others.
DEEP := tests/clients/test_r.py tests/delta_sharing/test_python_client.py tests/generated tests/kadoa tests/load tests/random \
	tests/replicas tests/runners/test_cluster_bytes.py tests/web/test_schemathesis.py
GENERATED := tests/property tests/attack/test_injection.py
# How many of the cases of these are in make test, of 2,000.
BASIC_CASES := 400
# Many tests wait: for a service to start, a clock, a store that does not answer.
WORKERS ?= 4
EXTRAS := --extra azure --extra mcp --extra otel
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	$(EXTRAS) --quiet

# The suite starts hundreds of processes, each of which would compile us anew where nothing compiled is kept.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install run test test-deep test-fast test-browser test-duckdb2 test-long tables lint format sql azurite azurite-install locks clean screenshots \
	bench bench-quick bench-lock bench-clean audit cluster test-cluster test-cluster-quick bench-cluster cluster-clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

install: .venv/installed ## Make .venv/ with the tailrace command in it (a minute or more)

.venv/installed: requirements-dev.lock pyproject.toml
	@test -x $(BIN)/python || { echo "Creating .venv/."; $(PYTHON) -m venv .venv; }
	@echo "Installing the packages of requirements-dev.lock into .venv/: a minute or more, most of it downloads."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@echo "Installing the tailrace command from this checkout."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: install ## Publish a sample run if there is none, and serve it
	$(BIN)/tailrace demo

azurite-install:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(AZURITE) $(AXE) $(TYPESCRIPT); \
	else echo "npm is missing: tests that need Azurite, axe-core or TypeScript will be skipped"; fi

tests/%/node_modules/.package-lock.json: tests/%/package-lock.json
	@echo "Installing the npm packages of tests/$*/."
	@npm ci --prefix tests/$* --no-audit --no-fund --loglevel=error
	@touch $@

.venv-delta/installed: tests/delta_sharing/requirements.lock
	@test -x .venv-delta/bin/python || { echo "Creating .venv-delta/ for the client of Delta Sharing."; $(PYTHON) -m venv .venv-delta; }
	@.venv-delta/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The SDK asks for Python 3.12, and runs on 3.11 as well.
.venv-kadoa/installed: tests/kadoa/requirements.lock
	@test -x .venv-kadoa/bin/python || { echo "Creating .venv-kadoa/ for the Kadoa SDK."; $(PYTHON) -m venv .venv-kadoa; }
	@.venv-kadoa/bin/python -m pip install --quiet --disable-pip-version-check --ignore-requires-python --require-hashes -r $<
	@touch $@

.venv-generated/installed: tests/generated/requirements.lock
	@test -x .venv-generated/bin/python || { echo "Creating .venv-generated/ for generated clients."; $(PYTHON) -m venv .venv-generated; }
	@.venv-generated/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

test: install azurite-install ## Run every promise on both kinds of store (about nine minutes on two cores)
	@echo "Running the tests of every promise; the reasons for skips are listed at the end. make help lists the other tests."
	TAILRACE_CASES=$(BASIC_CASES) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal \
		$(addprefix --ignore=,$(BROWSER) $(DEEP) tests/cluster)

test-deep: install azurite-install .venv-delta/installed .venv-kadoa/installed .venv-generated/installed ## Run what repeats them: generated cases, chance, load, wrong clocks, foreign clients
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(DEEP) $(GENERATED)

test-fast: install ## Run the tests that start no service, emulator or browser (see tests/README.md)
	@echo "Running the tests that start no service, emulator or browser."
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not azurite" $(FAST)

test-browser: install azurite-install ## Run the tests in Chromium and behind nginx; a skip is a failure
	$(BIN)/python -m pytest -q -p tests.helpers.no_skips $(BROWSER)

# What statements, fences, types and bytes depend on, and what had to be mended for DuckDB 2.
DUCKDB2 := tests/unit/test_function_list.py $(addprefix tests/integration/test_,csv_bytes.py everyday_statements.py \
	exact_names.py export_fence.py hostile_statements.py nesting.py publish.py publish_csv.py publish_faithful.py \
	row_group_copies.py sandbox.py session.py sql_recipes.py sql_statements.py \
	statement_exports.py::test_a_file_is_that_of_the_same_rows_without_a_statement types.py)

.venv-duckdb2/installed: requirements-dev.lock tests/duckdb2.lock pyproject.toml
	@test -x .venv-duckdb2/bin/python || { echo "Creating .venv-duckdb2/."; $(PYTHON) -m venv .venv-duckdb2; }
	@echo "Installing the packages of requirements-dev.lock, but DuckDB of tests/duckdb2.lock, into .venv-duckdb2/."
	@.venv-duckdb2/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@.venv-duckdb2/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/duckdb2.lock
	@.venv-duckdb2/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

test-duckdb2: .venv-duckdb2/installed ## Run tests that depend most on DuckDB with DuckDB 2 (TESTS= for others)
	.venv-duckdb2/bin/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not azurite" $(or $(TESTS),$(DUCKDB2))

test-long: install azurite-install ## Run the generated cases, the random run and the load in their long counts
	TAILRACE_CASES=50000 TAILRACE_CASES_SCHEMATHESIS=5000 TAILRACE_SEED=$$(date +%s) $(BIN)/python -m pytest -q -n $(WORKERS) \
		tests/property tests/web/test_schemathesis.py
	TAILRACE_OPERATIONS=2500 $(BIN)/python -m pytest -q tests/random
	TAILRACE_STALLED_READERS=1000 TAILRACE_STALLED_BODIES=150 \
		TAILRACE_RESTART_REQUESTS=2000 TAILRACE_MEMORY_ROWS=2000000 TAILRACE_LOAD_CLIENTS=200 TAILRACE_LOAD_SECONDS=60 TAILRACE_HEALTH_ROWS=2000000 TAILRACE_HEALTH_SECONDS=60 \
		$(BIN)/python -m pytest -q tests/load
	TAILRACE_REPLICAS=long $(BIN)/python -m pytest -q tests/replicas

lint: install ## Check style, layers, types and the container
	$(BIN)/hadolint .container/Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: install ## Lay the code out
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

screenshots: install ## Make the pictures of README.md anew, and of the states of the page in .tailrace/pictures/ (needs Chromium)
	$(BIN)/python -m tests.helpers.screenshots

# --- bench: the peers have an environment of their own, .venv-bench/ ---
.venv-bench/installed: tests/bench/peers.lock
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

BENCH = $(BIN)/python -m tests.bench $(if $(GOALS),--goals $(GOALS)) $(if $(FORMATS),--formats $(FORMATS)) \
	$(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(LARGE),--large $(LARGE)) \
	$(if $(WORKFLOWS),--workflows $(WORKFLOWS)) \
	$(if $(COLD),--cold) $(if $(INTO),--into $(INTO))

bench: install azurite-install .venv-bench/installed ## Measure against the peers (GOALS=1,6 FORMATS=csv ROWS= ROUNDS= LARGE=0 WORKFLOWS= COLD=1)
	$(BENCH)

bench-quick: ROWS ?= 100000
bench-quick: ROUNDS ?= 1
bench-quick: LARGE ?= 2
bench-quick: WORKFLOWS ?= 300
bench-quick: COLD ?= 1
bench-quick: INTO ?= quick
bench-quick: bench ## The same in a few minutes: it shows that all works, not who is faster

bench-lock: # the peers' lock anew (needs uv)
	$(subst pyproject.toml,tests/bench/requirements.in,$(subst $(EXTRAS),,$(COMPILE))) -o tests/bench/peers.lock
clean: bench-clean

bench-clean:
	rm -rf .venv-bench
# --- end of bench ---

# --- cluster: Ray and the rest have an environment of their own, .venv-ray/ ---
.venv-ray/installed: requirements-ray.lock pyproject.toml
	@test -x .venv-ray/bin/python || { echo "Creating .venv-ray/."; $(PYTHON) -m venv .venv-ray; }
	@echo "Installing the packages of requirements-ray.lock into .venv-ray/: a minute or more, most of it downloads."
	@.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-ray.lock
	@.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
cluster: .venv-ray/installed ## Start a Ray cluster of two nodes on loopback, and say how to export on it
	@.venv-ray/bin/python -m tests.helpers.cluster_demo

test-cluster: .venv-ray/installed azurite-install ## Run the tests that need a Ray cluster, and the end-to-end suite on one
	.venv-ray/bin/python -m pytest -q tests/cluster
	.venv-ray/bin/python -m pytest -q -p tests.helpers.on_cluster tests/e2e

test-cluster-quick: .venv-ray/installed azurite-install ## The same without the tests that take long; a skip is a failure
	.venv-ray/bin/python -m pytest -q -m "not long" -p tests.helpers.no_skips tests/cluster

bench-cluster: .venv-ray/installed ## Measure the cluster's runner against this process on the same cores (ROWS= ROUNDS=)
	.venv-ray/bin/python -m tests.bench.cluster $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS))

clean: cluster-clean

cluster-clean:
	rm -rf .venv-ray
# --- end of cluster ---

azurite: install azurite-install ## Serve the demo against a local Azurite instead of a directory
	$(BIN)/python -m tests.helpers.azurite_demo

sql: install ## Ask SQL of what is published, at a prompt
	@$(BIN)/tailrace sql

tables: install ## Write the tables of settings and operators into the documents anew
	$(BIN)/python -m tests.helpers.document_tables

locks: ## Write the hashed requirement locks anew (needs uv)
	$(COMPILE) -o requirements.lock
	$(COMPILE) --group dev -o requirements-dev.lock
	$(COMPILE) --extra ray --group dev -c requirements-dev.lock -o requirements-ray.lock
	$(subst pyproject.toml,tests/delta_sharing/requirements.in,$(subst $(EXTRAS),,$(COMPILE))) -o tests/delta_sharing/requirements.lock
	$(subst pyproject.toml,tests/duckdb2.in,$(subst $(EXTRAS),,$(COMPILE))) -o tests/duckdb2.lock
	$(subst pyproject.toml,tests/generated/requirements.in,$(subst $(EXTRAS),,$(COMPILE))) -o tests/generated/requirements.lock
	$(subst --python-version 3.11,--python-version 3.12,$(subst pyproject.toml,tests/kadoa/requirements.in,$(subst $(EXTRAS),,$(COMPILE)))) -o tests/kadoa/requirements.lock

.venv-audit/installed:
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	touch $@

audit: ## Look up known vulnerabilities of the locked packages (needs the network)
	@.ci/audit

clean: ## Remove everything that was installed or made
	rm -rf .venv .venv-audit .venv-delta .venv-duckdb2 .venv-kadoa .venv-generated .tailrace tests/*/node_modules .mypy_cache .ruff_cache .pytest_cache
