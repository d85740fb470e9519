#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "dependencies have licences, sources and a record as deny.toml asks"

if ! cargo deny --version >/dev/null 2>&1; then
    passes "but NOT CHECKED: cargo-deny is not here (\`cargo install --locked cargo-deny\`)"
    exit 0
fi
cargo deny --all-features check bans licenses sources
if cargo deny fetch db; then
    cargo deny --all-features check --disable-fetch advisories
    passes "advisories, bans, licences and sources"
else
    passes "bans, licences and sources; advisories NOT CHECKED: their database cannot be fetched"
fi
