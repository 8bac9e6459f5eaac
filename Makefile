# One definition of every command: people, hooks and CI call these targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo bench check test format docs clean

help:            ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## make .venv with everything that work on the program needs

# The stamp is younger than what it was made from, so a second call costs nothing.
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)   ## serve a pipeline, stream a real clip through it, change it on the way
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/byoc check pipelines/lower_third.yaml
	$(BIN)/python scripts/demo.py

bench: $(STAMP)  ## measure the worker beside FFmpeg on this machine, about five minutes
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/python -m bench

check: $(STAMP)  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(STAMP)   ## the whole suite
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/pytest -n auto -q

format: $(STAMP) ## write the code as `make check` wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)   ## write the references that are made from the code
	$(BIN)/byoc nodes --markdown > docs/nodes.md
	cd docs && ../$(BIN)/byoc schema > pipeline.schema.json

clean:           ## forget what was made
	rm -rf $(VENV) out .clips dist
