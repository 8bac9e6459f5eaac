# One definition of every command: people, hooks and CI call these targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEV    := $(VENV)/.dev
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Where it is set, each worker of the tests and each command that one runs compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install torch demo bench bench-growth bench-path bench-sessions bench-guard bench-gpu bench-model check test test-torch test-gpu test-slow test-media test-image faults fuzz soak format docs pictures lock release clean

help:            ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(DEV)  ## make .venv with everything that work on the program needs

# Each stamp is younger than what it was made from, so a second call costs nothing.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@echo "making $(VENV) with byoc and what it needs (it downloads) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable .
	@touch $@

$(DEV): $(STAMP)
	@echo "adding what tests and checks need to $(VENV) (it downloads) ..."
	@$(PIP) --editable '.[dev]'
	@touch $@

# The newest that comes as a build for the CPU where CI runs; any from 2.10 on will do.
TORCH  ?= torch==2.13.0

torch: $(VENV)/.torch ## add torch to .venv, for the nodes and tests that use it

$(VENV)/.torch: $(DEV)
	@echo "adding torch to $(VENV) ..."
	@$(PIP) '$(TORCH)' 'safetensors>=0.5'
	@touch $@

demo: $(STAMP)   ## serve a pipeline, stream a real clip through it, change it on the way
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/byoc check pipelines/lower_third.yaml
	$(BIN)/python scripts/demo.py

bench: $(DEV)    ## measure the worker beside pytrickle, FFmpeg and GStreamer, a quarter of an hour
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/python -m bench

bench-growth: $(DEV)   ## measure how cost grows with size, nodes, branches, sessions and params
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/python -m bench growth --runs 3

bench-path: $(DEV)   ## measure where each microsecond of a picture goes
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/python -m bench path

bench-sessions: $(DEV)   ## measure eight and ten sessions at once, with their driver beside them
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/python -m bench sessions

bench-guard: $(DEV)   ## fail where the worker is far from the codecs alone, in some minutes
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/python -m bench guard

check: $(DEV)    ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(DEV)     ## the whole suite, but for what needs more than it installs
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/pytest -n auto --dist worksteal -q -m "not slow and not image and not media"

test-media: $(DEV) ## the whole matrix of streams, beside what FFmpeg makes of them; some minutes
	$(BIN)/pytest -n auto -q -m media

test-torch: $(VENV)/.torch ## the tests that speak of torch, with torch
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/pytest -n auto -q -m "not slow and not image" $$(grep -lrw torch tests --include='test_*.py')

test-gpu: $(VENV)/.torch ## the tests for a GPU, all there are; those of ONNX want onnxruntime-gpu
	$(BIN)/python scripts/fetch_clips.py
	COMPOSER_REQUIRE_CUDA=1 $(BIN)/pytest -q -m "cuda and not slow"

test-slow: $(DEV)   ## what takes long: a model server that is installed for it, a browser
	$(BIN)/python scripts/mlserver.py --install
	$(BIN)/pytest -q -m slow

faults: $(DEV)   ## run the tests of all faults, and write docs/reliability.md anew
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/pytest -n 2 -q -p tests.faults.outcomes -m "fault and not slow"
	$(BIN)/pytest -q -p tests.faults.outcomes -m "fault and slow"
	$(BIN)/python -m tests.faults.table > docs/reliability.md

# Seconds of fuzzing, and minutes of a soak.
TIME    ?= 60
MINUTES ?= 10

fuzz: $(DEV)     ## look for input that does harm, TIME=60 seconds; what is found goes into tests/corpus
	$(BIN)/python -m tests.fuzz --seconds $(TIME)

soak: $(DEV)     ## serve quiet sessions for MINUTES=10 beside a fault a minute, and look for growth
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

test-image: $(DEV)   ## build two images, run them, stream a clip through each; needs root on a Debian
	$(BIN)/python scripts/fetch_clips.py
	$(BIN)/pytest -q -m image --timeout 600

format: $(DEV)   ## write the code as `make check` wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-gpu: $(VENV)/.torch ## measure what a graph does on a GPU, stage by stage
	$(BIN)/python -m bench.gpu --save

bench-model: $(DEV)   ## measure an ONNX node beside a bare loop over onnxruntime
	$(BIN)/python -m bench.model

pictures: $(VENV)/.torch ## make the pictures of the docs anew
	$(BIN)/python scripts/model_pictures.py
	$(BIN)/python scripts/page_pictures.py

docs: $(DEV)   ## write the references that are made from the code
	$(BIN)/byoc nodes --markdown > docs/nodes.md
	$(BIN)/byoc problems --markdown > docs/problems.md
	cd docs && ../$(BIN)/byoc schema > pipeline.schema.json
	$(BIN)/python -m tests.faults.table > docs/reliability.md

lock: $(DEV)     ## lock anew what images are made of
	$(PIP) 'uv>=0.13'
	$(BIN)/python scripts/lock.py

release: $(DEV)   ## make the wheel and the sdist in dist/
	rm -rf dist
	$(BIN)/python -m build

clean:           ## forget what was made
	rm -rf $(VENV) out .clips dist
