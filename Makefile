# `make test` and `make demo` run in the Python that you use: in $(PYTHON), if you name one,
# or in the active environment's python3. Where NumPy 2.0 and scikit-learn are there, it is
# used as it is, and nothing is installed. Else these two go into a private environment,
# made of the same Python. `make test PYTHON=python3.12` chooses another.

VENV := .venv-make
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

NAMED := $(PYTHON)
PYTHON ?= python3

# The path of $(PYTHON) if it has all that we need, else nothing.
READY := $(shell $(PYTHON) -c 'import sys, numpy, importlib.util; print( \
    sys.executable if sys.version_info >= (3, 10) and int(numpy.__version__.split(".")[0]) > 1 \
    and importlib.util.find_spec("sklearn") else "")' 2>/dev/null)

ifneq ($(READY),)
    RUN := $(READY)
else
    RUN := $(BIN)/python
    PRIVATE := $(VENV)/made-by
    # A private environment that is there stays, unless another Python is named.
    FROM := $(if $(NAMED),$(PYTHON),$(or $(wildcard $(BIN)/python $(BIN)/python.exe),$(PYTHON)))
    # The interpreter behind it: an environment's own python is only a link, which goes when
    # the environment is made anew. Empty if it is missing or too old.
    BASE := $(shell $(firstword $(FROM)) -c 'import pathlib, sys; sys.version_info >= (3, 10) and \
        print(pathlib.Path(sys._base_executable).resolve().as_posix(), end="")' 2>/dev/null)
    ifneq ($(BASE),$(shell cat $(VENV)/made-by 2>/dev/null))
        .PHONY: $(VENV)/made-by
    endif
endif

.PHONY: help demo test clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: $(PRIVATE)  ## train a network on handwritten digits and look at its answers
	"$(RUN)" digits_demo.py

test: $(PRIVATE)  ## run every test, the examples in the documentation included
	"$(RUN)" -m unittest

clean:  ## remove what the other targets made
	rm -rf $(VENV) __pycache__

# made-by goes first and comes last, so that an interrupted installation starts afresh. A
# dot every two seconds says that it goes on, as long as this shell does.
$(VENV)/made-by:
	$(if $(BASE),,$(error $(PYTHON) is missing or older than Python 3.10. To choose another: make test PYTHON=python3.12))
	@rm -f $@
	@echo "$(PYTHON) lacks NumPy 2.0 or scikit-learn. Once, they go into $(VENV)"
	@echo "(300 MB, about half a minute):"
	@while sleep 2; kill -0 $$$$; do printf .; done 2>/dev/null & \
	"$(BASE)" -m venv --clear $(VENV) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'numpy>=2.0' scikit-learn
	@echo " done"
	@echo "$(BASE)" > $@
