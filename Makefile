# Everything this repository can do, one target each; `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
CLIENTS := .conformance/.installed
DEPLOY := .cdk/.installed
RELEASE := .venv/.release
DOCS := .venv/.docs

WORKLOAD ?= scenarios/workloads/quickstart.toml
TARGET ?= scenarios/targets/appsync-events-emulated.toml

FUZZ_SECONDS ?= 60
TEST_PROCESSES ?= 3
SIDE_BY_SIDE = --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
SIZE ?= small

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow test-all clients conformance wheel-test fuzz synth docs lint types format smoke bench reference ingest flatness alarms hostile study capacity pairs sample check clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make .venv and install what constraints.txt pins (quick when done before)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: PYTHON=$(PYTHON): missing or too old, Python 3.11 or newer is required" >&2; \
		echo "hint: name another one: make setup PYTHON=python3.12" >&2; \
		exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --only-binary :all: -c constraints.txt hatchling
	$(BIN)/python -m pip install --quiet --only-binary :all: -c constraints.txt \
		--no-build-isolation --editable '.[dev]'
	@touch $@

run: setup ## a first look: 900 subscribers and 100 chatters on an emulator, half a minute
	$(BIN)/harness run $(WORKLOAD) --target $(TARGET)

test: setup ## what to run before a commit: all tests but those marked slow; five minutes on two cores
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-slow: setup ## the tests that make test leaves out: most whole runs, and all that takes seconds; ten minutes
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m slow

test-all: test test-slow ## the whole test suite

clients: ## what tests run on Node.js: Amplify and other clients, axe-core for the reports' pages
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		$(MAKE) --no-print-directory $(CLIENTS); \
	else \
		echo "node or npm is missing: tests with Amplify, other Node.js clients and axe-core are skipped" >&2; \
		echo "hint: apt-get install nodejs npm" >&2; \
	fi

conformance: setup clients ## the emulator row by row, with real clients (where Node.js is) and raw peers
	$(BIN)/python -m pytest -m conformance tests/conformance

$(CLIENTS): tests/conformance/appsync_events/package.json
	@mkdir -p $(@D)
	cp $< $(@D)/
	cd $(@D) && npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

wheel-test: $(RELEASE) ## build the wheel, install it alone in an empty folder, do all that docs/own-repository.md says
	$(BIN)/python -m tests.wheel.walk

$(RELEASE): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --only-binary :all: -c constraints.txt \
		--no-build-isolation --editable '.[release]'
	@touch $@

fuzz: setup ## a minute of random input for the emulator, the parsers and the readers
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest -m fuzz tests/fuzz

synth: $(DEPLOY) ## synthesise deploy/cdk; validate stacks, manifests and Containerfile
	$(BIN)/python -m pytest tests/deploy
	cd deploy/cdk && ../../.cdk/node_modules/.bin/cdk synth --quiet --context alarm_email=owner@example.org

$(DEPLOY): $(INSTALLED) deploy/cdk/package.json
	$(BIN)/python -m pip install --quiet --only-binary :all: -c constraints.txt \
		--no-build-isolation --editable '.[deploy]'
	@mkdir -p $(@D)
	cp deploy/cdk/package.json $(@D)/
	cd $(@D) && npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

docs: $(DOCS) ## build the documentation site into build/site; check its links and its search
	@rm -rf build/site-source && mkdir -p build/site-source
	@git ls-files -z -- '*.md' docs reports scenarios locustfiles benchmarks deploy | xargs -0 cp --parents -t build/site-source
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest --quiet tests/docs_site
	@echo "build/site/index.html"

$(DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --only-binary :all: -c constraints.txt \
		--no-build-isolation --editable '.[docs]'
	@touch $@

lint: setup ## style, spelling and docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/interrogate --quiet tests

types: setup ## mypy --strict
	$(BIN)/mypy

format: setup ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

smoke: setup ## the smallest whole run: emulator, load, report
	$(BIN)/harness run scenarios/workloads/ci-smoke.toml --target $(TARGET)

bench: setup ## the harness against the physical floor and its peers; QUICK=1 for a short version
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

reference: setup ## six minutes of whole runs: does the reference load hold here? WHOLE=1 for nine
	$(BIN)/python -m benchmarks.reference $(if $(WHOLE),--whole)

ingest: setup ## does the emulator take 10,000 events a second on this machine?
	$(BIN)/python -m benchmarks.ingest

flatness: setup ## ten minutes of the reference load, and how much the workers' memory grew in them
	@folder=reports/$$(date -u +%Y%m%dT%H%M%SZ)-flatness; \
	$(BIN)/harness run scenarios/workloads/reference.toml --target $(TARGET) \
		--set phases.measure_s=600 --out $$folder; \
	status=$$?; $(BIN)/python -m benchmarks.flatness $$folder && exit $$status

alarms: setup ## is any of twenty undisturbed runs called invalid? ten minutes on a quiet machine
	$(BIN)/python -m benchmarks.false_alarms

hostile: setup ## what 50 hostile connections cost the other 950, in counts and latency; ten minutes
	$(BIN)/python -m benchmarks.hostile_crowd

study: setup ## all systems beside each other, under ten minutes; SIZE=full for the need itself
	$(BIN)/harness study scenarios/studies/sse-vs-appsync.toml --size $(SIZE)

capacity: setup ## how often ten sweeps find a limit that is known; half an hour
	$(BIN)/python -m benchmarks.capacity

pairs: setup ## how often runs that are alike, and unlike, are told apart; ten minutes
	$(BIN)/python -m benchmarks.real_pairs reports/pairs

sample: setup ## run the quickstart again and keep its record as the committed sample
	rm -rf reports/sample
	$(BIN)/harness run scenarios/workloads/quickstart.toml --target $(TARGET) --out reports/sample
	rm -f reports/sample/*.log

check: lint types test-all smoke ## all that must pass before a merge

clean: ## remove everything that can be made again; reports stay
	rm -rf .venv .conformance .cdk build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
