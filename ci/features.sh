#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "the library builds without a warning with every combination of features"

# Past this many features, combinations of more than two are left out, but for all of them together.
readonly most_for_all_combinations=6
# Each is one module that nothing else looks at: alone, with each other, and with all.
readonly leaves=" metrics redis tracing "

mapfile -t features < <(
    cargo metadata --locked --no-deps --format-version 1 |
        grep -o '"features":{[^}]*}' | grep -o '"[^"]*":\[' | tr -d '":[' | grep -vx default | sort -u
)
count=${#features[@]}
((count > 0)) || fails "cargo metadata names no feature"

combinations=()
for ((bits = 0; bits < 1 << count; bits++)); do
    chosen=()
    for ((at = 0; at < count; at++)); do
        ((bits >> at & 1)) && chosen+=("${features[at]}")
    done
    if ((count > most_for_all_combinations && ${#chosen[@]} > 2 && ${#chosen[@]} < count)); then
        continue
    fi
    if ((${#chosen[@]} == 2)); then
        leaf=0
        for feature in "${chosen[@]}"; do [[ $leaves == *" $feature "* ]] && leaf=$((leaf + 1)); done
        ((leaf != 1)) || continue
    fi
    combinations+=("$(IFS=,; echo "${chosen[*]-}")")
done

# build_every TURN: each second combination, in a target folder of its own, since cargo locks it.
build_every() {
    local turn=$1 list
    export CARGO_TARGET_DIR=$target_dir/features-$turn
    for ((at = turn; at < ${#combinations[@]}; at += 2)); do
        list=${combinations[at]}
        # clippy and not check: its `-D warnings` is for this package alone, and rebuilds no dependency.
        cargo clippy --locked --quiet --lib --no-default-features --features "$list" -- -D warnings || {
            echo "features \"$list\" do not build" >&2
            return 1
        }
    done
}
# One crate keeps one core busy.
build_every 0 &
other=$!
status=0
build_every 1 || status=$?
wait "$other" || status=$?
((status == 0)) || fails "a combination does not build: see above"

passes "${#combinations[@]} combinations of ${features[*]}"
