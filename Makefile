# PYTHON=python3.12 make test   chooses another interpreter, of Python 3.10 or newer.
PYTHON ?= python3

ifeq ($(OS),Windows_NT)
    BIN := .venv/Scripts
else
    BIN := .venv/bin
endif

# A stamp inside .venv names the interpreter that made it. If PYTHON is another one now,
# or the Makefile is newer, the environment is made afresh.
WANTED := $(shell $(PYTHON) -c "import sys; print(sys.version.split()[0], sys.base_prefix)")
STAMP := .venv/made-by
ifneq ($(WANTED),$(shell cat $(STAMP) 2>/dev/null))
    FRESH := always
endif

.DEFAULT_GOAL := help
.PHONY: help demo test clean always

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP)  ## train a network on handwritten digits and look at its answers
	$(BIN)/python digits_demo.py

test: $(STAMP)  ## run every test, the examples in the documentation included
	$(BIN)/python -m unittest

clean:  ## remove what the other targets made
	rm -rf .venv __pycache__

$(STAMP): Makefile $(FRESH)
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'numpy>=2.0' scikit-learn
	@echo "$(WANTED)" > $@
