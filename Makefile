# `make test PYTHON=python3.12` chooses an interpreter, of Python 3.10 or newer. It stays
# chosen until another is named: made-by says which interpreter .venv was made by.
MADE_BY := .venv/made-by
PYTHON ?= "$(shell p=$$(cat $(MADE_BY) 2>/dev/null); test -x "$$p" && echo "$$p" || echo python3)"
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

.DEFAULT_GOAL := help
.PHONY: help demo test clean always

# If .venv is active, python3 is a link inside it, which `venv --clear` would replace by a
# link to itself. So ask for the interpreter behind it; one that is too old says nothing.
ifneq ($(filter-out help clean,$(MAKECMDGOALS)),)
    BASE := $(shell $(PYTHON) -c 'import os, sys; sys.version_info >= (3, 10) and \
        sys.stdout.write(os.path.realpath(sys._base_executable).replace(os.sep, "/"))' 2>/dev/null)
    ifeq ($(BASE),)
        $(error $(PYTHON) is missing or older than Python 3.10. To choose another: make $(MAKECMDGOALS) PYTHON=python3.12)
    endif
    ifneq ($(BASE),$(shell cat $(MADE_BY) 2>/dev/null))
        CHANGED := always
    endif
endif

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: .venv/installed  ## train a network on handwritten digits and look at its answers
	$(BIN)/python digits_demo.py

test: .venv/installed  ## run every test, the examples in the documentation included
	$(BIN)/python -m unittest

clean:  ## remove what the other targets made
	rm -rf .venv __pycache__

$(MADE_BY): $(CHANGED)
	"$(BASE)" -m venv --clear .venv
	@echo "$(BASE)" > $@

.venv/installed: $(MADE_BY) Makefile
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'numpy>=2.0' scikit-learn
	@touch $@
