# shellcheck shell=bash
# What every check begins with. Not a check: `source "$(dirname "$0")/preamble.sh"`.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Each of these replaces flags that the checks set, without a word.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS RUSTDOCFLAGS CARGO_ENCODED_RUSTDOCFLAGS
# rustfmt colours what it writes into a file, too.
[[ -t 1 ]] || export TERM=dumb CARGO_TERM_COLOR=never

check_name=$(basename "$0" .sh)
readonly check_name
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
[[ $target_dir == /* ]] || target_dir=$PWD/$target_dir
readonly target_dir

on_exit() {
    local status=$?
    [[ -z ${scratch:-} ]] || rm -rf "$scratch"
    ((status == 0)) || echo "$check_name: FAILED" >&2
}
trap on_exit EXIT

# checks SENTENCE: says what is checked.
checks() { echo "$check_name: checks that $1"; }

# passes SENTENCE: says what was found. The last line of every check that passes.
passes() { echo "$check_name: ok, $1"; }

# fails SENTENCE: ends the check.
fails() {
    echo "$check_name: $1" >&2
    exit 1
}

# warns SENTENCE: says what should be looked at, and goes on.
warns() { echo "$check_name: WARNING: $1" >&2; }

# Makes the folder $scratch, which goes away when the check ends.
make_scratch() { scratch=$(mktemp -d); }

# sum_of passed|failed|ignored FILE...: adds up what cargo test wrote into the files.
sum_of() {
    local word=$1
    shift
    cat -- "$@" | sed -n "s/^test result: .* \([0-9][0-9]*\) $word;.*/\1/p" |
        awk '{ sum += $1 } END { print sum + 0 }'
}

# cargo_test ARGUMENT...: runs `cargo test`, and fails also if that ran no test at all.
# Leaves the number of tests in $tests_run.
tests_run=0
cargo_test() {
    local log
    log=$(mktemp)
    # Only without colour can the result be read.
    if ! CARGO_TERM_COLOR=never cargo test --locked "$@" 2>&1 | tee "$log"; then
        rm -f "$log"
        fails "cargo test $* failed"
    fi
    tests_run=$(sum_of passed "$log")
    rm -f "$log"
    ((tests_run > 0)) || fails "cargo test $* ran no test"
}
