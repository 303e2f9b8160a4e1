# Everything a developer or a CI does here is one of these targets; each is safe to run again.
.DEFAULT_GOAL := help
.PHONY: help build demo test check bench fuzz setup-build setup-test setup-check clean

# The prefix lets `make help` be written beside each target and nowhere else.
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: setup-build ## the `adit` command, tuned, at target/release/adit (minutes: fat LTO)
	cargo build --release

demo: setup-build ## a demo service with a public-style URL, fetched through https and the tunnel
	@sh scripts/demo.sh

test: setup-build setup-test ## every test: unit, documentation and end to end over real sockets
	cargo test --workspace --no-fail-fast

check: setup-build setup-check ## formatting, lints, documentation, dependencies, house rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	sh scripts/check-dependencies.sh
	sh scripts/house-rules.sh
	sh scripts/fuzz.sh build

bench: setup-build ## what a policy costs, and Adit beside its peers (BENCH=--quick: one short round)
	cargo bench -p adit-policy --bench pipeline
	cargo bench -p adit-gateway --bench pools --bench routes
	cargo build --release --workspace --bins --examples
	python3 benches/compare/main.py $(BENCH)

fuzz: setup-check ## every fuzz target for a minute (FUZZ=5: for five seconds)
	sh scripts/fuzz.sh run $(or $(FUZZ),60)

setup-build: ## install what the build needs and is missing (cmake, a C compiler)
	@sh scripts/setup-build.sh

setup-test: ## install what the tests need and is missing
	@sh scripts/setup-test.sh

setup-check: ## install what `make check` needs and is missing
	@sh scripts/setup-check.sh

clean: ## remove everything that was built
	cargo clean
