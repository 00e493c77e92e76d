# Commands of the project. Each makes the environment first if it is missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Set in many containers, it has every process of every search compile some 5,000 files anew, ten seconds each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help search test test-browser lint chaos fuzz soak graphemes lock clean
help:
	@echo "make search   search the head of a small network on the embedded digits"
	@echo "make test     run the test suite"
	@echo "make test-browser   pages in a real browser; needs Debian's chromium and chromium-driver"
	@echo "make lint     ruff and mypy"
	@echo "make chaos    kill searches at 50 seeded moments and more, about half an hour"
	@echo "make fuzz     3,000 files with mistakes, given to the commands, about five minutes"
	@echo "make soak     2,000 short trials with faults, and what grows meanwhile"
	@echo "make graphemes   synthetic graphemes from drawing to submission, about 7 minutes on 2 cores"
	@echo "make lock     pin the newest dependencies that pyproject.toml allows"
	@echo "make clean    remove the environment and caches"

search: $(VENV)/installed
	$(RUN) -m search.run --space spaces/head.yaml

test: $(VENV)/installed
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-browser: $(VENV)/installed
	$(RUN) -m pytest tests/browser

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

chaos: $(VENV)/installed
	CHAOS_RUNS=50 $(RUN) -m pytest -n 2 --dist load tests/end_to_end/test_chaos.py tests/end_to_end/test_on_gpu.py tests/search/test_nodes.py

fuzz: $(VENV)/installed
	$(RUN) -m tests.fuzz

soak: $(VENV)/installed
	$(RUN) -m tests.soak

graphemes: $(VENV)/installed
	$(RUN) benchmarks/graphemes.py

# The index is whatever pip and uv are configured with; none is written anywhere in this repository.
$(VENV)/installed: requirements.lock pyproject.toml yacstune.pth
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "yacstune needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check "uv>=0.8"
	$(VENV)/bin/uv pip install --quiet --python $(RUN) -r requirements.lock
	$(VENV)/bin/uv pip install --quiet --python $(RUN) --no-deps -e .
	touch $@

lock:
	$(VENV)/bin/uv pip compile --quiet --universal --extra browser --extra cmaes --extra dev --extra plots --python-version 3.11 --no-annotate pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
