# make demo    train and time small models in both frameworks, draw and tabulate them
# make test    the test suite          make check   ruff and mypy
# make test-slow  compilers and packaging: what takes minutes by itself
# make gallery redraw plots/ from the committed rows
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow check format gallery clean

demo: $(STAMP)
	$(BIN)/mixer-bench run studies/quickstart.yaml

# One process a core, each with one thread.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

gallery: $(STAMP)
	$(BIN)/mixer-bench plot results --out plots

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q -c constraints.txt -e '.[jax,torch,data,dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
