# SellerScore. `make run` and `make test` need Python 3.11 or later and make, nothing else.
#
#   make run           set up, simulate a marketplace, train, score one seller, serve the API (SERVE=0 stops before serving)
#   make test          set up and run all tests except the soak tests
#   make test-fast     the tests without server, browser, Spark or training: for quick feedback
#   make soak          random, race and kill tests with many repetitions, and every variant: about half an hour (docs/testing.md)
#   make check         ruff, mypy strict, import contracts
#   make docs          write the generated pages: docs/features.md, docs/profile.md, docs/data-contract.md, the examples of docs/api.md
#   make bench         benchmarks; ONLY=features runs one group (see tests/benchmarks)
#   make real-data     train and validate on the real invoices in ../shared/data, and write docs/real-data.md
#   make mlflow        start MLflow on http://127.0.0.1:5000, with all runs and models
#   make setup         set up .venv from the hash-pinned lock
#   make lock          resolve pyproject.toml and write requirements.lock

PYTHON ?= python3
HOME_FOLDER := $(patsubst %/,%,$(or $(SELLERSCORE_HOME),var))
BIN := .venv/bin
SELLERSCORE := $(BIN)/sellerscore
SERVE ?= 1
SELLERS ?= 2000

.PHONY: setup run test test-fast soak check docs bench real-data mlflow lock

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "SellerScore needs Python 3.11 or later, found %d.%d. Set PYTHON=" % sys.version_info[:2])'
	@echo "Setting up .venv from the hash-pinned lock (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m compileall -q -j 0 .venv/lib > /dev/null || true  # on all cores; some packages contain files for other Python versions
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Scores need fresh data: a demo that is older than five days is renamed, and a new one is created
run: setup
	@if [ -n "$$(find $(HOME_FOLDER)/simulated/delivery.json -mtime +4 2> /dev/null)" ]; then \
		backup=$(HOME_FOLDER)-$$(date -u -r $(HOME_FOLDER)/simulated/delivery.json +%F-%H%M%S) && \
		echo "The demo data in $(HOME_FOLDER) are too old for a score. They are moved to $$backup, and new data are created." && \
		mv -T $(HOME_FOLDER) $$backup; fi
	@test -e $(HOME_FOLDER)/simulated/delivery.json || $(SELLERSCORE) simulate --sellers $(SELLERS) --out $(HOME_FOLDER)/simulated
	@$(SELLERSCORE) ingest $(HOME_FOLDER)/simulated
	@$(SELLERSCORE) train
	@$(SELLERSCORE) promote --approved-by "nobody, this is a demo" --reason "a first model to look around with" \
		--gates training/simulation/gates.toml
	@$(SELLERSCORE) score
ifneq ($(SERVE),0)
	@$(SELLERSCORE) serve --demo
endif

# Keep byte code for the next run and for subprocesses of tests, even if the machine disables it
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadscope

test: setup
	@$(PYTEST)

test-fast: setup
	@$(PYTEST) -m "not slow and not soak"

soak: setup
	@SELLERSCORE_SOAK=1 $(PYTEST) -m "soak or repeated" --durations 10

check: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: setup
	@$(SELLERSCORE) features describe --markdown > docs/features.md
	@$(BIN)/python -m features.profile.describe > docs/profile.md
	@$(BIN)/python -m features.contract_page
	@SELLERSCORE_WRITE_EXAMPLES=1 $(BIN)/python -m pytest tests/api/kit/test_openapi.py -k stored_examples_have_the_shape

bench: setup
	@ONLY=$(ONLY) $(BIN)/python -m tests.benchmarks

real-data: setup
	@$(BIN)/python -m training.real_data

mlflow: setup
	@mkdir -m 700 -p $(HOME_FOLDER)
	@umask 077 && set -a && SELLERSCORE_HOME=$(abspath $(HOME_FOLDER)) && . mlflow/server.env && exec $(BIN)/mlflow server

# Hashes pin the content, so the lock names no index
lock:
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dask --extra dev --extra spark --no-emit-index-url \
		--no-annotate --no-header pyproject.toml --output-file requirements.lock
