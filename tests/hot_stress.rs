//! Hot keys on real threads and the real clock, audited: all that is granted, by hot handles, by key, by other handles and
//! by tiers, is at most capacity + rate × elapsed.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "model/hammer.rs"]
mod hammer;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{HotHandle, KeyedBuilder, KeyedLimiter, ManualClock, Quota};
use hammer::hammer;

const RUN: Duration = Duration::from_millis(300);

/// The clock may be this much ahead of `Instant` over a whole run.
const CLOCK_ERROR: Duration = Duration::from_micros(20);

const KEY: u64 = 7;

fn ceiling(quota: Quota, elapsed: Duration) -> u64 {
    let elapsed_ns = (elapsed + CLOCK_ERROR).as_nanos();
    let refill = u128::from(quota.tokens().whole()) * elapsed_ns / quota.period().as_nanos();
    // Two units, at most two tokens.
    quota.capacity().whole() + u64::try_from(refill).unwrap() + 2
}

thread_local! {
    /// A small generator of noise: what a thread does next.
    static NOISE: Cell<u64> = const { Cell::new(0) };
    /// The hot handle that a thread keeps for a while.
    static HOT: Cell<Option<HotHandle>> = const { Cell::new(None) };
}

static SEED: AtomicU64 = AtomicU64::new(1);

fn noise() -> u64 {
    NOISE.with(|noise| {
        let mut next = noise.get();
        if next == 0 {
            next = SEED.fetch_add(1, Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        noise.set(next);
        next
    })
}

/// One of many ways to take from the key, most often the hot one; handles come and go, and keys are swept.
fn take_somehow(users: &KeyedLimiter<u64>) -> u64 {
    let hot = HOT.take().unwrap_or_else(|| users.hot_handle(&KEY));
    let roll = noise() >> 58;
    let granted = match roll {
        0 => users.consume_up_to(&KEY, 5),
        1 => users.handle(&KEY).consume_up_to(3),
        2 => u64::from(users.is_allowed(&KEY)),
        3 => u64::from(users.try_consume(&KEY, 20).is_ok()) * 20,
        4 => u64::from(hot.try_consume(20).is_ok()) * 20,
        5 => {
            let taken = hot.consume_up_to(9);
            users.refund(&KEY, taken / 2);
            taken - taken / 2
        }
        // Taken ahead of time and called off.
        6 => {
            drop(users.reserve(&KEY, 4, Duration::from_micros(50)));
            0
        }
        7 => {
            users.sweep();
            0
        }
        8 => {
            // Dropped, and made again by the next call.
            drop(hot);
            if noise().is_multiple_of(2) {
                users.sweep();
            }
            return 0;
        }
        _ => u64::from(hot.is_allowed()),
    };
    HOT.set(Some(hot));
    granted
}

fn audit(name: &str, build: impl Fn(Quota) -> KeyedBuilder<u64>) {
    for threads in [2, 4, 8] {
        for (quota, stripes) in [
            // Too small to divide.
            ("20000/s burst 100", 2),
            // The smallest stripes: most calls lease or gather.
            ("1000000/s burst 256", 2),
            ("20000/s", 8),
            ("5000000/s burst 4000", 4),
        ] {
            let quota: Quota = quota.parse().unwrap();
            let started = Instant::now();
            let users = build(quota).stripes(stripes).build().unwrap();
            let (granted, _) = hammer(|| (), threads, RUN, |()| take_somehow(&users));
            // And what is left, wherever it lies.
            let granted = granted + users.consume_up_to(&KEY, u64::MAX);
            let ceiling = ceiling(quota, started.elapsed());
            assert!(
                granted <= ceiling,
                "{name}, {threads} threads at {quota}: {granted} > {ceiling}"
            );
            // Nothing is lost but what overflows, and that is above what may lie beside stripes.
            let least = quota.capacity().whole() / 16 * 15 - 2;
            assert!(granted >= least, "{name}, {threads} threads at {quota}: {granted} < {least}");
        }
    }
}

#[test]
fn no_hot_key_is_oversold() {
    audit("locked", KeyedLimiter::builder);
}

#[cfg(feature = "papaya")]
#[test]
fn no_hot_key_is_oversold_in_a_lock_free_map() {
    audit("lock-free", |quota| KeyedLimiter::builder(quota).lock_free());
}

/// Nobody drops the hot handle: what arrives is granted, to a hundredth, and never more.
#[test]
fn saturation_grants_all_that_arrives_and_no_more() {
    // Of a bucket that is empty at first nothing overflows, however busy the machine is.
    let quota: Quota = "100000/s burst 200000".parse().unwrap();
    let started = Instant::now();
    let users = KeyedLimiter::<u64>::builder(quota).stripes(2).build().unwrap();
    let hot = users.hot_handle(&KEY);
    let drained = users.consume_up_to(&KEY, u64::MAX);
    let empty = Instant::now();
    let (granted, _) = hammer(
        || (),
        2,
        Duration::from_millis(500),
        |()| u64::from(hot.is_allowed()) + users.consume_up_to(&KEY, 1),
    );
    let least = empty.elapsed();
    let granted = granted + users.consume_up_to(&KEY, u64::MAX);
    assert!(drained + granted <= ceiling(quota, started.elapsed()), "{granted}");
    let due = u64::try_from(least.as_micros() / 10).unwrap();
    assert!(granted + granted / 100 >= due, "{granted} of {due}");
}

/// Each token once, wherever it lies and whoever takes it: time stands still.
#[test]
fn no_token_is_granted_twice_or_lost() {
    for threads in [2_usize, 4, 8] {
        let quota = Quota::per_hour(1).burst(20_000);
        let settings = KeyedLimiter::<u64>::builder(quota).stripes(4);
        let users = settings.build_with_clock(ManualClock::new()).unwrap();
        // It keeps the key divided: what a bucket has when it is divided above what may lie beside stripes is lost.
        let kept = users.hot_handle(&KEY);
        let all = kept.guaranteed_burst().whole();
        let granted: u64 = thread::scope(|scope| {
            let take = || {
                let mut granted = 0;
                for call in 0..4_000_u64 {
                    let hot = users.hot_handle(&KEY);
                    let taken = match call % 4 {
                        0 => users.consume_up_to(&KEY, 7),
                        1 => u64::from(users.try_consume(&KEY, 9).is_ok()) * 9,
                        2 => users.handle(&KEY).consume_up_to(2),
                        _ => hot.consume_up_to(3),
                    };
                    granted += taken;
                    // And back again, now and then.
                    if call % 7 == 0 {
                        hot.refund(taken);
                        granted -= taken;
                    }
                    if call % 50 == 0 {
                        users.sweep();
                    }
                }
                granted
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let left = kept.available().whole();
        assert_eq!(granted + left, all, "{threads} threads");
        // Nobody moves tokens any more: a single caller gets all that covers a cost.
        assert!(left == 0 || users.try_consume(&KEY, left).is_ok());
    }
}

/// The quota goes up and down, over where stripes are closed and opened, while others take in all ways; and tiers take,
/// too. By the largest quota, and a tick of refill.
#[test]
fn changes_of_quota_and_tiers_keep_to_the_largest() {
    let quota = |text: &str| text.parse::<Quota>().unwrap();
    let (small, middle, large) =
        (quota("100000/s burst 100"), quota("200000/s burst 700"), quota("500000/s burst 2000"));
    for threads in [2, 6] {
        let changes = AtomicU64::new(0);
        let (granted, elapsed) = hammer(
            || {
                let settings = KeyedLimiter::<u64>::builder(middle).largest_quota(large);
                let users = settings.stripes(4).build().unwrap();
                let gold = users.tier(large).unwrap();
                let tiny = users.tier(small).unwrap();
                (users, gold, tiny)
            },
            threads,
            RUN,
            |(users, gold, tiny)| match noise() >> 60 {
                0 => {
                    let at = usize::try_from(changes.fetch_add(1, Relaxed) % 3).unwrap();
                    users.set_quota([small, large, middle][at]).unwrap();
                    0
                }
                1 => {
                    let at = usize::try_from(noise() % 2).unwrap();
                    gold.set_quota([middle, large][at]).unwrap();
                    0
                }
                2 => users.on(gold).consume_up_to(&KEY, 3),
                3 => users.on(tiny).consume_up_to(&KEY, 3),
                4 => users.on(gold).hot_handle(&KEY).consume_up_to(2),
                5 => users.on(tiny).hot_handle(&KEY).consume_up_to(2),
                _ => take_somehow(users),
            },
        );
        let tick = Duration::from_micros(20);
        let ceiling = ceiling(large, elapsed + tick);
        assert!(granted <= ceiling, "{threads} threads: {granted} > {ceiling}");
    }
}

/// Lowered for good while hot handles are in full use: in the time after that, what is granted is by the new quota alone.
#[test]
fn a_lowered_quota_is_kept_from_the_moment_on_that_it_is_set() {
    let quota = |text: &str| text.parse::<Quota>().unwrap();
    for (before, after) in [
        ("10000000/s burst 100000", "1000/s burst 10"),
        ("10000000/s burst 100000", "100000/s burst 20000"),
        ("10000000/s burst 100000", "100000/s burst 60000"),
    ] {
        let (before, after) = (quota(before), quota(after));
        for _ in 0..20 {
            let users = KeyedLimiter::<u64>::builder(before).stripes(2).build().unwrap();
            let hot = users.hot_handle(&KEY);
            let (is_lowered, stop) = (AtomicBool::new(false), AtomicBool::new(false));
            let take = || {
                let mut granted = 0;
                while !stop.load(Relaxed) {
                    // Known before the call, so that it began after the change.
                    let counts = is_lowered.load(std::sync::atomic::Ordering::SeqCst);
                    let taken = match noise() >> 62 {
                        0 => users.consume_up_to(&KEY, 40),
                        _ => hot.consume_up_to(3),
                    };
                    granted += if counts { taken } else { 0 };
                }
                granted
            };
            let (granted, elapsed) = thread::scope(|scope| {
                let takers = [scope.spawn(take), scope.spawn(take), scope.spawn(take)];
                thread::sleep(Duration::from_millis(2));
                users.set_quota(after).unwrap();
                let since = Instant::now();
                is_lowered.store(true, std::sync::atomic::Ordering::SeqCst);
                thread::sleep(Duration::from_millis(3));
                stop.store(true, Relaxed);
                let granted: u64 = takers.map(|taker| taker.join().unwrap()).iter().sum();
                (granted, since.elapsed())
            });
            let ceiling = ceiling(after, elapsed + users.resolution().tick());
            assert!(granted <= ceiling, "{granted} > {ceiling} at {after} after {before}");
        }
    }
}
