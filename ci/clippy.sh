#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "clippy and the compiler have no warning: all targets, without std, and under loom"

cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
cargo clippy --locked --lib --no-default-features -- -D warnings
# loom-tests/.cargo/config.toml sets the cfg; it counts only in that folder.
(
    cd loom-tests
    export CARGO_TARGET_DIR=$target_dir/loom
    cargo clippy --locked --package flowgate --lib --all-features -- -D warnings
    cargo clippy --locked --all-targets -- -D warnings
)

passes "no warning in four builds"
