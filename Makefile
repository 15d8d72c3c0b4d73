# Everything runs in a virtual environment that `install` makes and keeps up to date.
#   PYTHON  the Python (3.11 or newer) that makes it     VENV    where it is
#   EXTRAS  optional parts, e.g. EXTRAS=test,cuda12; kept for later commands
#   SIZE    of the sample                                SEED    of it, and of the README's picture
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= $(or $(shell cat $(VENV)/.extras 2>/dev/null),test)
SIZE ?= 4096x4096
SEED ?= 20

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(EXTRAS)

.PHONY: install sample test test-slow lint types format bundle digests gallery

install: $(STAMP)

$(STAMP): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "error: Python 3.11 or newer is needed; name one: make PYTHON=..." >&2; \
	    exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@echo '$(EXTRAS)' >$(VENV)/.extras
	@touch $@

sample: install
	$(BIN)/python run_sample.py --size $(SIZE) --seed $(SEED) --overwrite

test: install
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: install
	$(BIN)/python -m pytest -m slow -o faulthandler_timeout=7200

# Replaces the bundled model, its card, the README's picture and the digest that example
# world files name, by a workdir's newest checkpoint:
#   make bundle WORKDIR=runs/lite INFO="--noise_scale 0.8 --info 'data=...' ..."
# The pictures of `make gallery` are of the former model until it is run, too.
MODEL ?= landscape_lite
WEIGHTS := infinitygan_jax/weights/$(MODEL).safetensors
bundle: install
	$(BIN)/python -m infinitygan_jax.cli.export $(WORKDIR) $(WEIGHTS) --overwrite $(INFO)
	$(BIN)/python -m infinitygan_jax.cli.card $(WEIGHTS) docs/model_card.md --seed $(SEED) --overwrite
	$(MAKE) digests

# Writes the digest of docs/model_card.md into the example world files.
EXAMPLES := docs/world_file.md docs/gallery/valley.json docs/gallery/places.json
digests:
	@digest=$$(sed -n 's/^| digest | `\([0-9a-f]*\)` |$$/\1/p' docs/model_card.md); \
	[ -n "$$digest" ] || exit; for file in $(EXAMPLES); do \
	    sed -i.old "s/\"digest\": \"[0-9a-f]*\"/\"digest\": \"$$digest\"/" $$file && \
	    rm $$file.old || exit; done

# Paints the pictures of docs/gallery.md with the commands that it shows.
gallery: install
	sed -n 's/^    python /python /p' docs/gallery.md | while read -r line; do \
	    echo "$$line"; PATH="$(abspath $(BIN)):$$PATH" sh -c "$$line" </dev/null || exit; done

lint: install
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .

types: install
	$(BIN)/python -m mypy

format: install
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .
