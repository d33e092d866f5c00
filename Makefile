# `make` alone lists the targets. CI calls the same ones, see .ci/run.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

# The Python that the virtual environment is made with: 3.11 or newer.
PYTHON ?= python3
# Passed on: `make serve ARGS="--listen 127.0.0.1:6000"`, `make pytest ARGS="tests/cli -k check"`.
ARGS ?=
# Which example `make run` runs, and with what.
EXAMPLE ?= examples/primes.rn
EXAMPLE_ARGS ?= --arg limit=30000
# How long `make fuzz` takes for each target, in seconds or in cases (0: no limit), which target, which case of it alone.
FUZZ_SECONDS ?= 60
FUZZ_RUNS ?= 0
TARGET ?=
CASE ?=
GRPCURL_VERSION := v1.9.4

VENV := .venv
BIN := $(VENV)/bin
STAMPS := build/stamps
INSTALLED := $(STAMPS)/installed
GRPCURL := $(STAMPS)/grpcurl-$(GRPCURL_VERSION)
NODE_MODULES := clients/typescript/node_modules/.package-lock.json

# One profile for what is shipped and one for what tests it, so that Rune is compiled once for each.
CARGO_ARGS := --release --locked --manifest-path vm/Cargo.toml
CARGO_TEST_ARGS := --profile quick --locked --manifest-path vm/Cargo.toml
VM_SOURCES := $(shell find vm \( -name target -o -name codegen -o -name conformance -o -name fuzz -o -name tests \) -prune \
	-o -type f \( -name '*.rs' -o -name '*.toml' -o -name '*.lock' -o -name '*.patch' -o -name '*.py' \) -print)
CRATES := vm vm/codegen vm/conformance vm/fuzz
# The variant of the interpreter that the escape suite attacks from; never installed.
ESCAPE_VM := build/escape/crucible-vm
# What the tests of whole servers say of the store, and not of its file.
ON_POSTGRESQL := tests/api tests/configuration/test_calls.py tests/events tests/registry tests/cli/test_events.py \
	tests/cli/test_services.py tests/engine/test_cache.py tests/engine/test_idempotency.py tests/engine/test_kills.py \
	tests/engine/test_lifecycle.py tests/engine/test_retention.py tests/engine/test_streams.py
PYTHON_SOURCES := server clients/python tests benchmarks docs proto vm

# $(call need,program,what to install): stops with a word of advice when a program is missing.
need = command -v $(1) >/dev/null || { echo "error: \`$(1)\` is needed and is not on the PATH: install $(2)" >&2; exit 1; }

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- build and run: need Python and Rust only ---

.PHONY: build
build: $(INSTALLED) ## Set up .venv and build everything into it

.PHONY: run
run: build ## Start a server of its own, compile an example, run it over gRPC
	$(BIN)/crucible run $(EXAMPLE) $(EXAMPLE_ARGS)

.PHONY: serve
serve: build ## Start the server and leave it running (ARGS: flags of `crucible serve`)
	exec $(BIN)/crucible serve $(ARGS)

.PHONY: wheel
wheel: build ## Build the wheel into build/dist
	$(BIN)/pip wheel --no-deps --wheel-dir build/dist .

$(BIN)/python:
	@$(call need,$(PYTHON),Python 3.11 or newer (Debian: python3))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V): set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "error: $(PYTHON) cannot make virtual environments: install python3-venv (Debian)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Made anew only when the build itself or the interpreter changed: Python sources are used where they lie.
$(INSTALLED): pyproject.toml server/crucible_server.data/scripts/crucible $(VM_SOURCES) | $(BIN)/python
	@$(call need,cargo,Rust (https://rustup.rs))
	@$(call need,cc,a C compiler and linker (Debian: build-essential))
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@# Here and now: a server of another user, or one with PYTHONDONTWRITEBYTECODE, would do it at each start.
	$(BIN)/python -m compileall -q server clients/python
	@mkdir -p $(STAMPS) && touch $@

# --- checks: need Go and Node.js too ---

.PHONY: test
test: test-tools cargo-test conformance pytest test-postgresql ## Set everything up and run all tests

.PHONY: test-tools
test-tools: build postgresql $(GRPCURL) $(NODE_MODULES)

# Debian keeps the programs of a version off the PATH. Nothing is started but by the tests themselves.
.PHONY: postgresql
postgresql:
	@PATH="$$PATH:/usr/lib/postgresql/15/bin"; $(call need,initdb,PostgreSQL 15 (Debian: apt-get install postgresql-15))

.PHONY: cargo-test
cargo-test: build ## Run the Rust tests
	cargo test $(CARGO_TEST_ARGS)

.PHONY: conformance
conformance: build ## Run generated Rune programs whose answer is known, and see that Rune as published fails
	$(BIN)/python vm/conformance/run.py
	$(BIN)/python vm/conformance/run.py --stock

.PHONY: sanitize
sanitize: build ## Run the soundness programs under an address sanitizer
	$(BIN)/python vm/conformance/run.py --sanitize

.PHONY: fuzz
fuzz: ## Fuzz the interpreter under an address sanitizer (TARGET, FUZZ_SECONDS, FUZZ_RUNS; CASE: see one again)
	@$(call need,c++,a C++ compiler (Debian: build-essential))
	$(PYTHON) vm/fuzz/run.py --seconds $(FUZZ_SECONDS) --runs $(FUZZ_RUNS) $(if $(CASE),--case "$(CASE)") $(TARGET)

$(ESCAPE_VM): $(INSTALLED)
	cargo build $(CARGO_TEST_ARGS) --features escape
	@mkdir -p $(@D) && cp vm/target/quick/crucible-vm $@

.PHONY: test-escape
test-escape: build $(ESCAPE_VM) ## Run native hostile code in the jail, print what stopped it, write build/escape.json
	CRUCIBLE_ESCAPE_VM="$(CURDIR)/$(ESCAPE_VM)" $(BIN)/python -m pytest tests/escape $(ARGS)

.PHONY: test-escape-modes
test-escape-modes: build $(ESCAPE_VM) ## The same as root and as another user, with and without each layer that is optional
	for user in "" unprivileged-; do for mode in deep without-namespaces without-landlock without-cgroup bare; do \
		CRUCIBLE_ESCAPE_MODE="$$user$$mode" $(MAKE) --no-print-directory test-escape; done; done

.PHONY: pytest
pytest: test-tools $(ESCAPE_VM) ## Run the Python tests (ARGS: flags of pytest)
	CRUCIBLE_ESCAPE_VM="$(CURDIR)/$(ESCAPE_VM)" PATH="$(CURDIR)/$(BIN):$(CURDIR)/build/bin:$$PATH" $(BIN)/python -m pytest $(ARGS)

.PHONY: test-postgresql
test-postgresql: test-tools ## Run tests of whole servers once more, on PostgreSQL (ARGS: flags of pytest)
	PATH="$(CURDIR)/$(BIN):$(CURDIR)/build/bin:$$PATH" $(BIN)/python -m pytest --store postgresql $(ON_POSTGRESQL) $(ARGS)

.PHONY: test-long
test-long: test-tools ## Walk, kill and race for about half an hour, where `make test` does for a minute
	LONG_TESTS=1 $(BIN)/python -m pytest tests/load tests/engine/test_model.py $(ARGS)

.PHONY: lint
lint: build $(NODE_MODULES) ## Check formats, types, Rust, the contract and that generated code is fresh
	$(BIN)/ruff check $(PYTHON_SOURCES)
	$(BIN)/ruff format --check $(PYTHON_SOURCES)
	$(BIN)/mypy
	for crate in $(CRATES); do cargo fmt --check --manifest-path "$$crate/Cargo.toml"; done
	cargo clippy $(CARGO_ARGS) --all-targets --no-deps -- -D warnings
	cargo clippy $(CARGO_ARGS) --all-targets --no-deps --features escape -- -D warnings
	cargo clippy $(CARGO_ARGS) --lib --no-deps --features fuzz -- -D warnings
	cargo clippy --release --locked --manifest-path vm/fuzz/Cargo.toml --all-targets --no-deps -- -D warnings
	clients/typescript/node_modules/.bin/buf lint
	$(BIN)/python proto/generate.py --check
	$(BIN)/python docs/generate.py --check

.PHONY: format
format: build ## Format Python and Rust
	$(BIN)/ruff check --fix $(PYTHON_SOURCES)
	$(BIN)/ruff format $(PYTHON_SOURCES)
	for crate in $(CRATES); do cargo fmt --manifest-path "$$crate/Cargo.toml"; done

.PHONY: gen
gen: build $(NODE_MODULES) ## Regenerate what is made from proto/ and from the models of the configuration
	$(BIN)/python proto/generate.py
	$(BIN)/python docs/generate.py

.PHONY: bench
bench: build ## Measure, print a table, write build/bench.json
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-scale
bench-scale: build ## Measure a server with a long history against one with a short one
	$(BIN)/python -m benchmarks.scale $(ARGS)

.PHONY: bench-limits
bench-limits: build ## Measure how exactly each limit is kept, write build/bench-limits.json
	$(BIN)/python -m benchmarks.limits $(ARGS)

.PHONY: bench-isolation
bench-isolation: build ## Measure what the optional layers of isolation cost
	$(BIN)/python -m benchmarks.isolation $(ARGS)

$(GRPCURL):
	@$(call need,go,Go 1.26 or newer (https://go.dev/dl))
	GOBIN="$(CURDIR)/build/bin" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)
	@mkdir -p $(STAMPS) && touch $@

$(NODE_MODULES): clients/typescript/package-lock.json
	@$(call need,npm,Node.js 20 or newer (https://nodejs.org))
	npm ci --prefix clients/typescript --no-audit --no-fund
	@touch $@

# --- tidy ---

.PHONY: clean
clean: ## Remove the environment and all results, keep compiled Rust
	rm -rf $(VENV) build clients/typescript/node_modules clients/typescript/dist
	find . -name target -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: distclean
distclean: clean ## Remove compiled Rust as well
	rm -rf $(addsuffix /target,$(CRATES))
