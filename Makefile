# Every target installs what it needs and is missing. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check breaking bench fixtures interop

BUF := .tools/node/node_modules/.bin/buf

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Install what is missing: FFmpeg's libraries, clang for bindings, buf, an S3 server for tests (sudo if not root)
	@tests/tools/setup.sh build

demo: setup ## Build, make a sample library, cut clips from it, and say where they are
	@tests/tools/demo.sh

run: setup ## Serve ./library, keeping jobs and files in ./data (built with optimisation)
	cargo run --locked --release --package excerpt -- serve

test: setup ## Run every test
	cargo build --locked --workspace
	cargo test --locked --workspace

check: setup breaking ## Check format, lints, protos and dependencies
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	$(BUF) lint
	tests/tools/policy.py

# What clients rely on may be added to, not changed. A clone without the main branch has nothing to compare with.
breaking: setup
	@for ref in origin/main main; do \
		if git rev-parse --quiet --verify $$ref:proto >/dev/null; then \
			echo $(BUF) breaking --against $$ref; \
			exec $(BUF) breaking --against ".git#ref=$$ref"; \
		fi; \
	done; echo "no main branch to compare the protos with"

bench: setup ## Measure against plain ffmpeg, cp and smartcut: makes ten minutes of 1080p first
	@tests/tools/setup.sh bench
	cargo run --locked --release --package e2e --bin bench

fixtures: setup ## Make the media that the tests read, and say where it is
	@tests/fixtures/make.py fixtures

interop: setup ## Call a running server with the gRPC clients of other languages
	@tests/tools/interop.sh
