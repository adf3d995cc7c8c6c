# Every target sets up what it needs by itself, in .venv and nowhere else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Our processes say themselves how many threads they want; libraries that guess take all cores each.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: quickstart test test-fast check picture tracking-pictures chaos cluster-test format clean

quickstart: $(VENV)/.installed  ## run a real study on the built-in model and tasks
	$(BIN)/polytune run studies/quickstart.yaml

# Tests without Ray run side by side; those with share one cluster, which takes both cores.
test: $(VENV)/.installed-dev  ## pass the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ray and not machines"
	$(BIN)/python -m pytest -m ray

test-fast: $(VENV)/.installed-dev  ## the tests of daily work: no Ray, no compilers of other languages
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ray and not machines and not slow"

check: $(VENV)/.installed-dev  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

PAGE ?= runs/studies/quickstart/report.html
picture:  ## draw the README's picture from the report that `make quickstart` left; needs chromium
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,1255 \
		--screenshot=docs/images/quickstart-report.png "file://$(abspath $(PAGE))"

tracking-pictures: $(VENV)/.installed-dev  ## take those of MLflow's pages over what `make quickstart` left; needs chromium
	$(BIN)/python benchmarks/tracking_view.py --study runs/quickstart --to docs/images

chaos: $(VENV)/.installed-dev  ## kill processes at random moments of a short study: make chaos SEEDS=1-100
	SEEDS=$(or $(SEEDS),1-3) $(BIN)/python -m pytest tests/chaos

cluster-test: $(VENV)/.installed-dev  ## three machines of network namespaces, a real `ray up`; needs root, takes minutes
	CLUSTER_TEST=1 $(BIN)/python -m pytest tests/cluster -s -rs

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info
