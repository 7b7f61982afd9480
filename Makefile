# Everything runs inside $(VENV), made on first use from requirements.lock. A second run is fast.
VENV ?= .venv
PYTHON ?= python3
# Where pip finds a CPU build of torch, if your configured index has none:
#   make TORCH_INDEX=https://download.pytorch.org/whl/cpu demo
TORCH_INDEX ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-fast check format wheel aarch64 clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/python -m examples.demo $(DEMO_ARGS)

test: check
	$(BIN)/python -m pytest

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not slow"

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

$(READY): requirements.lock pyproject.toml setup.py .ci/environment
	.ci/environment "$(PYTHON)" "$(VENV)" "$(TORCH_INDEX)"
	touch $(READY)

clean:
	rm -rf $(VENV) build dist demo-out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
