# Moment: `make demo` shows the whole; `make test` proves it. Needs Python >= 3.11 and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export TZ := UTC

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test reliability check format lock feast-ui mlflow-ui clean

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## Make .venv from the lock file (costs nothing when repeated)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Moment needs Python 3.11 or newer; name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) (about 1.5 GB, once)"
	@$(PYTHON) -m venv $(VENV)
	@.ci/install $(BIN) requirements.lock
	@touch $@

demo: $(READY) ## History of 2,469 households -> features -> models -> decisions over HTTP
	@$(BIN)/moment demo

serve: $(READY) ## Keep the decision service up on the demo's state
	@$(BIN)/moment serve

test: $(READY) ## Run every test: what needs stores and servers one after the other, the rest beside it
	@$(BIN)/pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

reliability: $(READY) ## Run the long form of what must survive crashes and crowds
	@MOMENT_RELIABILITY=full $(BIN)/pytest tests/reliability tests/service/test_schemathesis.py \
	  tests/integration/training tests/service/test_demo.py tests/service/test_packaging.py tests/service/test_erasing.py tests/model

check: $(READY) ## Format, lint, types, import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: $(READY) ## Resolve the dependencies anew into requirements.lock
	@.ci/lock $(BIN)

feast-ui: $(READY) ## Look at the feature store in Feast's own pages
	@cd feature_repo && ../$(BIN)/feast ui --host 127.0.0.1

mlflow-ui: $(READY) ## Look at runs and models in MLflow's own pages
	@MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
	  $(BIN)/mlflow ui --host 127.0.0.1 --backend-store-uri sqlite:///mlruns/mlflow.db

clean: ## Remove Moment's state; keep the environment
	rm -rf .moment build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find mlruns -mindepth 1 ! -name README.md -delete
