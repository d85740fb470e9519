#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "every example in the documentation runs: all features, and the default ones"

total=0
cargo_test --doc --all-features
((total += tests_run)) || true
cargo_test --doc
((total += tests_run)) || true

passes "$total examples ran in two builds"
