# The workbook by command. Everything is done by tools/task.py, which also runs without make, on Windows too:
# `python -m tools.task COMMAND`. `make` alone lists the commands; ARGS holds options: `make lab ARGS=--new`.

PYTHON ?= python3
TASKS = setup run copies lab test unit notebooks-test browser-test render-test lint data render renderer lock links \
	urls rehearse colab-branch summary clean

.DEFAULT_GOAL := help
.PHONY: help $(TASKS)

export MAKE
help $(TASKS):
	@$(PYTHON) -m tools.task $@ $(ARGS)
