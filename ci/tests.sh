#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "unit and integration tests pass: debug with all features, release with the default ones"

# Debug has the overflow checks; release has the speed at which threads really meet.
total=0
cargo_test --lib --tests --all-features
((total += tests_run)) || true
cargo_test --lib --tests --release
((total += tests_run)) || true

passes "$total tests passed in two builds"
