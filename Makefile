# Everything a developer or a DBA types. `make help` lists it.

PG_CONFIG ?= pg_config
# Asked for when a recipe runs, and not before: `setup` may have just installed it.
PG_CONFIG_PATH = $(or $(shell command -v $(PG_CONFIG) 2>/dev/null),$(PG_CONFIG))
PG_MAJOR = $(shell $(PG_CONFIG) --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
SUDO = $(if $(filter 0,$(shell id -u)),,sudo)
PACKAGE = target/release/pg_reconcile-pg$(PG_MAJOR)

export PG_CONFIG
export PGRX_PG_CONFIG_PATH = $(PG_CONFIG_PATH)

.DEFAULT_GOAL := help
.PHONY: help setup build install demo test lint hostile bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: PostgreSQL, its headers, pg_cron, checkers (Debian)
	@sh tests/setup

build: setup ## build the extension and the sidecar
	cargo build --release --package pg_reconcile --no-default-features --features pg$(PG_MAJOR)
	sh extension/package "$(PACKAGE)"
	cargo build --release --package reconcile-sidecar --package reconcile-tests

install: build ## install into the PostgreSQL that pg_config names, and the sidecar into /usr/local/bin
	@# A library that a running server has open is replaced, never overwritten: that would crash its sessions.
	$(SUDO) cp -R --remove-destination "$(PACKAGE)/." /
	$(SUDO) install -m 755 target/release/reconcile-sidecar /usr/local/bin/reconcile-sidecar

demo: install ## watch stale orders being settled (KEEP=1 keeps it up until Ctrl-C)
	target/release/demo $(if $(KEEP),--keep)

test: install lint ## everything: lints, unit tests, and the suites with a real server
	cargo build --package reconcile-sidecar --package reconcile-tests
	cargo test --workspace --no-default-features --features pg_reconcile/pg$(PG_MAJOR)

lint: setup ## formatting and lints, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --no-default-features --features pg_reconcile/pg$(PG_MAJOR) -- -D warnings
	sh tests/seam
	sh tests/static/check

hostile: install ## random SQL as every role against a private server, about 3 minutes (SCALE=n for n times as much)
	cargo build --package reconcile-sidecar --package reconcile-tests
	SCALE=$(or $(SCALE),1) cargo test --package reconcile-tests --test hostile -- --ignored --nocapture

bench: install ## one table: throughput, claims, WAL, memory, latency
	target/release/bench

clean: ## remove what was built
	cargo clean
