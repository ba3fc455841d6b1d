# Two commands on a fresh machine: `make demo` and `make test`. Each makes the environment it needs.
PYTHON ?= python3
BIN := .venv/bin
ENV := .venv/.ready

.PHONY: demo test check bench docs scoreboard mutants format clean

demo: $(ENV)
	$(BIN)/genus demo -o runs/demo

test: $(ENV)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check: $(ENV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Planted faults, each of which the tests must catch.
mutants: $(ENV)
	$(BIN)/python tests/mutants/run.py

# Needs GENUS_DATA, the folder with the benchmark data.
bench: $(ENV)
	$(BIN)/python benchmarks/all.py
	$(BIN)/python benchmarks/scoreboard.py

scoreboard: $(ENV)
	$(BIN)/python benchmarks/scoreboard.py

docs: $(ENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	$(BIN)/python docs/render_families.py
	$(BIN)/mkdocs build --strict

format: $(ENV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(ENV): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip setuptools wheel -c constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $(ENV)

clean:
	rm -rf .venv build dist site src/*.egg-info
