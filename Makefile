# The workbook by command. Needs GNU make, git and Python 3.10 to 3.13; everything else goes into .venv.
# `make` alone lists the commands.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
RENDER = build/render-venv

# Notebooks run in notebooks/, so a relative folder is made absolute here, once for all commands.
ifdef FACESEG_DATA_DIR
override FACESEG_DATA_DIR := $(shell $(PYTHON) -c \
	'import os, sys; print(os.path.abspath(sys.argv[1]))' '$(FACESEG_DATA_DIR)')
export FACESEG_DATA_DIR
endif
export NO_ALBUMENTATIONS_UPDATE = 1

.DEFAULT_GOAL := help
.PHONY: help setup run lab test unit notebooks-test browser-test render-test lint data render renderer lock links clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24
	@echo
	@echo 'Settings: FACESEG_DATA_DIR=folder of picsart/ and fasseg/   FACESEG_DATASET=sample|picsart|fasseg'
	@echo '          FACESEG_PROFILE=quick|full                        PYTHON=python3.12   VENV=.venv'

setup: $(READY)  ## install everything into .venv (once; under 2 minutes)

# uv comes into the environment by pip, then installs what the lock says; the stamp is written last.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock -e .
	touch $@

run: $(READY)  ## execute all notebooks in order; executed copies and HTML go to build/
	$(BIN)/python -m tools.run_notebooks

lab: $(READY)  ## open the workbook in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=. notebooks

test: unit notebooks-test browser-test render-test  ## all tests: units, notebooks and exercises, widgets, renderer

# One torch thread for each of the two workers: more only get in each other's way.
unit notebooks-test: export OMP_NUM_THREADS ?= 1

unit: $(READY)  ## the unit tests alone
	$(BIN)/python -m pytest -n 2 tests/unit

# Two checks of the notebooks: as committed (nbval), then form and exercises, solved and unsolved.
# `loadscope` keeps the cells of one notebook on one worker and in order; 03 trains longest and begins.
notebooks-test: export FACESEG_PROFILE ?= quick
notebooks-test: $(READY)  ## the notebooks and their exercises alone
	@if ! ls notebooks/*.ipynb >/dev/null 2>&1; then echo 'nbval skipped: no notebook in notebooks/'; \
	elif ! $(BIN)/python -m tools.workbook; then echo 'nbval skipped: no data, see above'; \
	else $(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 \
		-n 2 --dist loadscope --no-loadscope-reorder notebooks/03* notebooks/0[!3]*; fi
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/notebooks

# After the notebooks: 05 takes the network that 03 has left. Without Chromium these tests say so and are skipped.
browser-test: $(READY)  ## the widgets in a headless Chromium alone; screenshots in build/browser
	$(BIN)/python -m pytest -s -rs tests/browser

# Skipped without the renderer: `make renderer` installs it.
render-test: export FACESEG_RENDER_PYTHON ?= $(if $(wildcard $(RENDER)/.ready),$(CURDIR)/$(RENDER)/bin/python)
render-test: $(READY)  ## the generator of data/sample alone
	$(BIN)/python -m pytest -rs tests/render

lint: $(READY)  ## ruff, and the links made from pyproject.toml
	$(BIN)/ruff check .
	$(BIN)/python -m tools.links --check

data: $(READY)  ## fetch the PicsArt portraits (about 60 MB)
	$(BIN)/python -m faceseg_utils data picsart

links: $(READY)  ## after a change of the repository's address in pyproject.toml: rewrite all links
	$(BIN)/python -m tools.links

lock: $(READY)  ## after a change of the dependencies in pyproject.toml: resolve requirements.lock anew
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.10 --upgrade --quiet \
		--no-annotate --no-emit-index-url --custom-compile-command 'make lock' -o requirements.lock

render: $(READY) $(RENDER)/.ready  ## make the rendered portraits of data/sample anew (hours)
	$(RENDER)/bin/python -m data.render

# The generator needs Blender as a module (Python 3.11), hence an environment of its own; why --no-deps, its
# requirements file says.
renderer: $(RENDER)/.ready  ## install what the generator of data/sample needs (about 1 GB) into build/render-venv

$(RENDER)/.ready: data/render/requirements.txt | $(READY)
	$(BIN)/uv venv --quiet --clear --python 3.11 $(RENDER)
	$(BIN)/uv pip install --quiet --python $(RENDER)/bin/python --no-deps -r data/render/requirements.txt
	touch $@

clean:  ## remove build/: pages, runs, the renderer (not .venv, not data)
	rm -rf build
