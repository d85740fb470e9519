#!/usr/bin/env bash
# Runs the benchmarks several times over, and makes docs/performance.md and its charts of the results.
# BENCHES="direct" runs that one anew, and takes what is left of the last runs of the others: "striped", "algorithms",
# "keyed", "waiting", "http", "redis". Takes 45 minutes, five of them for `direct`, three for `striped`, five for `algorithms`, five for
# `waiting`, two for `http` and five for `redis`, which needs a redis-server and is left out where there is none. For trying it out:
# BENCH_ROUNDS=1 BENCH_MOST_KEYS=100000.
source "$(dirname "$0")/preamble.sh"

readonly rounds=${BENCH_ROUNDS:-5}
readonly all_benches=(direct striped algorithms keyed waiting http redis)
read -ra benches <<<"${BENCHES:-${all_benches[*]}}"
readonly results=$target_dir/bench-report

[[ $rounds =~ ^[1-9][0-9]*$ ]] || fails "BENCH_ROUNDS must be a number from 1, not \`$rounds\`"
for bench in "${benches[@]}"; do
    [[ " ${all_benches[*]} " == *" $bench "* ]] || fails "BENCHES are of ${all_benches[*]}, not \`$bench\`"
done

if [[ " ${benches[*]} " == *" redis "* ]] && ! command -v redis-server >/dev/null; then
    warns "there is no redis-server: \`redis\` is left out, and its part of the page is of the last run, if any"
    others=()
    for bench in "${benches[@]}"; do [[ $bench == redis ]] || others+=("$bench"); done
    benches=("${others[@]}")
fi

busy=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo 0)
awk -v busy="$busy" 'BEGIN { exit !(busy > 0.5) }' &&
    warns "the machine is busy (load $busy): the numbers will be worth little"

# The crate as it is by default, with what a benchmark needs beyond that: all clocks, the other store, or a timer.
declare -A features=([direct]=coarse [striped]=tsc [algorithms]=tsc [keyed]=papaya [waiting]=tokio [http]=metrics
    [redis]=redis)

# Builds a benchmark, and keeps the program: whatever happens to the source meanwhile, all rounds are of one and
# the same.
build() {
    local bench=$1 built
    cargo bench --locked --features "${features[$bench]}" --no-run --bench "$bench"
    built=$(cargo bench --locked --quiet --features "${features[$bench]}" --no-run --bench "$bench" \
        --message-format json | grep -o '"executable":"[^"]*"' | cut -d'"' -f4)
    cp "$built" "$results/$bench/program"
    if [[ $bench == keyed || $bench == waiting ]]; then
        cargo build --locked --release --features "${features[$bench]}" --example "${bench}_report"
        cp "$target_dir/release/examples/${bench}_report" "$results/$bench/report-program"
    fi
}

# Measures one round, and keeps its results in a folder of its own.
measure() {
    local bench=$1 round=$2 folder=$results/$1/round-$2 size=--full
    # Of what criterion says, the lines with results.
    BENCH_ROUND=$round CRITERION_HOME=$folder REDIS_REPORT_DIR=$folder "$results/$bench/program" --bench --quiet 2>&1 |
        grep -v -e '^Benchmarking' -e '^$'
    if [[ $bench == keyed ]]; then
        [[ -z ${BENCH_MOST_KEYS:-} ]] || size=--quick
        KEYED_REPORT_DIR=$folder "$results/$bench/report-program" "$size"
    fi
    if [[ $bench == waiting ]]; then
        BENCH_ROUND=$round WAITING_REPORT_DIR=$folder "$results/$bench/report-program"
    fi
}

for bench in "${benches[@]}"; do
    rm -rf "${results:?}/$bench"
    mkdir -p "$results/$bench"
    build "$bench"
    date +%F >"$results/$bench/day"
done
cargo build --locked --release --features coarse --example bench_report

for ((round = 1; round <= rounds; round++)); do
    for bench in "${benches[@]}"; do
        echo "$check_name: round $round of $rounds, $bench"
        measure "$bench" "$round"
    done
done

folders=()
for bench in "${all_benches[@]}"; do
    [[ ! -d $results/$bench/round-1 ]] || folders+=("$results/$bench")
done
mkdir -p docs
cargo run --locked --quiet --release --features coarse --example bench_report -- "${folders[@]}"
passes "docs/performance.md is made of $rounds rounds of ${benches[*]}"
