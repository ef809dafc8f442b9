# `make test` and `make venv` set a fresh machine up by themselves.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# two test processes on two cores: one thread each, or they fight
TEST_WORKERS ?= 2

.PHONY: venv check test slurm-test lint docs demo demo-quick

venv: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site of docs/, into build/site; a link to nowhere is an error.
docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/site

# A first look without any data: the quickstart study, 8 to 9 minutes on two free cores after the installation. The maps are made
# with few passes and small networks: they show what the software does, not how good a method is.
DEMO_RUNS ?= runs

DEMO := $(BIN)/python -m ecg_lightning.cli study --config configs/studies/quickstart.yaml --runs $(DEMO_RUNS) --cores 2

# One network of it, and its page: 2 and a half minutes. `make demo` tells that page's path as soon as it is there.
demo-quick: venv
	$(DEMO) first
	@echo "The first network's page: $(DEMO_RUNS)/quickstart/report.html (coarse maps; what one network can't say is left open)"

demo: venv
	$(DEMO) first all
	@echo "The report: $(DEMO_RUNS)/quickstart/report.html (these maps are coarse: few passes, small networks)"

# Lint, types and the unit tests: an answer in 90 seconds on two free cores.
check: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(TEST_WORKERS) --dist loadfile -m 'not slow and not study and not gpu and not slurm'

# Everything: what trains, tests, runs studies and starts processes too. In tests/slow_tests.py's order, not by the count
# of a file's tests: a long one at the end would leave a core without work.
test: lint docs
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

# On a real Slurm of one node that the test starts and stops by itself, in five minutes: as root, where
# `apt-get install slurm-wlm munge` was done. Not part of `make test`.
slurm-test: venv
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slurm -s tests/slurm
