#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "every loom model holds, and every planted bug is caught by one"

# Any of these would cut the search short without a word.
for name in "${!LOOM_@}"; do unset "$name"; done

# Without the cfg, with a test left out or with a bug that nobody tests, cargo would be content all the
# same. So what is written in the sources is held against what ran, name by name.
models_written() {
    find loom-tests/src -name '*.rs' -exec cat {} + | sed -n 's/^pub fn \([a-z0-9_]*\)().*/\1/p' | sort
}
bugs_written() {
    sed -n '/^planted! {/,/^}/s/^ *\([a-z0-9_]*\) *= *[0-9]* *;.*/\1/p' src/planted.rs | sort
}

# tests_run LOG: the names of the tests that ran and passed.
tests_run() { sed -n 's/^test \([a-z0-9_:]*\)\( - should panic\)\{0,1\} \.\.\. ok$/\1/p' "$1" | sort; }

# run_all NAME ARGUMENT...: runs loom-tests/tests/NAME.rs into $scratch/NAME.
run_all() {
    local name=$1
    shift
    (
        # The folder matters: its .cargo/config.toml sets the cfg.
        cd loom-tests
        CARGO_TERM_COLOR=never CARGO_TARGET_DIR=$target_dir/loom \
            cargo test --locked --test "$name" -- "$@" 2>&1 | tee "$scratch/$name"
    ) || fails "loom-tests/tests/$name.rs failed"
    tests_run "$scratch/$name" >"$scratch/$name.ran"
    local passed
    passed=$(sum_of passed "$scratch/$name")
    ((passed == $(wc -l <"$scratch/$name.ran"))) ||
        fails "cargo counts $passed tests in $name.rs, but names others: $(cat "$scratch/$name.ran")"
}

# same_names WHAT WRITTEN RAN: fails if a name is in one of the files only, or if there is none.
same_names() {
    [[ -s $2 ]] || fails "found no $1 in the sources"
    local only
    only=$(comm -23 "$2" "$3")
    [[ -z $only ]] || fails "no test ran for the $1: ${only//$'\n'/, }"
    only=$(comm -13 "$2" "$3")
    [[ -z $only ]] || fails "a test ran for a $1 that is not there: ${only//$'\n'/, }"
}

make_scratch
models_written >"$scratch/models.written"
bugs_written | sed 's/^/catches_/' >"$scratch/planted.written"

run_all models
same_names model "$scratch/models.written" "$scratch/models.ran"
# The switch of the bugs is one for the whole process.
run_all planted --test-threads=1
same_names "planted bug" "$scratch/planted.written" "$scratch/planted.ran"

models=$(wc -l <"$scratch/models.ran") bugs=$(wc -l <"$scratch/planted.ran")
passes "$models of $models models hold, $bugs of $bugs planted bugs are caught"
