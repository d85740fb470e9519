#!/usr/bin/env bash
# Runs the benchmarks several times over, and makes docs/performance.md and its charts of the results.
# Takes five minutes. BENCH_ROUNDS=1 is for trying it out.
source "$(dirname "$0")/preamble.sh"

readonly rounds=${BENCH_ROUNDS:-5}
readonly benches=(direct)
readonly results=$target_dir/bench-report

[[ $rounds =~ ^[1-9][0-9]*$ ]] || fails "BENCH_ROUNDS must be a number from 1, not \`$rounds\`"

busy=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo 0)
awk -v busy="$busy" 'BEGIN { exit !(busy > 0.5) }' &&
    warns "the machine is busy (load $busy): the numbers will be worth little"

rm -rf "$results"
mkdir -p "$results"

# Builds the crate as it is by default, with all its clocks, and keeps the program: whatever happens to
# the source meanwhile, all rounds are of one and the same.
for bench in "${benches[@]}"; do
    cargo bench --locked --features coarse --no-run --bench "$bench"
    built=$(cargo bench --locked --quiet --features coarse --no-run --bench "$bench" \
        --message-format json | grep -o '"executable":"[^"]*"' | cut -d'"' -f4)
    cp "$built" "$results/$bench"
done
cargo build --locked --release --features coarse --example bench_report

folders=()
for ((round = 1; round <= rounds; round++)); do
    folders+=("$results/round-$round")
    for bench in "${benches[@]}"; do
        echo "$check_name: round $round of $rounds, $bench"
        # Of what criterion says, the lines with results.
        BENCH_ROUND=$round CRITERION_HOME=${folders[-1]} "$results/$bench" --bench --quiet 2>&1 |
            grep -v -e '^Benchmarking' -e '^$'
    done
done

mkdir -p docs
cargo run --locked --quiet --release --features coarse --example bench_report -- "${folders[@]}"
passes "docs/performance.md is made of $rounds rounds"
