#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "limits that processes share are kept while Redis, the network or a process fails: real servers, real processes"

# Each fault at length, as fast as users have it; the shortest version of each is among the other tests.
make_scratch
FLOWGATE_NO_SKIPS=1 cargo test --locked --release --all-features --test faults -- --long | tee "$scratch/log" ||
    fails "a fault was not what it must be: see the table"
rows=$(sum_of passed "$scratch/log")
((rows > 0)) || fails "no fault was tried"

passes "$rows rows as expected"
