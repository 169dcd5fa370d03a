# `make demo` and `make test` need Python 3.11 or later and nothing else: they make .venv.
#
#   make demo PYTHON=python3.13       with another Python (remove .venv first)

PYTHON ?= $(shell command -v python3 || command -v python)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# a stamp is older than what it was installed from: then, and only then, pip runs again
FROM := pyproject.toml constraints.txt

.PHONY: help demo demo-model test docs lint types format lock audit clean

help:
	@echo 'make demo     install, train on the built-in corpus, evaluate, translate: minutes'
	@echo 'make test     install, then lint, types and tests'
	@echo 'make demo-model  train the model that comes with the package: minutes'
	@echo 'make docs     install, refresh outputs and figures, build the site in site/'
	@echo 'make lint     ruff: format and rules'
	@echo 'make types    pyright'
	@echo 'make format   let ruff rewrite the code'
	@echo 'make lock     pin the service and its hashes in requirements.lock'
	@echo 'make audit    known vulnerabilities of these, where the package index knows any'
	@echo 'make clean    remove .venv and caches; runs/ stays'

demo: $(VENV)/.installed
	$(BIN)/penstock demo

test: lint types
	$(BIN)/pytest -n auto --dist worksteal

# the model in the box: the same on every machine with this processor's arithmetic
demo-model: $(VENV)/.installed
	$(BIN)/penstock demo --out runs/demo-model --set training.precision=bf16 --set threads=2
	$(BIN)/penstock export -m runs/demo-model --out src/penstock/demo_model

# a command runs again only when its script or the package has changed
docs: $(VENV)/.installed-docs
	$(BIN)/python docs/configuration.py
	$(BIN)/python docs/refresh.py --remember $(VENV)/.refreshed.json
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	$(BIN)/pyright

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch has several builds of one version, whose hashes differ by index: what needs it has no hashes
lock: $(VENV)/tools/bin/uv
	$< pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command 'make lock' --extra clean --extra serve -c constraints.txt \
	    -o requirements.lock pyproject.toml

audit: $(VENV)/tools/bin/uv
	$(VENV)/tools/bin/python .ci/audit.py || [ $$? -eq 3 ] # 3: nobody could say

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache .hypothesis dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'no python3 found: install Python 3.11 or later, or give PYTHON=...' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo '$(PYTHON) is older than 3.11: give PYTHON=python3.11 or later' >&2; exit 1; }
	'$(PYTHON)' -m venv $(VENV)

$(VENV)/tools/bin/uv: | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/tools
	$(VENV)/tools/bin/python -m pip --disable-pip-version-check --quiet install 'uv>=0.9' 'pip-audit>=2.9'

$(VENV)/.installed: $(FROM) | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[train]'
	@touch $@

$(VENV)/.installed-docs: $(FROM) | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@ $(VENV)/.installed

# pyright runs on Node.js: its extra brings one from the package index
$(VENV)/.installed-dev: $(FROM) | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[dev]' 'pyright[nodejs]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-docs
