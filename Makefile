# Each target sets up what it needs; `make help` lists them.
SHELL = /bin/sh
BIN = .venv/bin
CODE = src tests bench examples
# Folders with an agent to serve: make up AGENTS="one two"
AGENTS = $(patsubst %/a2a.toml,%,$(wildcard examples/*/a2a.toml))
# More for pytest: make test ARGS="-k drain -x"
ARGS =

.PHONY: help setup setup-dev up test conformance bench lint format lock lock-conformance clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{ printf "make %-16s %s\n", $$1, $$2 }'

setup: ## make .venv with what `make up` needs
	@scripts/setup platform

setup-dev: ## make .venv with the tools of test and lint too
	@scripts/setup dev

up: setup ## start the platform with the examples, in the foreground (A2A_HOST, A2A_PORT, A2A_DATA)
	@scripts/setup-system platform
	@exec $(BIN)/a2a up $(AGENTS)

test: setup-dev ## run the tests (ARGS="-k name")
	@scripts/setup-system
	@scripts/setup-conformance
	@$(BIN)/python -m pytest -n auto $(ARGS)

conformance: setup-dev ## run the conformance suites and write docs/conformance.md
	@scripts/setup-system
	@scripts/setup-conformance
	@$(BIN)/python scripts/conformance-report

bench: setup-dev ## measure against the official SDK's server
	@$(BIN)/python -m bench.idle; one=$$?; $(BIN)/python -m bench.streams; two=$$?; \
	$(BIN)/python -m bench.caged; three=$$?; \
	$(BIN)/python -m bench.run $(ARGS); four=$$?; exit $$((one | two | three | four))

lint: setup-dev ## ruff, pyright, import-linter
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo --no-cache

format: setup-dev ## let ruff arrange imports and lines
	@$(BIN)/ruff check --fix --select I,RUF100 --quiet $(CODE)
	@$(BIN)/ruff format $(CODE)

COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet $(UPGRADE)

lock: setup-dev ## resolve pyproject.toml into requirements/*.lock anew (UPGRADE=--upgrade)
	@$(COMPILE) pyproject.toml --extra platform --group build -o requirements/platform.lock
	@$(COMPILE) pyproject.toml --extra platform --group build --group dev \
		-c requirements/platform.lock -o requirements/dev.lock
	@echo uv | $(COMPILE) - -c requirements/dev.lock -o requirements/bootstrap.lock

lock-conformance: setup-dev ## resolve requirements/conformance anew (UPGRADE=--upgrade)
	@for name in a2a-0.3 mcp go scitt; do \
		$(COMPILE) requirements/conformance/$$name.in -o requirements/conformance/$$name.lock || exit 1; done
	@scripts/setup-conformance lock

clean: ## remove .venv and caches; data in .a2a stays
	@rm -rf .venv .conformance .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	@find src tests bench examples -name __pycache__ -type d -exec rm -rf {} +
