//! Keys under real threads, with eviction running hot: granted ≤ capacity + rate × elapsed, key by key.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{KeyedBuilder, KeyedLimiter, Quota};

/// The clock may be this much ahead of `Instant` over a whole run.
const CLOCK_ERROR: Duration = Duration::from_micros(20);
const RUN: Duration = Duration::from_millis(400);
const AUDITED: u64 = 32;

fn ceiling(quota: Quota, elapsed: Duration) -> u64 {
    let elapsed_ns = (elapsed + CLOCK_ERROR).as_nanos();
    let refill = u128::from(quota.tokens().whole()) * elapsed_ns / quota.period().as_nanos();
    // Two units, at most two tokens.
    quota.capacity().whole() + u64::try_from(refill).unwrap() + 2
}

/// A small generator of noise: which key comes next.
fn next(noise: &mut u64) -> u64 {
    *noise ^= *noise << 13;
    *noise ^= *noise >> 7;
    *noise ^= *noise << 17;
    *noise
}

/// Four threads take from the audited keys, and between them from a flood of others, while one sweeps and one
/// makes and drops handles. Then each key's grants are held against its ceiling.
fn audit(name: &str, build: impl Fn(Quota) -> KeyedBuilder<u64>) {
    // Keys fill up in 0.1 to 50 ms, so that each is dropped and comes back many times.
    for quota in ["1000/s burst 50", "100000/s burst 10", "2000000/s burst 1000", "20/s burst 2"] {
        let quota: Quota = quota.parse().unwrap();
        let started = Instant::now();
        let limiter = build(quota).build().unwrap();
        let stop = AtomicBool::new(false);
        let granted: Vec<_> = (0..AUDITED).map(|_| AtomicU64::new(0)).collect();
        thread::scope(|scope| {
            for seed in 1..=4_u64 {
                let (limiter, stop, granted) = (&limiter, &stop, &granted);
                scope.spawn(move || {
                    let mut noise = seed;
                    while !stop.load(Relaxed) {
                        let key = next(&mut noise) % AUDITED;
                        let taken = match noise >> 61 {
                            0 => limiter.consume_up_to(&key, 5),
                            1 => limiter.handle(&key).consume_up_to(3),
                            2 => {
                                // A key that nobody audits.
                                limiter.is_allowed(&next(&mut noise));
                                0
                            }
                            _ => u64::from(limiter.is_allowed(&key)),
                        };
                        granted[usize::try_from(key).unwrap()].fetch_add(taken, Relaxed);
                    }
                });
            }
            let (limiter, stop) = (&limiter, &stop);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    limiter.sweep();
                }
            });
            scope.spawn(move || {
                let mut noise = 99;
                while !stop.load(Relaxed) {
                    let handles: Vec<_> =
                        (0..4).map(|_| limiter.handle(&(next(&mut noise) % AUDITED))).collect();
                    thread::yield_now();
                    drop(handles);
                }
            });
            thread::sleep(RUN);
            stop.store(true, Relaxed);
        });
        let ceiling = ceiling(quota, started.elapsed());
        let mut in_all = 0;
        for (key, granted) in granted.iter().enumerate() {
            let granted = granted.load(Relaxed);
            assert!(granted <= ceiling, "{name}, key {key} at {quota}: {granted} > {ceiling}");
            in_all += granted;
        }
        assert!(in_all >= quota.capacity().whole() * AUDITED, "{name} at {quota}: only {in_all}");
        // What is counted is what is there.
        assert_eq!(limiter.len(), limiter.iter().count(), "{name} at {quota}");
    }
}

#[test]
fn no_key_is_oversold_while_keys_are_dropped() {
    audit("locked", KeyedLimiter::builder);
}

#[test]
fn no_key_is_oversold_while_keys_find_no_room() {
    audit("shared", |quota| KeyedLimiter::builder(quota).max_keys(16));
}

#[cfg(feature = "papaya")]
#[test]
fn no_key_is_oversold_while_keys_are_dropped_from_a_lock_free_map() {
    audit("lock-free", |quota| KeyedLimiter::builder(quota).lock_free());
}

#[cfg(feature = "papaya")]
#[test]
fn no_key_is_oversold_while_keys_find_no_room_in_a_lock_free_map() {
    audit("lock-free, shared", |quota| KeyedLimiter::builder(quota).lock_free().max_keys(16));
}

/// Tiers and changes of quota under threads: by the largest quota, and a tick of refill.
#[test]
fn no_key_is_oversold_while_tiers_take_turns() {
    let (small, large): (Quota, Quota) =
        ("1000/s burst 50".parse().unwrap(), "7001/s burst 99".parse().unwrap());
    let started = Instant::now();
    let limiter = KeyedLimiter::<u64>::new(small).unwrap();
    let gold = limiter.tier(large).unwrap();
    let stop = AtomicBool::new(false);
    let granted: Vec<_> = (0..AUDITED).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for seed in 1..=3_u64 {
            let (limiter, stop, granted, gold) = (&limiter, &stop, &granted, &gold);
            scope.spawn(move || {
                let mut noise = seed;
                while !stop.load(Relaxed) {
                    let key = next(&mut noise) % AUDITED;
                    let is_allowed = if noise >> 63 == 0 {
                        limiter.is_allowed(&key)
                    } else {
                        limiter.on(gold).is_allowed(&key)
                    };
                    let granted = &granted[usize::try_from(key).unwrap()];
                    granted.fetch_add(u64::from(is_allowed), Relaxed);
                }
            });
        }
        let (limiter, stop, gold) = (&limiter, &stop, &gold);
        scope.spawn(move || {
            while !stop.load(Relaxed) {
                limiter.set_quota(Quota::per_second(6_999).burst(98)).unwrap();
                gold.set_quota(Quota::per_second(900)).unwrap();
                limiter.sweep();
                limiter.set_quota(small).unwrap();
                gold.set_quota(large).unwrap();
            }
        });
        thread::sleep(RUN);
        stop.store(true, Relaxed);
    });
    let elapsed = started.elapsed();
    let large = Quota::per_second(7_001).burst(900);
    for (key, granted) in granted.iter().enumerate() {
        let ceiling = ceiling(large, elapsed + limiter.resolution().tick());
        let granted = granted.load(Relaxed);
        assert!(granted <= ceiling, "key {key}: {granted} > {ceiling}");
    }
}
