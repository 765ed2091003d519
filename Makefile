# What CI runs is what people run.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
# What runs in any image.
static := x86_64-unknown-linux-gnu
.PHONY: check test test-real e2e e2e-agents bench crash fuzz fuzz-guided fuzz-api schema demo lint deny

# The embedded cluster runs a quickstart to its outputs.
demo:
	@scripts/need cargo git
	cargo build --workspace --bins
	cargo run --quiet --bin axon -- dev --once examples/quickstart

# The suite on the embedded cluster, and on a real kube-apiserver where Go is installed.
test:
	@scripts/need cargo git
	@if scripts/need --quiet go; then \
	  $(MAKE) --no-print-directory test-real; \
	else \
	  cargo test --workspace; \
	  echo "left out: the suite on a real kube-apiserver, because Go 1.26 is not installed"; \
	fi

# Both servers; fails where the real one is missing.
test-real:
	@scripts/need cargo git go sshd
	cluster=$$(tests/cluster/build); \
	cargo test --workspace --no-run; \
	AXON_REQUIRE_REAL=1 "$$cluster" with cargo test --workspace

# Real Pods on a real node: kubelet and containerd in namespaces of their own. Needs root.
e2e:
	@scripts/need cargo git go
	@scripts/node-packages
	cluster=$$(tests/cluster/build); target=$${CARGO_TARGET_DIR:-target}; \
	cargo test --test e2e --no-run; \
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --package axon-helper --target $(static); \
	tests/cluster/images $$target/debug/axon $$target/$(static)/debug/axon-helper $$target/images; \
	AXON_TEST_TLS=$$(realpath $$target/images/tls) AXON_REQUIRE_NODE=1 "$$cluster" with-node --image $$target/images/pause.tar \
	  --image $$target/images/axon.tar --image $$target/images/agent.tar --image $$target/images/echo.tar \
	  cargo test --offline --test e2e

# The agents' real programs, of the versions that their images have, against a model that plays a script: in local
# mode, and in Pods. All of it has no network but its own. Needs root.
e2e-agents:
	@scripts/need cargo git go node npm
	@scripts/node-packages
	cluster=$$(tests/cluster/build); target=$${CARGO_TARGET_DIR:-target}; \
	agents=$$(tests/agents/install); \
	cargo test --test agents --no-run; \
	cargo build --package axon-helper; \
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --package axon-helper --target $(static); \
	tests/cluster/images $$target/debug/axon $$target/$(static)/debug/axon-helper $$target/images; \
	images=$$(tests/agents/images "$$agents" $$target/images); \
	AXON_REQUIRE_NODE=1 AXON_REQUIRE_AGENTS=1 AXON_TEST_AGENTS=$$agents "$$cluster" with-node \
	  $$(printf ' --image %s' $$target/images/pause.tar $$target/images/axon.tar $$images) \
	  cargo test --offline --test agents -- --test-threads 4

# Times beside kubectl's, on a real server; what an idle controller costs, and how soon a push is applied; the embedded
# cluster beside a real one.
bench:
	@scripts/need cargo git go
	cluster=$$(tests/cluster/build); \
	cargo build --profile ci --bin axon; \
	"$$cluster" with benches/run target/ci/axon; \
	"$$cluster" with benches/sync target/ci/axon; \
	"$$cluster" with benches/tasks target/ci/axon; \
	"$$cluster" with cargo bench --profile ci --bench servers; \
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --package axon-helper --target $(static); \
	benches/helper target/$(static)/release/axon-helper

# Many more mutated configurations than `make test` tries.
fuzz:
	PROPTEST_CASES=$${CASES:-100000} cargo test --test it hostile::mutated

# The same, led by what the code does with each input: TARGET=load or template, TIME=600 (seconds). Needs a nightly compiler.
fuzz-guided:
	scripts/fuzz $${TARGET:-load} $${TIME:-600}

# Many more request sequences to both servers than `make test-real` tries: CASES=5000 SEED=7.
fuzz-api:
	@scripts/need cargo git go
	cluster=$$(tests/cluster/build); \
	AXON_FUZZ_CASES=$${CASES:-2000} AXON_FUZZ_SEED=$${SEED:-6} AXON_REQUIRE_REAL=1 \
	  "$$cluster" with cargo test --test it -- differential

# The kills of `make test-real` at every write, before the server has it and after.
crash:
	@scripts/need cargo git go sshd
	cluster=$$(tests/cluster/build); \
	AXON_TEST_EVERY_FAULT=1 AXON_REQUIRE_REAL=1 "$$cluster" with cargo test --test it -- crash::

# Generated files.
schema:
	UPDATE_GENERATED=1 cargo test --quiet --test it generated

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny:
	scripts/deny

check: lint deny test
