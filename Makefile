# Everything a checkout needs is under .venv: no root, no Docker, no Java and no C compiler of your own.
SHELL := /bin/bash
PYTHON ?= python3
FOR ?=
MINUTES ?= 30
SCHEDULES ?= 5000
HOURS ?= 24
SYMBOLS ?= 1000
CANDLES ?=
OUTAGES ?=
SEED ?=
ARGS ?=
WORKERS ?= 4
BIN := .venv/bin
# Tests wait more than they compute. A worker takes whole files, in their order, and has servers of its own.
PYTEST := $(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder
KERNEL := $(wildcard shared/core/model/kernel/*.[ch])

# Hundreds of processes are started here: each would compile what the one before has compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo lint check test soak chaos cluster fuzz feed chaos-feed bench bench-full pictures reference docs test-compose \
	sbom audit licences clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

install: .venv/.installed ## everything into .venv: packages, kernel, Kafka (PYTHON=python3.12 picks another Python)

demo: install ## the whole system on this machine, live (FOR=60 stops it after 60 s, ARGS="--help" for more)
	@$(BIN)/ulstm up $(if $(FOR),--for $(FOR)) $(ARGS)

check: lint .venv/.supply ## format, lint, types, layers, and the tests that are fast and need no server
	@$(PYTEST) -m "not integration and not end_to_end and not slow and not klines" $(ARGS)

test: lint .venv/.supply ## all of check's linters and every test, on a real Kafka and a real Redis
	@$(PYTEST) $(ARGS)

soak: install ## SCHEDULES (5000) simulated runs among faults, from SEED (0): exit 1 if a byte is wrong
	@$(BIN)/python -m tests.simulation --schedules $(SCHEDULES) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos: install ## faults on real processes for MINUTES (30), drawn from SEED (any): exit 1 if a byte is wrong
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

cluster: install ## brokers, leaders and replicas of a three-broker cluster fail in turn: the longest pauses (ARGS="--help")
	@$(BIN)/python -m tests.cluster $(ARGS)

fuzz: install ## damaged input for every decoder for MINUTES (10), from SEED (any): exit 1 if one does what it must not
	@$(BIN)/python -m tests.fuzz --minutes $(if $(filter command line environment,$(origin MINUTES)),$(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(ARGS)

feed: install ## named faults of an exchange, each against what it really has (ARGS="--list", "--only NAME")
	@$(BIN)/python -m tests.feed $(ARGS)

chaos-feed: install ## HOURS (24) of an exchange in minutes, SYMBOLS (1000), faults from SEED (any); CANDLES=, OUTAGES=
	@$(BIN)/python -m tests.feed.chaos --hours $(HOURS) --symbols $(SYMBOLS) $(if $(SEED),--seed $(SEED)) \
		$(if $(CANDLES),--candles "$(CANDLES)") $(if $(OUTAGES),--outages "$(OUTAGES)") $(ARGS)

bench: install ## speed, each figure beside its target and its peer: one table, and build/bench.json
	@$(BIN)/python -m benchmarks $(ARGS)

bench-full: install ## the longer rows too: a million candles, the trainer; KLINES=FOLDER takes recorded ones
	@KLINES="$(KLINES)" $(BIN)/python -m benchmarks --full $(ARGS)

lint: install
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

pictures: install ## docs/pictures: the live page anew, with Chromium; KLINES=FOLDER takes recorded candles
	@KLINES="$(KLINES)" $(BIN)/python -m scripts.take_pictures

reference: install ## what is written from the code: docs/reference, Grafana's board, the Kafka users of Kubernetes
	@$(BIN)/python -m scripts.write_reference
	@$(BIN)/python -m scripts.write_board
	@$(BIN)/python -m scripts.write_kafka_users

docs: install ## the documentation as a site, for a browser: build/site/index.html
	@$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees -c docs . build/site

test-compose: install ## the same system in containers (ARGS=--secure: secured servers): needs Docker
	@scripts/test_compose.sh $(ARGS)

sbom: .venv/.supply ## build/sbom: a bill of materials (CycloneDX) for each image's packages
	@$(BIN)/python -m scripts.supply_chain sbom

audit: .venv/.supply ## packages with known vulnerabilities (ARGS=--strict: fail too where nobody can be asked)
	@$(BIN)/python -m scripts.supply_chain audit $(ARGS)

licences: .venv/.supply ## docs/reference/licences.md: the licences of all packages in the images
	@$(BIN)/python -m scripts.supply_chain licences

clean: ## remove what make has made; what ulstm keeps in .ulstm stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -f shared/core/model/kernel/_kernel.so
	find services shared tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements/dev.txt requirements/web_assets.txt requirements/kernel.txt requirements/kafka-jars.sha256 pyproject.toml \
		scripts/build_kernel.py $(KERNEL)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || { \
		echo "error: Python 3.11, 3.12 or 3.13 is needed, but $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there):" \
			"name another one, as in \`make install PYTHON=python3.12\`" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { \
		rm -rf .venv; echo "error: this Python cannot make environments:" \
			"on Debian and Ubuntu, \`sudo apt install python3-venv\` first" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps -r requirements/web_assets.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python scripts/build_kernel.py
	$(BIN)/python scripts/fetch_kafka.py
	@touch $@

# What looks at what is shipped: not needed to run anything.
.venv/.supply: .venv/.installed requirements/supply.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/supply.txt
	@touch $@
