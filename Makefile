# One environment, .venv: for the demo what runs a bundle, for all else PyTorch and the tests' libraries on top.
# Variables: PORTRAIT, DRIVING, AUDIO (the demo's inputs), SEED (who is drawn where they are not given), TORCH (what pip
# installs).

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$p" && break; done)
TORCH ?= torch==2.13.0
BIN := .venv/bin
PIP = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
RUNS := .venv/.runs
READY := .venv/.ready

SEED ?= 7
# pytest's own words, e.g. make test ARGS='-k golden'
ARGS ?=
TWO := -n 2 --dist loadgroup

# What is used is compiled once, and not again by each process that a test starts, whatever the caller has set.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: check demo manual test test-full test-quality test-heavy lint setup clean

setup: $(READY)

# Our own package is built with the setuptools that is here, and Python compiles the modules that are used.
$(RUNS): pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: needs Python 3.11, 3.12 or 3.13, found none; install one, or: make PYTHON=/path/to/python3.13"; exit 2; }
	$(PYTHON) -m venv .venv
	$(PIP) 'setuptools>=80'
	$(PIP) --no-build-isolation --editable '.[cpu]'
	@touch $@

# torch goes first: what else asks for it then takes this build.
$(READY): pyproject.toml | $(RUNS)
	$(PIP) $(TORCH)
	$(PIP) --no-build-isolation --editable '.[test]'
	@touch $@

demo: $(RUNS)
	$(BIN)/hp-trt demo --out out --seed $(SEED) \
		$(if $(PORTRAIT),--portrait '$(PORTRAIT)') $(if $(DRIVING),--driving '$(DRIVING)') $(if $(AUDIO),--audio '$(AUDIO)')

# What a change must pass: lint, and what test and test-full run, in one run.
check: lint
	$(BIN)/python -m pytest -m 'not heavy and not gpu' $(TWO) $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -m 'not full_size and not slow and not heavy and not gpu' $(TWO) $(ARGS)

# Full-size networks one after another on one worker, what needs the demo's bundle on the other: 12 GB of memory.
test-full: $(READY)
	$(BIN)/python -m pytest -m '(full_size or slow) and not heavy and not gpu' $(TWO) $(ARGS)

# All clips that docs/quality.md is of, long ones and fp16 too; test-full looks at half of them.
test-quality: $(READY)
	$(BIN)/python -m pytest tests/quality -m slow --whole $(TWO) $(ARGS)

# What proves by sheer number or length. Of each there is a small case in the other groups.
test-heavy: $(READY)
	$(BIN)/python -m pytest -m 'heavy and not gpu' $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# docs/ as a site, with the reference that is made from the source.
manual: $(READY)
	$(BIN)/python -m manual --out out/manual

clean:
	rm -rf .venv out
