# `make test PYTHON=python3.12` chooses an interpreter, of Python 3.10 or newer. It stays
# chosen until another is named: the virtual environment's python leads back to it.
VENV := .venv-make
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PYTHON ?= $(shell test -x $(BIN)/python && echo $(BIN)/python || echo python3)

# The interpreter behind every link: the python of a virtual environment is only a link, and
# goes when the environment is removed or made anew. Empty if it is missing or too old.
BASE := $(shell $(PYTHON) -c 'import pathlib, sys; sys.version_info >= (3, 10) and print( \
    pathlib.Path(sys._base_executable).resolve().as_posix(), end="")' 2>/dev/null)

.PHONY: help demo test clean
ifneq ($(BASE),$(shell cat $(VENV)/made-by 2>/dev/null))
    .PHONY: $(VENV)/made-by
endif

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/made-by  ## train a network on handwritten digits and look at its answers
	$(BIN)/python digits_demo.py

test: $(VENV)/made-by  ## run every test, the examples in the documentation included
	$(BIN)/python -m unittest

clean:  ## remove what the other targets made
	rm -rf $(VENV) __pycache__

# made-by goes first and comes last, so that an interrupted installation starts afresh.
$(VENV)/made-by: Makefile
	$(if $(BASE),,$(error $(PYTHON) is missing or older than Python 3.10. To choose another: make test PYTHON=python3.12))
	@rm -f $@
	"$(BASE)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'numpy>=2.0' scikit-learn
	@echo "$(BASE)" > $@
