# Thin lines over one command, har. Every target sets up .venv first where that is not done yet.
PYTHON ?= python3
DATASET ?= uci-har
MODEL ?= all
SEED ?=
EPOCHS ?=
CHANNELS ?=
ARCHIVE ?=
PART ?= validation
OUTPUT ?=
BUNDLE ?=
PORT ?= 5000
REFIT ?=
STUDY ?= ideas
SCRIPT ?=
BENCHMARKS := data_loading windowing startup inference peer_inference growth training first_try many_seeds

VENV := .venv
HAR := $(VENV)/bin/har
STAMP := $(VENV)/.installed
# $(call option,--flag,VALUE): the flag where the value is given, nothing else
option = $(if $(strip $(2)),$(1) $(2))
path_option = $(if $(strip $(2)),$(1) "$(2)")

# Variables have the names of the options of har. Old names work for one release; see docs/options.md.
renamed = $(if $(findstring command line,$(origin $(1))),$(warning $(1) is now $(2); the old name goes with the next release)$(eval $(2) := $($(1))))
$(call renamed,DATA,DATASET)
$(call renamed,SPLIT,PART)
$(call renamed,REPORT,OUTPUT)
$(call renamed,NAME,SCRIPT)
$(call renamed,ROW,SCRIPT)
$(if $(filter export,$(MAKECMDGOALS)),$(call renamed,BUNDLE,OUTPUT))

.DEFAULT_GOAL := help
.PHONY: help setup demo test data train evaluate compare sweep experiment smooth robustness export register verify web web-test conformance bench dashboard dashboard-picture docs doctor explain check lint security format clean

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Options: DATASET=uci-har|hapt|synthetic MODEL=cnn1d|lstm|gru|cnn_lstm|dilated_cnn|all or any other SEED=N EPOCHS=N CHANNELS=raw6|acc3|uci9"
	@echo "           ARCHIVE=PATH PART=validation|test OUTPUT=DIR BUNDLE=DIR PORT=N REFIT=1 STUDY=NAME SCRIPT=NAME"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "har: found $$($(PYTHON) --version), expected Python 3.11 or newer; name one: make PYTHON=python3.11" >&2; exit 2; }
	@echo "Setting up $(VENV) (once; some minutes) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,dev,security]'
	@touch $@

setup: $(STAMP) ## Create .venv and install the project and its tools

demo: $(STAMP) ## The whole way on synthetic data, in minutes
	@$(HAR) demo $(call option,--epochs,$(EPOCHS))

test: $(STAMP) ## The test suite, without network (with the real data where HAR_DATA_DIR names them)
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal -m "not network"

data: $(STAMP) ## Prepare a data set (DATASET, ARCHIVE)
	@$(HAR) data prepare --dataset $(DATASET) $(call path_option,--archive,$(ARCHIVE))

train: $(STAMP) ## Train models (DATASET, MODEL, SEED, EPOCHS, CHANNELS, REFIT)
	@$(HAR) train --dataset $(DATASET) --model $(MODEL) $(call option,--seed,$(SEED)) $(call option,--epochs,$(EPOCHS)) \
	  $(call option,--channels,$(CHANNELS)) $(if $(REFIT),--refit) $(call path_option,--archive,$(ARCHIVE))

evaluate: $(STAMP) ## Score the saved weights (DATASET, MODEL, SEED, PART), then compare
	@$(HAR) evaluate --dataset $(DATASET) --model $(MODEL) --part $(PART) $(call option,--seed,$(SEED)) $(call path_option,--archive,$(ARCHIVE))
	@$(HAR) compare --dataset $(DATASET)

compare: $(STAMP) ## One table over runs and seeds (DATASET, OUTPUT)
	@$(HAR) compare --dataset $(DATASET) $(call path_option,--output,$(OUTPUT))

sweep: $(STAMP) ## Run what is left of a study, configs/study/STUDY.yaml (STUDY)
	@$(HAR) sweep configs/study/$(STUDY).yaml $(call path_option,--archive,$(ARCHIVE))

experiment: $(STAMP) ## Answer one question about the models (SCRIPT=growth or another one of research/)
	@$(VENV)/bin/python -m research.$(or $(SCRIPT),growth) $(call path_option,--archive,$(ARCHIVE))

smooth: $(STAMP) ## Smooth the champion's answers over whole HAPT recordings
	@$(VENV)/bin/python -m research.smooth $(call path_option,--archive,$(ARCHIVE))

export: $(STAMP) ## Write and verify the ONNX bundle of the best run (DATASET, MODEL, SEED, OUTPUT)
	@$(HAR) export --dataset $(DATASET) --model $(MODEL) $(call option,--seed,$(SEED)) $(call path_option,--output,$(OUTPUT)) \
	  $(call path_option,--archive,$(ARCHIVE))

register: $(STAMP) ## Register a bundle in MLflow; the best by validation score is the champion (BUNDLE)
	@$(HAR) register $(call path_option,--bundle,$(BUNDLE))

robustness: $(STAMP) ## What a model loses when a phone is worn or read otherwise (DATASET, MODEL, SEED)
	@$(HAR) robustness --dataset $(DATASET) --model $(MODEL) $(call option,--seed,$(SEED)) $(call path_option,--archive,$(ARCHIVE))

verify: $(STAMP) ## Check the pretrained bundle, or another one (BUNDLE)
	@$(HAR) verify $(call path_option,--bundle,$(BUNDLE))

export/web/node_modules: export/web/package.json export/web/package-lock.json
	@command -v npm > /dev/null || { echo "har: npm is missing, expected Node.js 20 or newer; install it" >&2; exit 2; }
	@cd export/web && npm ci --silent && touch node_modules

web: export/web/node_modules ## The web page with the pretrained bundle (or BUNDLE) on 127.0.0.1 (PORT)
	@cd export/web && node build.mjs $(if $(BUNDLE),--bundle "$(abspath $(BUNDLE))") && node serve.mjs --port $(PORT)

web-test: export/web/node_modules ## Types and tests of the web page in Node, golden windows among them
	@cd export/web && npm test

conformance: $(STAMP) ## The pretrained bundles in other versions of onnxruntime and on aarch64 (needs package indexes)
	@$(VENV)/bin/python benchmarks/conformance.py $(if $(BUNDLE),--bundle "$(BUNDLE)")

# What cannot be measured here leaves its old numbers, and the others go on; the status at the end says so.
bench: $(STAMP) ## Speed and memory beside others and the machine's limit: half an hour, best with nothing else running (SCRIPT=NAMES of benchmarks/)
	@missed=; for row in $(or $(SCRIPT),$(BENCHMARKS)); do echo "== $$row"; \
	  $(VENV)/bin/python "benchmarks/$$row.py" || missed="$$missed $$row"; done; \
	$(VENV)/bin/python benchmarks/report.py; [ -z "$$missed" ] || { echo "har: not measured:$$missed" >&2; exit 2; }

dashboard: $(STAMP) ## Table and charts of all runs in MLflow's user interface on 127.0.0.1 (PORT)
	@$(HAR) dashboard --port $(PORT)

dashboard-picture: $(STAMP) export/web/node_modules ## docs/dashboard.png, from the runs of `make train` and nothing else; needs Chromium
	@cd export/web && node test/dashboard.mjs --chromium "$$(command -v chromium-headless-shell || command -v chromium)" --experiment $(DATASET) \
	  --picture "$(abspath docs/dashboard.png)" -- "$(abspath $(HAR))" dashboard --runs "$(abspath runs)" > /dev/null

docs: $(STAMP) ## The documentation site in site/, a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet && echo "wrote site/index.html"

doctor: $(STAMP) ## What is installed, found and missing
	@$(HAR) doctor

explain: $(STAMP) ## The mistakes of a run as an HTML file (DATASET, MODEL, SEED)
	@$(HAR) explain --dataset $(DATASET) --model $(MODEL) $(call option,--seed,$(SEED)) $(call path_option,--archive,$(ARCHIVE))

check: lint ## Lint, and the tests that need a package registry
	@$(VENV)/bin/python -m pytest -m network

lint: $(STAMP) ## ruff, mypy, the directions between the rooms, bandit
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo 2>/dev/null || $(VENV)/bin/lint-imports
	@$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml har benchmarks research

security: $(STAMP) ## bandit, and known holes of the pinned versions (asks PyPI)
	@$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml har benchmarks research
	@$(VENV)/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

format: $(STAMP) ## Let ruff mend the layout of the code
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

clean: ## Remove the virtual environment, caches and built files; runs and data stay
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find har tests benchmarks research -name __pycache__ -type d -prune -exec rm -rf {} +
