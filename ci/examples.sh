#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "every program in examples/ runs to its end and prints something"

ran=""
for entry in examples/*; do
    name=$(basename "$entry" .rs)
    cargo build --locked --release --all-features --example "$name"
    started=$SECONDS
    # No terminal and no input: the way it runs in a pipe.
    output=$(cargo run --locked --quiet --release --all-features --example "$name" </dev/null) ||
        fails "$name ended with status $?"
    [[ -n $output ]] || fails "$name printed nothing"
    echo "$output"
    ran+="${ran:+, }$name in $((SECONDS - started)) s"
done
[[ -n $ran ]] || fails "there is no example"

passes "ran $ran"
