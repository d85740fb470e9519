#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "leases hold with real servers and processes, whatever goes wrong"

command -v redis-server >/dev/null ||
    fails "redis-server is not installed, so NOTHING WAS TESTED (on Debian and Ubuntu: apt-get install redis-server)"

# Each row has four processes of its own: one row at a time. The client process is started by the rows, not from here.
FLOWGATE_NO_SKIPS=1 cargo_test --test faults --all-features -- \
    --include-ignored --skip client_process --nocapture --test-threads=1

passes "$tests_run rows"
