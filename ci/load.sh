#!/usr/bin/env bash
# Asks the example `gateway` as fast as it answers, over HTTP/1 with wrk and over HTTP/2 with h2load: without the layer, with
# an empty one of its own, with one that only decides, with one more part each, and with all that the example has. In turns,
# so what else the machine does troubles all of them alike. Prints medians as tables.
# Not a check: it needs wrk and h2load, and a machine at rest. For trying it out: LOAD_ROUNDS=1.
source "$(dirname "$0")/preamble.sh"

# As many requests are on their way at once over either protocol.
readonly rounds=${LOAD_ROUNDS:-8} seconds=${LOAD_SECONDS:-2} connections=16 h2_connections=4 h2_streams=4

# needs TOOL PACKAGE: ends the run without it.
needs() {
    command -v "$1" >/dev/null ||
        fails "$1 is not installed, so NOTHING WAS MEASURED (on Debian and Ubuntu: apt-get install $2)"
}
needs wrk wrk
needs h2load nghttp2-client
needs taskset util-linux
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

printf '%s' '{"messages":[{"role":"user","content":"What does the fox say?"}],"max_tokens":100}' >"$scratch/ask.json"

readonly kinds=(none empty decides settlement draft metrics all)
readonly h2_kinds=(none decides all)
declare -A names=([none]="no layer" [empty]="an empty layer of its own" [decides]="it decides, and no more"
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
measure_h1() {
    local kind=$1 lasts=$2 before result
    before=$(ticks "${pid[$kind]}")
    result=$(taskset -c 1 wrk -t1 -c"$connections" -d"${lasts}s" -s "$scratch/ask.lua" \
        "${address[$kind]}v1/chat/completions" | grep '^result ') || fails "wrk said nothing"
    awk -v ticks="$(($(ticks "${pid[$kind]}") - before))" -v hz="$per_second" '{
        if ($7 > 0) { print $7 " requests failed" > "/dev/stderr"; exit 1 }
        printf "%.0f %d %d %d %.3f\n", $2 / $3 * 1e6, $4, $5, $6, ticks / hz * 1e6 / $2
    }' <<<"$result"
}

# The same over HTTP/2, without encryption, from what h2load writes about each request: start, status, us.
measure_h2() {
    local kind=$1 lasts=$2 before spent
    before=$(ticks "${pid[$kind]}")
    rm -f "$scratch/requests"
    taskset -c 1 h2load -t1 -c"$h2_connections" -m"$h2_streams" -D"$lasts" --log-file="$scratch/requests" \
        -d "$scratch/ask.json" -H "authorization: Bearer load-key" -H "content-type: application/json" \
        "${address[$kind]}v1/chat/completions" >"$scratch/h2load" || fails "h2load failed: $(tail -1 "$scratch/h2load")"
    spent=$(($(ticks "${pid[$kind]}") - before))
    grep -q "^Application protocol: h2c" "$scratch/h2load" || fails "h2load did not speak HTTP/2"
    sort -n -k3,3 "$scratch/requests" | awk -v ticks="$spent" -v hz="$per_second" -v lasts="$lasts" '
        $2 != 200 { failed++ }
        { us[NR] = $3 }
        function at(part) { return us[int((NR - 1) * part) + 1] }
        END {
            if (NR == 0 || failed > 0) { print failed + 0 " of " NR " requests failed" > "/dev/stderr"; exit 1 }
            printf "%.0f %d %d %d %.3f\n", NR / lasts, at(0.5), at(0.99), at(0.999), ticks / hz * 1e6 / NR
        }'
}

# in_turns PROTOCOL KIND...: all rounds, in which another kind is first each time.
in_turns() {
    local protocol=$1 all=("${@:2}") kind round turn
    for kind in "${all[@]}"; do "measure_$protocol" "$kind" 1 >/dev/null; done
    for ((round = 0; round < rounds; round++)); do
        for ((turn = 0; turn < ${#all[@]}; turn++)); do
            kind=${all[$(((round + turn) % ${#all[@]}))]}
            "measure_$protocol" "$kind" "$seconds" | tee -a "$scratch/$kind.$protocol" |
                sed "s/^/$((round + 1)) $protocol $kind: /"
        done
    done
}
in_turns h1 "${kinds[@]}"
in_turns h2 "${h2_kinds[@]}"

# median FILE COLUMN, and its lowest and highest.
sorted() { awk -v column="$2" '{ print $column }' "$1" | sort -g; }
median() { sorted "$@" | awk '{ all[NR] = $1 } END { print int(((all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2) * 10 + 0.5) / 10 }'; }
ends() { sorted "$@" | sed -n '1p;$p' | paste -sd' ' | sed 's/ / to /'; }
# more KIND COLUMN PROTOCOL: what one costs more than none, of each round: the median, its lowest and highest, in percent.
more() {
    paste -d' ' "$scratch/none.$3" "$scratch/$1.$3" |
        awk -v column="$2" '{ printf "%.1f\n", ($(column + 5) / $column - 1) * 100 }' >"$scratch/more"
    echo "$(median "$scratch/more" 1) % ($(ends "$scratch/more" 1))"
}
# table PROTOCOL KIND...
table() {
    local protocol=$1 kind file against
    echo
    echo "| $protocol | requests/s | p50 | p99 | p99.9 | processor time each, and least | requests/s against none, by round |"
    echo "|---|--:|--:|--:|--:|--:|--:|"
    for kind in "${@:2}"; do
        file=$scratch/$kind.$protocol
        against=""
        [[ $kind == none ]] || against=$(more "$kind" 1 "$protocol")
        echo "| ${names[$kind]} | $(median "$file" 1) ($(ends "$file" 1)) | $(median "$file" 2) µs | $(median "$file" 3) µs | $(median "$file" 4) µs | $(median "$file" 5) µs, $(sorted "$file" 5 | head -1) µs | $against |"
    done
    echo
    for kind in "${@:3}"; do
        echo "processor time, $protocol, ${names[$kind]}: $(more "$kind" 5 "$protocol") more than none, by round"
    done
}
table h1 "${kinds[@]}"
table h2 "${h2_kinds[@]}"

passes "$rounds rounds of $seconds s each, $connections requests at once, load before: $busy"
