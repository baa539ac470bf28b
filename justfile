# One-liners for whoever works on Causeway. The README's commands need no `just`.

# Formatting, lints, licences
check:
    cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings && cargo deny check bans licenses sources

# What `./test` runs
test *ARGS:
    ./test {{ARGS}}

# The conformance suites of one kind: memory, nacos, zookeeper, zookeeper_data, …
conformance KIND:
    cargo test -p causeway-conformance --test conformance -- {{KIND}}

# Rewrites what is made from the types: docs/settings.md and its schema
docs:
    UPDATE=1 cargo test -p causeway-settings --test docs

# Benchmarks: figures as ratios against a limit measured in the same run
bench:
    cargo build --release -p causeway && cargo run --release -p causeway-bench --bin cold-copy
