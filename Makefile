# One environment, .venv, for everything. Variables: PORTRAIT, DRIVING (the demo's inputs), SEED (who is drawn where they
# are not given), TORCH (what pip installs).

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$p" && break; done)
TORCH ?= torch==2.13.0
BIN := .venv/bin
READY := .venv/.ready

BUNDLE ?= out/pocket
SAMPLE := out/sample
PORTRAIT ?= $(SAMPLE)/portrait.png
DRIVING ?= $(SAMPLE)/driving.mp4
SEED ?= 7
# Where the face of a drawn picture or video is, known exactly; of others it is looked for.
face_of = $(if $(filter $(SAMPLE)/%,$(2)),$(1) $(basename $(2)).landmarks.json)
# pytest's own words, e.g. make test ARGS='-k golden'
ARGS ?=
TWO := -n 2 --dist loadgroup

# What is used is compiled once, and not again by each process that a test starts, whatever the caller has set.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: check demo test test-full test-quality test-heavy lint setup clean

setup: $(READY)

# torch goes first: what else asks for it then takes this build. Our own package is built with the setuptools that is
# here, and Python compiles the modules that are used.
$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: needs Python 3.11, 3.12 or 3.13, found none; install one, or: make PYTHON=/path/to/python3.13"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check $(TORCH) 'setuptools>=80'
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-build-isolation --editable '.[test]'
	@touch $@

demo: $(READY)
	@mkdir -p out
	$(if $(filter $(SAMPLE)/%,$(PORTRAIT) $(DRIVING)),$(BIN)/hp-trt sample --out $(SAMPLE) --seed $(SEED))
	$(BIN)/python -m export.build_engines --preset pocket --bundle $(BUNDLE)
	$(BIN)/hp-trt animate --bundle $(BUNDLE) \
		--portrait '$(PORTRAIT)' $(call face_of,--portrait-landmarks,$(PORTRAIT)) \
		--driving '$(DRIVING)' $(call face_of,--driving-landmarks,$(DRIVING)) \
		--out out/demo.mp4 --crop-out out/demo-crop.mp4 --sheet out/demo.png

# What a change must pass: lint, and what test and test-full run, in one run.
check: lint
	$(BIN)/python -m pytest -m 'not heavy and not gpu' $(TWO) $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -m 'not full_size and not slow and not heavy and not gpu' $(TWO) $(ARGS)

# Full-size networks one after another on one worker, what needs the demo's bundle on the other: 12 GB of memory.
test-full: $(READY)
	$(BIN)/python -m pytest -m '(full_size or slow) and not heavy and not gpu' $(TWO) $(ARGS)

# All clips that docs/quality.md is of; test-full looks at half of them.
test-quality: $(READY)
	$(BIN)/python -m pytest tests/quality -m slow --whole $(TWO) $(ARGS)

# What proves by sheer number or length. Of each there is a small case in the other groups.
test-heavy: $(READY)
	$(BIN)/python -m pytest -m 'heavy and not gpu' $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv out
