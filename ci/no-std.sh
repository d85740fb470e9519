#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "without default features the library needs no std, no allocator and no libc, only 64-bit atomics or a stand-in"

readonly rustc=${RUSTC:-rustc}
host=$("$rustc" -vV | sed -n 's/^host: //p')

# A package of its own, in a folder of its own: in the workspace, other packages' features would mix in.
make_probe() {
    make_scratch
    cat >"$scratch/Cargo.toml" <<TOML
[package]
name = "no-std"
edition = "2024"

[features]
portable-atomic = ["flowgate/portable-atomic"]

[dependencies]
flowgate = { path = "$PWD", default-features = false }

[[bin]]
name = "no-std"
path = "$PWD/ci/no-std/main.rs"
test = false

[profile.release]
panic = "abort"

[workspace]
TOML
    # The same versions as everywhere; cargo drops what is not used here.
    cp Cargo.lock "$scratch/"
}

ran=""
if [[ $host == x86_64-*-linux-* ]]; then
    make_probe
    for features in "" portable-atomic; do
        cargo rustc --manifest-path "$scratch/Cargo.toml" --target-dir "$target_dir/no-std" \
            --release --features "$features" -- -C relocation-model=static \
            -C link-arg=-nostartfiles -C link-arg=-nostdlib -C link-arg=-static
        status=0
        "$target_dir/no-std/release/no-std" || status=$?
        ((status == 0)) || fails "ci/no-std/main.rs${features:+ with $features}: line $status does not hold"
    done
    ran="a program without std, allocator and libc linked and ran, with core's atomics and with portable-atomic's"
else
    ran="the program ci/no-std was NOT RUN: it is for Linux on x86-64"
fi

# Other targets, as far as their core library is installed.
sysroot=$("$rustc" --print sysroot)
targets="" without_64=0
for core in "$sysroot"/lib/rustlib/*/lib/libcore-*.rlib; do
    target=$(basename "$(dirname "$(dirname "$core")")")
    [[ $target != "$host" ]] || continue
    cfg=$("$rustc" --print cfg --target "$target")
    flags="" features=""
    if ! grep -qx 'target_has_atomic="64"' <<<"$cfg"; then
        without_64=$((without_64 + 1))
        features=portable-atomic
        # Not even a compare-and-swap of 32 bits: portable-atomic must be told what else there is.
        grep -qx 'target_has_atomic="ptr"' <<<"$cfg" || flags="--cfg portable_atomic_unsafe_assume_single_core"
        message=$(cargo check --locked --lib --no-default-features --target "$target" 2>&1) &&
            fails "builds for $target, which has no 64-bit atomics, without portable-atomic"
        grep -q 'error: this target has no 64-bit atomics: turn on' <<<"$message" ||
            fails "for $target without portable-atomic the error does not say what to do: $message"
    fi
    RUSTFLAGS=$flags cargo check --locked --lib --no-default-features --features "$features" --target "$target"
    targets+=" $target"
done
if ((without_64 == 0)); then
    warns "no target without 64-bit atomics was checked: none is installed (\`rustup target add thumbv7em-none-eabi\`)"
fi

passes "$ran; other targets checked:${targets:- none}"
