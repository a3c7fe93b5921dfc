# The two commands to start with:  make deploy MODEL=resnet50   and   make test
# Every target sets up what it needs; nothing is installed again while requirements.lock and pyproject.toml stay as they are.

PYTHON ?= python3
VENV   ?= .venv
# Tests run in so many processes; each uses one core, those that measure take turns.
WORKERS ?= 2
UV_VERSION := 0.13.9

BIN   := $(VENV)/bin
READY := $(VENV)/.ready

# Exported as typed, so that neither make nor the shell reads them as code: names may hold blanks, quotes, $(shell ...).
VALUES := MODEL DATA WEIGHTS TARGET DEVICE TEACHERS GOAL RECIPE OUT ARGS
$(foreach name,$(VALUES),$(eval override $(name) := $$(value $(name))))
export $(VALUES)

# Set in many images. Here hundreds of processes would compile the same modules, and pytest its tests in each of its own.
unexport PYTHONDONTWRITEBYTECODE

# Runs what is named after it, with the words of ARGS behind: quotes hold words together, nothing else is special.
WITH_ARGS = $(BIN)/python -c 'import os, shlex, sys; os.execv(sys.argv[1], sys.argv[1:] + shlex.split(os.environ["ARGS"]))'

.DEFAULT_GOAL := help
.PHONY: help setup deploy bench reliability gpu-check test test-full check lint type layers format schema clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make deploy MODEL=resnet50 [DATA=folder] [WEIGHTS=file] [TARGET='ort-cpu openvino'] [DEVICE=pi] [TEACHERS='vgg16 resnet101'] [GOAL=latency=0.5x] [RECIPE=r.yaml] [OUT=dir] [ARGS='--skip distill,prune']"

setup: $(READY) ## install everything into .venv (done by every other target when needed)

# Bytecode of packages is made here, once and by all cores: whoever types a command of .venv where
# PYTHONDONTWRITEBYTECODE is set would compile the 3,000 files of torch each time, for ten seconds on a small machine.
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; give one with PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V); give another with PYTHON=..." >&2; exit 2; }
	@echo "setting up $(VENV) (once; about 5 GB)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --no-build-isolation --editable .
	@touch $@

deploy: $(READY) ## take MODEL through the whole chain; bundle and report in deployments/
	@test -n "$$MODEL" || { echo "make deploy: which model? for example: make deploy MODEL=resnet50" >&2; exit 2; }
	@case "$$MODEL" in -*) echo "make deploy: MODEL=$$MODEL would be an option; a file of that name is ./$$MODEL" >&2; exit 2;; esac
	@set -f; set -- "$$MODEL" $${DATA:+--data "$$DATA"} $${WEIGHTS:+--weights "$$WEIGHTS"} $${GOAL:+--goal "$$GOAL"} $${RECIPE:+--recipe "$$RECIPE"} $${OUT:+--out "$$OUT"} $${DEVICE:+--device "$$DEVICE"}; \
	for target in $$TARGET; do set -- "$$@" --target "$$target"; done; \
	for teacher in $$TEACHERS; do set -- "$$@" --teacher "$$teacher"; done; \
	exec $(WITH_ARGS) $(BIN)/edgewright deploy "$$@"

bench: $(READY) ## what the latency gate can and cannot see on this machine (an hour; ARGS='--gates 3' for a quick look)
	@$(WITH_ARGS) $(BIN)/edgewright selftest

reliability: $(READY) ## kills, signals, flipped bits, damaged input: what is promised, tried (40 minutes; ARGS='--share 0.1')
	@$(WITH_ARGS) $(BIN)/python -m benchmarks.reliability

test: $(READY) ## the tests (minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not slow'

# Where nothing can be installed, the Python that is there has to do: make gpu-check VENV=none
gpu-check: ## what a GPU is needed for: its tests, and training with mixed precision against a bare loop (8 minutes)
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu_check

test-full: $(READY) ## all tests, the slow ones too
	$(BIN)/python -m pytest

check: lint type layers ## what has to hold before a commit, besides the tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

format: $(READY) ## let ruff format and mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

schema: $(READY) ## write the JSON schemas of recipe, fleet, report and --json into docs/schema
	$(BIN)/python -m pipeline.recipe.schema > docs/schema/recipe.schema.json
	$(BIN)/python -m pipeline.fleet.schema > docs/schema/fleet.schema.json
	$(BIN)/python -m pipeline.report.schema > docs/schema/report.schema.json
	$(BIN)/python -m pipeline.report.fleet_schema > docs/schema/fleet-report.schema.json
	$(BIN)/python -m pipeline.cli.schema > docs/schema/commands.schema.json

clean: ## remove caches and build products; keeps .venv and deployments/
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
