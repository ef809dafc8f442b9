# `make test` and `make venv` set a fresh machine up by themselves.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# two test processes on two cores: one thread each, or they fight
TEST_WORKERS ?= 2

.PHONY: venv test lint docs demo

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

# A first look without any data: about 6 minutes on two cores, one of them for the installation. The maps are made with few
# passes and a small network: they show what the software does, not how good a method is.
DEMO_TARGET ?= first_degree_av_block
DEMO_DATA := --config configs/data/synthetic.yaml --data.source.init_args.n_patients 1500
DEMO_RUN := --target $(DEMO_TARGET) --study demo --seed_everything 0

demo: venv
	$(BIN)/python -m ecg_lightning.cli fit --config configs/fit.yaml $(DEMO_DATA) --config configs/model/small.yaml $(DEMO_RUN)
	$(BIN)/python -m ecg_lightning.cli test --config configs/test.yaml $(DEMO_DATA) --config configs/callbacks/coarse.yaml \
	    $(DEMO_RUN)
	@echo "These maps are coarse: few passes, a small network. README, 'Train and test', has the settings of the study."

test: lint docs
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_WORKERS) --dist loadfile
