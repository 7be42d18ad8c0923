# make run    serve the example shop on 127.0.0.1:8080, print a key and a request
# make test   all tests, with real servers (Redis, Tryton)
# make docs   docs/connectors.md, from the plugins themselves
# make test-systems  the connectors against real systems: Request Tracker, Vendure, Shopify's own schema
# make bench  a turn beside a bare handler that does the same I/O; what the journal, age and more hosts cost
# make hostile  every hostile guest attacks, and what another tenant's visitors feel of it
# make scale  a thousand plugins and ten thousand bots beside one of each
# make chaos  hosts are killed under load: no turn, write or webhook is lost or doubled (CHAOS='--store redis --conversations 200')
# make lint   format, clippy
# Each installs what it needs (Debian's apt, rustup, pip); nothing needs to be set up before but Rust itself.

SHELL := /bin/bash
export CARGO_TERM_COLOR ?= never
TARGET ?= $(or $(CARGO_TARGET_DIR),target)
CONFAB := $(TARGET)/release/confab
PLUGINS := $(patsubst %/plugin.toml,%,$(wildcard plugins/*/plugin.toml)) examples/connector
GUESTS = $(patsubst %/plugin.toml,%,$(wildcard tests/guests/*/plugin.toml tests/guests-wat/*/plugin.toml))

.PHONY: run test test-systems docs bench hostile scale chaos lint build plugins all deps-build deps-test deps-systems clean

run: plugins
	@scripts/run $(CONFAB)

build: deps-build
	cargo build --release --locked -p confab-server

plugins: build
	$(CONFAB) plugin build $(PLUGINS) --out $(TARGET)/plugins

# Everything in one go, so that no dependency is built twice with other features.
all: deps-build deps-test
	cargo build --release --locked --workspace --exclude 'confab-guest-*' --all-targets
	$(CONFAB) plugin build $(PLUGINS) $(GUESTS) --out $(TARGET)/plugins

test: all
	scripts/test

# Installs the real systems into ~/.cache/confab-tests the first time (minutes), and then takes seconds to start them.
test-systems: deps-systems all
	scripts/test systems

docs: plugins
	$(CONFAB) plugin docs $(patsubst plugins/%/plugin.toml,$(TARGET)/plugins/%.wasm,$(wildcard plugins/*/plugin.toml)) > docs/connectors.md

bench: all
	$(TARGET)/release/confab-bench --confab $(CONFAB) --plugins $(TARGET)/plugins
	$(TARGET)/release/confab-bench --confab $(CONFAB) --plugins $(TARGET)/plugins durable

hostile: all
	$(TARGET)/release/confab-bench hostile

scale: all
	$(TARGET)/release/confab-bench --confab $(CONFAB) --plugins $(TARGET)/plugins scale

chaos: all
	$(TARGET)/release/confab-bench chaos $(CHAOS)

lint:
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

deps-build:
	@scripts/deps build

deps-test:
	@scripts/deps test

deps-systems:
	@scripts/deps systems

clean:
	cargo clean
	rm -rf .data
