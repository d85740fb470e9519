#!/usr/bin/env bash
# Installs what is lacking and runs every check, the loom models included. Stops at the first that
# fails. What a check prints goes to target/ci/NAME.log; all of it is shown if the check fails.
#
# Each check runs alone as well: ci/NAME.sh.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The quickest to fail come first.
readonly checks=(fmt atomics clippy features no-std tests doctests loom docs examples faults deny)
readonly logs=${CARGO_TARGET_DIR:-target}/ci

fails() {
    echo "ci/test.sh: $1" >&2
    exit 1
}

# --- what is lacking ------------------------------------------------------------------------------

install_debian() {
    command -v apt-get >/dev/null ||
        fails "$* must be installed, and there is no apt-get to do it: install it by hand"
    local as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fails "$* must be installed: run \`apt-get install $*\` as root"
        as_root=(sudo)
    fi
    echo "installing $* with apt-get"
    "${as_root[@]}" apt-get update -qq </dev/null >/dev/null || fails "apt-get cannot update its lists"
    # In runlevel 1 no package starts its daemon.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null ||
        fails "apt-get cannot install $*"
}

install_component() {
    command -v rustup >/dev/null || fails "cargo $1 is not here, and there is no rustup to add it"
    echo "adding the component $1 with rustup"
    rustup --quiet component add "$1" </dev/null || fails "rustup cannot add $1"
}

set_up() {
    # As rustup leaves it, for a shell that was opened before.
    command -v cargo >/dev/null || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    command -v cargo >/dev/null || fails "there is no cargo: install Rust first, see https://rustup.rs"

    # rustc links with cc; cargo needs certificates to fetch what Cargo.lock names.
    local packages=()
    command -v cc >/dev/null && [[ -e /usr/include/stdlib.h ]] || packages+=(gcc libc6-dev)
    [[ -e ${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt} || ! -e /etc/debian_version ]] ||
        packages+=(ca-certificates)
    # Limits that servers share are tested on real ones; without, those tests would be skipped.
    command -v redis-server >/dev/null && command -v redis-cli >/dev/null || packages+=(redis-server redis-tools)
    # Sets the clock of a server in ci/faults.sh.
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || packages+=(libfaketime)
    export FLOWGATE_NO_SKIPS=1
    ((${#packages[@]} == 0)) || install_debian "${packages[@]}"

    cargo fmt --version >/dev/null 2>&1 || install_component rustfmt
    cargo clippy --version >/dev/null 2>&1 || install_component clippy
}

# --- running --------------------------------------------------------------------------------------

# Says now and then what a check is doing: each second on a terminal, else every half minute.
tick_while() {
    local name=$1 log=$2 started=$SECONDS pause=30 line
    [[ -t 1 ]] && pause=1
    # Its own output: a sleep that is left over must not keep a pipe open.
    while sleep "$pause" >/dev/null 2>&1; do
        line=$(tail -n 1 "$log" 2>/dev/null | tr -d '\r' | cut -c 1-60)
        if [[ -t 1 ]]; then
            printf '\r\033[K  %s, %d s  %s' "$name" "$((SECONDS - started))" "$line"
        else
            printf '  … %s, %d s: %s\n' "$name" "$((SECONDS - started))" "$line"
        fi
    done
}

stop_ticking() {
    [[ -n ${ticker:-} ]] || return 0
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=""
    [[ ! -t 1 ]] || printf '\r\033[K'
}
trap stop_ticking EXIT

# run_check NAME NUMBER COMMAND...: one line when it begins, one when it ends.
run_check() {
    local name=$1 number=$2 started=$SECONDS status=0
    shift 2
    local log=$logs/$name.log
    : >"$log"
    tick_while "$name" "$log" &
    ticker=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    stop_ticking
    if ((status != 0)); then
        cat "$log"
        printf '[%2d/%d] %-9s %4d s  FAILED (%s)\n' \
            "$number" "$count" "$name" "$((SECONDS - started))" "$log"
        return 1
    fi
    grep 'WARNING: ' "$log" || true
    printf '[%2d/%d] %-9s %4d s  %s\n' \
        "$number" "$count" "$name" "$((SECONDS - started))" "$(tail -n 1 "$log" | sed 's/^[a-z-]*: //')"
}

# sum_of passed|failed: adds up what cargo test wrote into all logs.
sum_of() {
    cat "$logs"/*.log | sed -n "s/^test result: .* \([0-9][0-9]*\) $1;.*/\1/p" |
        awk '{ sum += $1 } END { print sum + 0 }'
}

set_up
mkdir -p "$logs"
rm -f "$logs"/*.log
count=$((${#checks[@]} + 1))
failed=""

# Apart, so that the checks' times are not the network's. `--locked`: Cargo.lock is up to date.
fetch() { cargo fetch --locked && echo "ok, all that Cargo.lock names is here"; }
run_check fetch 1 fetch || failed=fetch
number=1
for name in "${checks[@]}"; do
    [[ -z $failed ]] || break
    number=$((number + 1))
    run_check "$name" "$number" bash "ci/$name.sh" || failed=$name
done

if [[ -n $failed ]]; then
    echo "$failed FAILED after $((SECONDS / 60)) min $((SECONDS % 60)) s; the checks after it were not run"
else
    echo "all ${#checks[@]} checks passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"
fi
echo "tests: $(sum_of passed) passed, $(sum_of failed) failed"
[[ -z $failed ]]
