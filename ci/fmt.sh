#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "all Rust code is formatted as rustfmt.toml says"

cargo fmt --all --check || fails "run \`cargo fmt --all\`"
# Of no package in the workspace.
rustfmt --edition 2024 --check ci/no-std/main.rs || fails "run \`rustfmt --edition 2024 ci/no-std/main.rs\`"

passes "all of it is"
