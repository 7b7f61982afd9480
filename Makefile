# Everything runs inside $(VENV), made on first use from requirements.lock. A second run is fast.
VENV ?= .venv
PYTHON ?= python3
# Where pip finds a CPU build of torch, if your configured index has none:
#   make TORCH_INDEX=https://download.pytorch.org/whl/cpu demo
TORCH_INDEX ?=
# Tests run in this many processes at once; each takes about 1 GB. make WORKERS=0 test: in one, for a debugger.
WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Each worker goes through a stretch of neighbouring tests, which share fixtures, and then takes from the others' stretches.
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --durations 20 --durations-min 5

.PHONY: demo test test-fast check format wheel aarch64 environment clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/python -m examples.demo $(DEMO_ARGS)

test: check
	$(PYTEST)

test-fast: $(READY)
	$(PYTEST) -m "not slow"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY)
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

aarch64: $(READY)
	.ci/aarch64 "$(BIN)/python" dist

environment: $(READY)

$(READY): requirements.lock pyproject.toml setup.py .ci/environment
	.ci/environment "$(PYTHON)" "$(VENV)" "$(TORCH_INDEX)"
	touch $(READY)

clean:
	rm -rf $(VENV) build dist demo-out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
