# How do I ...? Plain `make` lists the answers.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Setuptools warns that a folder named after the package may come before it; here it is meant to.
QUIET_PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet

.PHONY: help install demo test lint types check bench soak catalogue docs build clean

help:  ## Show this list.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 11

install: $(VENV)/ready  ## Make a virtual environment with everything that developing needs.

$(VENV)/usable: setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(QUIET_PIP) --upgrade pip
	$(QUIET_PIP) --editable '.[async,cli]'
	@touch $@

$(VENV)/ready: $(VENV)/usable
	$(QUIET_PIP) --editable '.[dev]'
	@touch $@

demo: $(VENV)/usable  ## Show real calls over real HTTP: answered, streamed, retried, failed over, refused.
	$(BIN)/llmkit demo

test: $(VENV)/ready  ## Run the tests.
	$(BIN)/python -m pytest -q

lint: $(VENV)/ready  ## Check style and formatting.
	$(BIN)/ruff check --config .ci/ruff.toml .
	$(BIN)/ruff format --config .ci/ruff.toml --check .

types: $(VENV)/ready  ## Check types, strictly.
	$(BIN)/mypy

check: lint types test  ## Everything that CI demands, in CI's order.

bench: $(VENV)/ready  ## Measure speed against requests, aiohttp and the openai package, and compare with the baseline.
	$(BIN)/python -m benchmarks

soak: $(VENV)/ready  ## Make 100,000 calls through trouble, for some minutes: is anything lost, mixed up, multiplied or left behind?
	$(BIN)/python -m benchmarks.soak

catalogue: $(VENV)/ready  ## Renew what is known of models and prices, from the packages that keep such facts.
	$(BIN)/python .ci/catalogue

docs: $(VENV)/ready  ## Renew the tables of docs/providers.md from the code.
	$(BIN)/python .ci/pages.py

build: $(VENV)/ready  ## Build the wheel and the source distribution into dist/.
	$(BIN)/python -m build

clean:  ## Remove what was made here.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
