#!/usr/bin/env bash
# Asks the example `gateway` with wrk as fast as it answers: without the layer, with one that does nothing, with
# one that only decides, with one more part each, and with all that the example has. In turns, so what else the machine does troubles all of them alike. Prints
# medians as a table.
# Not a check: it needs wrk, and a machine at rest. For trying it out: LOAD_ROUNDS=1.
source "$(dirname "$0")/preamble.sh"

readonly rounds=${LOAD_ROUNDS:-8} seconds=${LOAD_SECONDS:-2} connections=16
command -v wrk >/dev/null || fails "wrk is not installed, so NOTHING WAS MEASURED"
command -v taskset >/dev/null || fails "taskset is not installed, so NOTHING WAS MEASURED"
(($(nproc) > 1)) || fails "the server and wrk need a core each, so NOTHING WAS MEASURED"

busy=$(cut -d' ' -f1 /proc/loadavg)
awk -v busy="$busy" 'BEGIN { exit !(busy > 0.5) }' &&
    warns "the machine is busy (load $busy): the latencies will be worth little"

cargo build --locked --release --features metrics,serde --example gateway
make_scratch
cp "$target_dir/release/examples/gateway" "$scratch/gateway"

# So much that nothing is ever refused. All connections have one key, and meet in one bucket.
cat >"$scratch/tiers.toml" <<'TIERS'
[tiers.load]
requests = "1000000/s"
tokens = "100000000/s"

[keys.load-key]
owner = "load"
tier = "load"
TIERS
cat >"$scratch/ask.lua" <<'ASK'
wrk.method = "POST"
wrk.headers["authorization"] = "Bearer load-key"
wrk.headers["content-type"] = "application/json"
wrk.body = '{"messages":[{"role":"user","content":"What does the fox say?"}],"max_tokens":100}'
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("result %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
        latency:percentile(99), latency:percentile(99.9),
        errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
ASK

readonly kinds=(none empty decides settlement draft metrics all)
declare -A names=([none]="no layer" [empty]="a layer that does nothing" [decides]="it decides, and no more"
    [settlement]="… and settles" [draft]="… and tells, in two fields" [metrics]="… and counts" [all]="all, and eight fields")
declare -A options=([none]=--no-limits [empty]=--empty-layer [decides]="--parts ," [settlement]="--parts settlement"
    [draft]="--parts draft" [metrics]="--parts metrics" [all]="") address=() pid=()
stop() { for kind in "${!pid[@]}"; do kill "${pid[$kind]}" 2>/dev/null || true; done; }
trap 'stop; on_exit' EXIT
for kind in "${kinds[@]}"; do
    # shellcheck disable=SC2086 # no option is no word
    TOKIO_WORKER_THREADS=1 taskset -c 0 "$scratch/gateway" --listen 127.0.0.1:0 --pace 0 --tiers "$scratch/tiers.toml" \
        ${options[$kind]} >"$scratch/$kind.address" &
    pid[$kind]=$!
done
sleep 1
for kind in "${kinds[@]}"; do address[$kind]=$(cat "$scratch/$kind.address"); done

# Clock ticks that a process has had of the processor.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
per_second=$(getconf CLK_TCK)

# One round of one kind: requests/s, p50, p99, p99.9 in us, processor time per request in us.
measure() {
    local kind=$1 lasts=$2 before result
    before=$(ticks "${pid[$kind]}")
    result=$(taskset -c 1 wrk -t1 -c"$connections" -d"${lasts}s" -s "$scratch/ask.lua" \
        "${address[$kind]}v1/chat/completions" | grep '^result ') || fails "wrk said nothing"
    awk -v ticks="$(($(ticks "${pid[$kind]}") - before))" -v hz="$per_second" '{
        if ($7 > 0) { print $7 " requests failed" > "/dev/stderr"; exit 1 }
        printf "%.0f %d %d %d %.3f\n", $2 / $3 * 1e6, $4, $5, $6, ticks / hz * 1e6 / $2
    }' <<<"$result"
}

for kind in "${kinds[@]}"; do measure "$kind" 1 >/dev/null; done
for ((round = 0; round < rounds; round++)); do
    # Another one is first in each round.
    for ((turn = 0; turn < ${#kinds[@]}; turn++)); do
        kind=${kinds[$(((round + turn) % ${#kinds[@]}))]}
        measure "$kind" "$seconds" | tee -a "$scratch/$kind.rounds" | sed "s/^/$((round + 1)) $kind: /"
    done
done

# median FILE COLUMN, and its lowest and highest.
sorted() { awk -v column="$2" '{ print $column }' "$1" | sort -g; }
median() { sorted "$@" | awk '{ all[NR] = $1 } END { print int(((all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2) * 10 + 0.5) / 10 }'; }
ends() { sorted "$@" | sed -n '1p;$p' | paste -sd' ' | sed 's/ / to /'; }
# What one costs more than the other, of each round: the median, and its lowest and highest, in percent.
more() {
    paste -d' ' "$scratch/none.rounds" "$scratch/$1.rounds" |
        awk -v column="$2" '{ printf "%.1f\n", ($(column + 5) / $column - 1) * 100 }' >"$scratch/more"
    echo "$(median "$scratch/more" 1) % ($(ends "$scratch/more" 1))"
}
echo
echo "| | requests/s | p50 | p99 | p99.9 | processor time each, and least | requests/s against none, by round |"
echo "|---|--:|--:|--:|--:|--:|--:|"
for kind in "${kinds[@]}"; do
    file=$scratch/$kind.rounds
    against=""
    [[ $kind == none ]] || against=$(more "$kind" 1)
    echo "| ${names[$kind]} | $(median "$file" 1) ($(ends "$file" 1)) | $(median "$file" 2) µs | $(median "$file" 3) µs | $(median "$file" 4) µs | $(median "$file" 5) µs, $(sorted "$file" 5 | head -1) µs | $against |"
done
echo
for kind in "${kinds[@]:1}"; do echo "processor time, ${names[$kind]}: $(more "$kind" 5) more than none, by round"; done

passes "$rounds rounds of $seconds s each, $connections connections, load before: $busy"
