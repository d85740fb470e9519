//! Every algorithm with a bucket per key: what its own documentation guarantees, per key.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "model/apart.rs"]
mod apart;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use apart::Apart;
use flowgate::{
    Adjustable, Algorithm, FixedWindow, Gcra, Handle, KeyedBuilder, KeyedLimiter, LeakyBucket,
    LeakyQueue, Limiter, ManualClock, Quota, SlidingWindow, SystemClock, Tokens, WhenFull,
};
use proptest::prelude::*;

const CASES: u32 = 200;
const KEYS: u8 = 6;

const SECOND: Duration = Duration::from_secs(1);
const SECOND_NS: u64 = 1_000_000_000;

/// Runs a check on both maps, where there are two.
fn by_both_maps<A: Algorithm>(algorithm: A, check: impl Fn(KeyedBuilder<u64, A>)) {
    check(KeyedLimiter::builder(algorithm));
    #[cfg(feature = "papaya")]
    check(KeyedLimiter::builder(algorithm).lock_free());
}

/// Windows that begin with the first call: of a key's own and of one that it shares, three would else meet in less
/// than a window.
#[test]
fn a_key_that_goes_from_its_window_to_a_shared_one_has_no_third() {
    by_both_maps(FixedWindow::new(10, SECOND).from_first_call(), |builder| {
        let users = builder.max_keys(1).build_with_clock(ManualClock::new()).unwrap();
        let (alice, bob, carol) = (1, 2, 3);
        assert_eq!(users.consume_up_to_at(&alice, 1, 0), 1);
        assert_eq!(users.consume_up_to_at(&bob, 1, SECOND_NS / 2), 1);
        let mut granted = users.consume_up_to_at(&alice, 9, SECOND_NS - 1);
        // Hers is over, and carol has the room.
        users.sweep_at(SECOND_NS + SECOND_NS / 16);
        assert_eq!(users.consume_up_to_at(&carol, 1, SECOND_NS + SECOND_NS / 16), 1);
        granted += users.consume_up_to_at(&alice, 10, SECOND_NS + SECOND_NS / 16);
        granted += users.consume_up_to_at(&alice, 10, SECOND_NS + 5 * SECOND_NS / 8);
        assert!(granted <= 20, "{granted} in less than a window");
    });
}

/// A window in which nothing is counted is one all the same.
#[test]
fn a_stale_call_does_not_reopen_a_window_after_an_empty_one() {
    let window = FixedWindow::new(10, SECOND).from_first_call();
    let limiter = Limiter::with_clock(window, ManualClock::new()).unwrap();
    let mut granted = 0;
    for _ in 0..5 {
        granted += limiter.consume_up_to_at(10, SECOND_NS);
        // A later one is begun, and given back.
        assert!(limiter.try_consume_at(0, 3 * SECOND_NS).is_ok());
    }
    assert!(granted <= 10, "{granted} at once");
    by_both_maps(window, |builder| {
        let users = builder.build_with_clock(ManualClock::new()).unwrap();
        let mut granted = 0;
        for _ in 0..5 {
            granted += users.consume_up_to_at(&7, 10, SECOND_NS);
            users.consume_up_to_at(&7, 1, 3 * SECOND_NS);
            users.refund_at(&7, 1, 3 * SECOND_NS);
            users.sweep_at(SECOND_NS);
        }
        assert!(granted <= 10, "{granted} at once");
    });
}

/// A handle begins no earlier than its key was dropped.
#[test]
fn a_stale_handle_does_not_reopen_a_window() {
    by_both_maps(FixedWindow::new(10, SECOND).from_first_call(), |builder| {
        let users = builder.build_with_clock(ManualClock::new()).unwrap();
        let mut granted = 0;
        for _ in 0..5 {
            granted += users.handle(&7).try_consume_at(10, SECOND_NS).map_or(0, |_| 10);
            users.sweep_at(4 * SECOND_NS);
        }
        assert!(granted <= 10, "{granted} at once");
    });
}

fn serves_new_keys<A: Algorithm>(algorithm: A) {
    by_both_maps(algorithm, |builder| {
        let clock = ManualClock::new();
        let users = builder.max_keys(1).build_with_clock(&clock).unwrap();
        for years in (5..55).step_by(5) {
            clock.set_ns(years * 365 * 86_400 * SECOND_NS);
            users.sweep();
            assert!(users.is_allowed(&1), "{algorithm:?} after {years} years");
            if years > 10 {
                assert!(users.is_allowed(&2), "{algorithm:?} shared after {years} years");
            }
        }
    });
}

/// What nobody has shared is new, however old the limiter is.
#[test]
fn a_limiter_serves_new_keys_after_decades() {
    serves_new_keys(Quota::per_second(10));
    serves_new_keys(FixedWindow::new(10, SECOND).from_first_call());
    serves_new_keys(FixedWindow::new(10, SECOND));
    serves_new_keys(SlidingWindow::new(10, SECOND));
    serves_new_keys(Gcra::new(Quota::per_second(10)));
}

/// Keys that have been forgotten do not stay: of a flood, those of the last spans are held.
fn forgets<A: Algorithm>(algorithm: A, when_full: WhenFull, spans: u64) {
    by_both_maps(algorithm, |builder| {
        let users =
            builder.max_keys(2_000).when_full(when_full).build_with_clock(ManualClock::new());
        let users = users.unwrap();
        let mut most = 0;
        for key in 0..60_000_u64 {
            let now_ns = key * SECOND_NS / 100;
            assert!(users.is_allowed_at(&key, now_ns), "{algorithm:?}: {key}");
            most = most.max(users.len());
        }
        // A hundred a second; a part is swept when it has grown by a quarter, and by four.
        let bound = usize::try_from(spans).unwrap() * 130 + 100;
        assert!(most <= bound, "{most} keys of {algorithm:?}");
        // Then nobody comes. All are forgotten together with the last one.
        let last_ns = 59_999 * SECOND_NS / 100;
        users.sweep_at(last_ns + (spans - 1) * SECOND_NS);
        assert!(!users.is_empty(), "{algorithm:?}");
        users.sweep_at(last_ns + (spans + 1) * SECOND_NS);
        assert!(users.is_empty(), "{} keys of {algorithm:?}", users.len());
    });
}

#[test]
fn a_flood_of_keys_is_forgotten_in_time() {
    let quota = Quota::per_second(1);
    for when_full in [WhenFull::Share, WhenFull::DenyNew] {
        forgets(Gcra::new(quota), when_full, 1);
        forgets(LeakyBucket::new(quota), when_full, 1);
        forgets(LeakyQueue::new(quota), when_full, 1);
        forgets(SlidingWindow::new(10, SECOND), when_full, 2);
    }
    forgets(FixedWindow::new(10, SECOND), WhenFull::Share, 1);
    forgets(FixedWindow::new(10, SECOND).from_first_call(), WhenFull::DenyNew, 1);
    // A period more, for it may share next.
    forgets(FixedWindow::new(10, SECOND).from_first_call(), WhenFull::Share, 2);
}

/// Key by key, to the nanosecond.
#[test]
fn a_key_goes_when_it_is_as_good_as_new_and_comes_back_no_earlier() {
    let (quota, step_ns) = (Quota::per_second(10).burst(10), SECOND_NS / 10);
    by_both_maps(Gcra::new(quota), |builder| {
        let users = builder.build_with_clock(ManualClock::new()).unwrap();
        assert_eq!(users.consume_up_to_at(&7, 10, 5 * SECOND_NS), 10);
        assert_eq!(users.sweep_at(6 * SECOND_NS - 1), 0);
        assert_eq!(users.sweep_at(6 * SECOND_NS), 1);
        // A stale thread is served as of the sweep.
        assert_eq!(users.consume_up_to_at(&7, 10, 5 * SECOND_NS), 10);
        assert_eq!(users.consume_up_to_at(&7, 10, 6 * SECOND_NS), 0);
        assert_eq!(users.consume_up_to_at(&7, 10, 6 * SECOND_NS + step_ns), 1);
    });
    let fixed = FixedWindow::new(10, SECOND);
    by_both_maps(fixed, |builder| {
        let users = builder.build_with_clock(ManualClock::new()).unwrap();
        assert_eq!(users.consume_up_to_at(&7, 10, 4 * SECOND_NS), 10);
        assert_eq!(users.sweep_at(5 * SECOND_NS - 1), 0);
        assert_eq!(users.sweep_at(5 * SECOND_NS), 1);
        assert_eq!(users.consume_up_to_at(&7, 10, 5 * SECOND_NS - 1), 10);
        assert_eq!(users.consume_up_to_at(&7, 10, 4 * SECOND_NS), 0);
        assert_eq!(users.consume_up_to_at(&7, 10, 6 * SECOND_NS - 1), 0);
        assert_eq!(users.consume_up_to_at(&7, 10, 6 * SECOND_NS), 10);
    });
    by_both_maps(SlidingWindow::new(10, SECOND), |builder| {
        let users = builder.build_with_clock(ManualClock::new()).unwrap();
        assert_eq!(users.consume_up_to_at(&7, 10, 4 * SECOND_NS), 10);
        assert_eq!(users.sweep_at(6 * SECOND_NS - 1), 0);
        assert_eq!(users.sweep_at(6 * SECOND_NS), 1);
        assert_eq!(users.consume_up_to_at(&7, 10, 5 * SECOND_NS), 10);
        assert_eq!(users.consume_up_to_at(&7, 10, 5 * SECOND_NS), 0);
        assert_eq!(users.consume_up_to_at(&7, 10, 7 * SECOND_NS), 0);
    });
}

fn forgets_an_old_sweep<A: Adjustable>(algorithm: A) {
    by_both_maps(algorithm, |builder| {
        let users = builder.max_keys(100).build_with_clock(ManualClock::new()).unwrap();
        assert!(users.is_allowed_at(&1, SECOND_NS));
        assert_eq!(users.sweep_at(100 * SECOND_NS), 1);
        for years in [10, 20, 30, 55] {
            let now_ns = years * 365 * 86_400 * SECOND_NS;
            let twice = [now_ns, now_ns].map(|now_ns| users.consume_up_to_at(&years, 10, now_ns));
            assert_eq!(twice, [10, 0], "{algorithm:?} after {years} years");
            assert_eq!(users.consume_up_to_at(&years, 10, now_ns + 2 * SECOND_NS), 10);
        }
    });
}

/// A sweep of long ago is not taken for one that is ahead: windows would be granted twice, and buckets stay empty.
#[test]
fn a_sweep_decades_ago_does_not_date_new_keys() {
    forgets_an_old_sweep(Gcra::new(Quota::per_second(10)));
    forgets_an_old_sweep(FixedWindow::new(10, SECOND));
    forgets_an_old_sweep(FixedWindow::new(10, SECOND).from_first_call());
    forgets_an_old_sweep(SlidingWindow::new(10, SECOND));
}

/// What was granted, at a moment between two times.
#[derive(Clone, Copy, Debug)]
struct Grant {
    asked_ns: u64,
    done_ns: u64,
    tokens: u64,
    departs_ns: u64,
}

/// An algorithm with what bounds it.
trait Bounded: Adjustable {
    /// The same with a share of its burst or limit, in thousandths.
    fn share(&self, thousandths: u64) -> Self;
    /// The most that one call can take.
    fn most(&self) -> u64;
    /// In what time all is forgotten.
    fn span_ns(&self) -> u64;
    /// The most that is granted in any time of that length.
    fn ceiling(&self, ns: u64) -> u128;
    /// The window of a time, where there are some, and the most that is granted in one.
    fn window(&self, _now_ns: u64) -> Option<(u64, u64)> {
        None
    }
    /// From one departure to the next, where there are some.
    fn interval_ns(&self) -> Option<u64> {
        None
    }
}

fn of(tokens: Tokens, thousandths: u64) -> u64 {
    (tokens.whole() * thousandths / 1_000).max(1)
}

fn quota_span_ns(quota: &Quota, tokens: u64) -> u64 {
    let span_ns =
        quota.period().as_nanos() * u128::from(tokens) / u128::from(quota.tokens().whole());
    u64::try_from(span_ns).unwrap_or(u64::MAX)
}

macro_rules! paced {
    ($($algorithm:ident, $extra:literal;)*) => {$(
        impl Bounded for $algorithm {
            fn share(&self, thousandths: u64) -> Self {
                Self::new(self.quota().burst(of(self.quota().capacity(), thousandths)))
            }
            fn most(&self) -> u64 {
                self.quota().capacity().whole() + $extra
            }
            fn span_ns(&self) -> u64 {
                quota_span_ns(&self.quota(), self.most())
            }
            fn ceiling(&self, ns: u64) -> u128 {
                let quota = self.quota();
                let refill = u128::from(quota.tokens().whole()) * u128::from(ns) / quota.period().as_nanos();
                u128::from(self.most()) + refill
            }
            fn interval_ns(&self) -> Option<u64> {
                ($extra == 1).then(|| quota_span_ns(&self.quota(), 1))
            }
        }
    )*};
}

paced! { Gcra, 0; LeakyBucket, 0; LeakyQueue, 1; }

fn ns(period: Duration) -> u64 {
    u64::try_from(period.as_nanos()).unwrap()
}

/// Aligned, or not.
#[derive(Clone, Copy, Debug)]
struct Aligned(bool);

/// A fixed window does not say where it begins: so its text does.
fn is_aligned(window: &FixedWindow) -> Aligned {
    Aligned(!format!("{window:?}").contains("FirstCall"))
}

impl Bounded for FixedWindow {
    fn share(&self, thousandths: u64) -> Self {
        let shared = Self::new(of(self.limit(), thousandths), self.period());
        if is_aligned(self).0 { shared } else { shared.from_first_call() }
    }
    fn most(&self) -> u64 {
        self.limit().whole()
    }
    fn span_ns(&self) -> u64 {
        ns(self.period())
    }
    fn ceiling(&self, of_ns: u64) -> u128 {
        u128::from(self.most()) * u128::from(of_ns / ns(self.period()) + 2)
    }
    fn window(&self, now_ns: u64) -> Option<(u64, u64)> {
        is_aligned(self).0.then(|| (now_ns / ns(self.period()), self.most()))
    }
}

impl Bounded for SlidingWindow {
    fn share(&self, thousandths: u64) -> Self {
        Self::new(of(self.limit(), thousandths), self.period())
    }
    fn most(&self) -> u64 {
        self.limit().whole()
    }
    fn span_ns(&self) -> u64 {
        ns(self.period())
    }
    /// In a period less than twice the limit.
    fn ceiling(&self, of_ns: u64) -> u128 {
        let windows = of_ns / ns(self.period());
        u128::from(self.most()) * u128::from(windows + 2) - u128::from(windows == 0)
    }
    fn window(&self, now_ns: u64) -> Option<(u64, u64)> {
        Some((now_ns / ns(self.period()), self.most()))
    }
}

/// Holds the grants of one key against what bounds them.
fn audit<A: Bounded>(algorithm: &A, grants: &[Grant]) -> Result<(), TestCaseError> {
    let within = |from_ns, to_ns| {
        let is_within = |grant: &&Grant| grant.asked_ns >= from_ns && grant.done_ns <= to_ns;
        grants.iter().filter(is_within).map(|grant| u128::from(grant.tokens)).sum::<u128>()
    };
    for first in grants {
        let from_ns = first.asked_ns;
        for last in grants.iter().filter(|last| last.done_ns >= from_ns) {
            let (granted, ceiling) =
                (within(from_ns, last.done_ns), algorithm.ceiling(last.done_ns - from_ns));
            prop_assert!(
                granted <= ceiling,
                "{granted} > {ceiling} from {from_ns} to {} by {algorithm:?}: {grants:?}",
                last.done_ns
            );
        }
        if let Some((window, limit)) = algorithm.window(from_ns) {
            let is_in = |at_ns| algorithm.window(at_ns).is_some_and(|(other, _)| other == window);
            let granted: u64 = grants
                .iter()
                .filter(|grant| is_in(grant.asked_ns) && is_in(grant.done_ns))
                .map(|grant| grant.tokens)
                .sum();
            prop_assert!(granted <= limit, "{granted} in a window of {algorithm:?}: {grants:?}");
        }
    }
    if let Some(interval_ns) = algorithm.interval_ns() {
        let mut departures: Vec<_> =
            grants.iter().filter(|grant| grant.asked_ns == grant.done_ns).collect();
        departures.sort_by_key(|grant| grant.departs_ns);
        for pair in departures.windows(2) {
            let apart_ns = pair[1].departs_ns - pair[0].departs_ns;
            // All of a cost takes its places before it leaves; a departure is told rounded up.
            let least_ns = interval_ns.saturating_mul(pair[1].tokens).saturating_sub(1);
            prop_assert!(apart_ns >= least_ns, "{apart_ns} < {least_ns}: {pair:?}");
        }
    }
    Ok(())
}

/// An amount that is as often tiny as huge: uniform in its logarithm.
fn log_uniform(largest_bits: u32) -> impl Strategy<Value = u64> {
    (0..=largest_bits, any::<u64>()).prop_map(|(bits, noise)| {
        let top = 1_u64 << bits;
        (top | (noise & (top - 1))).max(1)
    })
}

fn quota() -> impl Strategy<Value = Quota> {
    (log_uniform(12), log_uniform(6), prop_oneof![Just(SECOND_NS), log_uniform(45)]).prop_map(
        |(tokens, burst, period_ns)| {
            Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst)
        },
    )
}

fn fixed() -> impl Strategy<Value = FixedWindow> {
    (sliding(), any::<bool>()).prop_map(|(window, is_aligned)| {
        let window = FixedWindow::new(window.limit(), window.period());
        if is_aligned { window } else { window.from_first_call() }
    })
}

fn sliding() -> impl Strategy<Value = SlidingWindow> {
    (log_uniform(6), prop_oneof![Just(SECOND_NS), log_uniform(45)])
        .prop_map(|(limit, period_ns)| SlidingWindow::new(limit, Duration::from_nanos(period_ns)))
}

/// Also at the edges of what words say of time.
fn start_ns() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => log_uniform(60),
        1 => (1..4_u64, log_uniform(40)).prop_map(|(at, less)| (at << 58) - less),
        1 => log_uniform(40).prop_map(|less| (1 << 63) - less),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    /// A share of the most there is, in thousandths.
    Take(u64),
    UpTo(u64),
    Refund(u64),
    TakeByHandle(u64),
    DropHandle,
    Sweep,
    Set(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..1_100_u64).prop_map(Op::Take),
        4 => log_uniform(8).prop_map(Op::UpTo),
        1 => (0..1_100_u64).prop_map(Op::Refund),
        2 => (0..1_100_u64).prop_map(Op::TakeByHandle),
        1 => Just(Op::DropHandle),
        3 => Just(Op::Sweep),
        1 => (1..=1_000_u64).prop_map(Op::Set),
    ]
}

/// How time goes before an operation, in thousandths of a span; or the operation comes from a thread whose clock
/// reading is that much older.
#[derive(Clone, Debug)]
enum Step {
    Forward(u64),
    Nanos(u64),
    /// To just before a multiple of the span, or on it.
    Edge(u64),
    Stale(u64),
}

impl Step {
    fn from(&self, clock_ns: u64, span_ns: u64, start_ns: u64) -> u64 {
        match self {
            Self::Forward(share) => clock_ns + span_ns / 1_000 * share,
            Self::Nanos(ns) => clock_ns + ns,
            Self::Edge(less) => (clock_ns.next_multiple_of(span_ns.max(1)) - less).max(clock_ns),
            Self::Stale(share) => clock_ns.saturating_sub(span_ns / 1_000 * share).max(start_ns),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..1_500_u64).prop_map(Step::Forward),
        3 => Just(Step::Nanos(0)),
        2 => log_uniform(24).prop_map(Step::Nanos),
        2 => (0..2_u64).prop_map(Step::Edge),
        2 => (0..1_500_u64).prop_map(Step::Stale),
    ]
}

type History = Vec<(Step, u8, Op, usize)>;

fn history() -> impl Strategy<Value = History> {
    prop::collection::vec((step(), 0..KEYS, op(), 0..4_usize), 1..80)
}

fn builders<A: Bounded>(algorithm: A) -> Vec<KeyedBuilder<u8, A, Apart>> {
    // Eight parts.
    let builder = KeyedLimiter::builder(algorithm).max_keys(8 * 256).hasher(Apart::default());
    #[cfg(feature = "papaya")]
    return vec![builder.clone(), builder.lock_free()];
    #[cfg(not(feature = "papaya"))]
    vec![builder]
}

/// While there is room each key is answered as by a limiter of its own at the same times.
fn decides_as_direct<A: Bounded>(
    algorithm: A,
    start_ns: u64,
    shares: &[u64],
    history: &History,
) -> Result<(), TestCaseError> {
    for builder in builders(algorithm) {
        let Ok(limiter) = builder.build_with_clock(ManualClock::at(start_ns)) else {
            return Ok(());
        };
        let direct: Vec<_> = (0..KEYS)
            .map(|_| Limiter::with_clock(algorithm, ManualClock::at(start_ns)).unwrap())
            .collect();
        let mut plans: Vec<A> = shares.iter().map(|one| algorithm.share(*one)).collect();
        let tiers: Vec<_> = plans.iter().map(|plan| limiter.tier(*plan).unwrap()).collect();
        plans.push(algorithm);
        let mut handles: HashMap<u8, (usize, Handle<A, ManualClock>)> = HashMap::new();
        let mut swept_ns = [start_ns; KEYS as usize];
        let (span_ns, mut clock_ns) = (algorithm.span_ns().min(1 << 50), start_ns);
        for (step, key, op, by) in history {
            let now_ns = step.from(clock_ns, span_ns, start_ns);
            clock_ns = clock_ns.max(now_ns);
            let (key, direct) = (*key, &direct[usize::from(*key)]);
            let by = (*by).min(tiers.len());
            let on = tiers.get(by).map(|tier| limiter.on(tier));
            let is_there = limiter.snapshot_at(&key, now_ns).is_some();
            // A key that was dropped begins no earlier than that.
            let at_ns = if is_there { now_ns } else { now_ns.max(swept_ns[usize::from(key)]) };
            direct.set(plans[by]).unwrap();
            match op {
                Op::Take(share) => {
                    let cost = of(Tokens::new(algorithm.most()), *share);
                    let ours = match &on {
                        Some(on) => on.try_consume_at(&key, cost, now_ns),
                        None => limiter.try_consume_at(&key, cost, now_ns),
                    };
                    let theirs = direct.try_consume_at(cost, at_ns);
                    prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} at {}", op, now_ns);
                    match (ours, theirs) {
                        (Ok(ours), Ok(theirs)) => {
                            prop_assert_eq!(ours.remaining(), theirs.remaining());
                            prop_assert_eq!(ours.full_after(), theirs.full_after());
                            prop_assert_eq!(ours.departs_after(), theirs.departs_after());
                        }
                        (Err(ours), Err(theirs)) => {
                            prop_assert_eq!(ours.retry_after(), theirs.retry_after());
                        }
                        _ => unreachable!(),
                    }
                }
                Op::UpTo(max) => {
                    let ours = match &on {
                        Some(on) => on.consume_up_to_at(&key, *max, now_ns),
                        None => limiter.consume_up_to_at(&key, *max, now_ns),
                    };
                    let theirs = direct.consume_up_to_at(*max, at_ns);
                    prop_assert_eq!(ours, theirs, "{:?} at {}", op, now_ns);
                }
                Op::Refund(share) => {
                    let cost = of(Tokens::new(algorithm.most()), *share);
                    limiter.refund_at(&key, cost, now_ns);
                    if is_there {
                        direct.refund_at(cost, now_ns);
                    }
                }
                Op::TakeByHandle(share) => {
                    let cost = of(Tokens::new(algorithm.most()), *share);
                    limiter.clock().set_ns(now_ns);
                    let (made_by, handle) = handles.entry(key).or_insert_with(|| {
                        let handle = match &on {
                            Some(on) => on.handle(&key),
                            None => limiter.handle(&key),
                        };
                        (by, handle)
                    });
                    if !is_there {
                        // It is there now, and new.
                        direct.try_consume_at(0, at_ns).unwrap();
                    }
                    direct.set(plans[*made_by]).unwrap();
                    let ours = handle.try_consume_at(cost, now_ns).is_ok();
                    let theirs = direct.try_consume_at(cost, now_ns).is_ok();
                    prop_assert_eq!(ours, theirs, "{:?} at {}", op, now_ns);
                }
                Op::DropHandle => {
                    handles.remove(&key);
                }
                Op::Sweep => {
                    let held: Vec<_> = limiter.iter_at(now_ns).map(|(key, _)| key).collect();
                    limiter.sweep_at(now_ns);
                    for key in held {
                        if limiter.snapshot_at(&key, now_ns).is_none() {
                            let swept_ns = &mut swept_ns[usize::from(key)];
                            *swept_ns = now_ns.max(*swept_ns);
                        }
                    }
                }
                Op::Set(share) => {
                    let plan = algorithm.share(*share);
                    plans[tiers.len()] = plan;
                    limiter.set(plan).unwrap();
                }
            }
            if limiter.snapshot_at(&key, now_ns).is_some() {
                direct.set(plans[tiers.len()]).unwrap();
                prop_assert_eq!(
                    limiter.available_at(&key, clock_ns),
                    direct.available_at(clock_ns)
                );
                prop_assert_eq!(limiter.available_at(&key, now_ns), direct.available_at(now_ns));
            }
        }
        prop_assert_eq!(limiter.len(), limiter.iter().count());
    }
    Ok(())
}

/// Whatever the room, no key is granted more than a limiter of its own would grant.
fn is_never_over<A: Bounded>(
    algorithm: A,
    start_ns: u64,
    (shares, max_keys, when_full): (&[u64], u64, WhenFull),
    history: &History,
) -> Result<(), TestCaseError> {
    for builder in builders(algorithm) {
        let builder = builder.max_keys(max_keys).when_full(when_full);
        let Ok(limiter) = builder.build_with_clock(ManualClock::at(start_ns)) else {
            return Ok(());
        };
        let tiers: Vec<_> =
            shares.iter().map(|one| limiter.tier(algorithm.share(*one)).unwrap()).collect();
        let own = limiter.tier(algorithm).unwrap();
        let mut handles: HashMap<u8, Handle<A, ManualClock>> = HashMap::new();
        let mut grants: Vec<Vec<Grant>> = (0..KEYS).map(|_| Vec::new()).collect();
        let (span_ns, mut clock_ns) = (algorithm.span_ns().min(1 << 50), start_ns);
        for (step, key, op, by) in history {
            let now_ns = step.from(clock_ns, span_ns, start_ns);
            clock_ns = clock_ns.max(now_ns);
            let on = limiter.on(tiers.get(*by).unwrap_or(&own));
            let granted = |taken: Result<flowgate::Granted<'_>, _>, tokens| match taken {
                Ok(granted) => (tokens, ns(granted.departs_after())),
                Err(_) => (0, 0),
            };
            let (tokens, departs_after_ns) = match op {
                Op::Take(share) => {
                    let cost = of(Tokens::new(algorithm.most()), *share);
                    granted(on.try_consume_at(key, cost, now_ns).map_err(drop), cost)
                }
                // It does not tell of departures.
                Op::UpTo(max) if algorithm.interval_ns().is_none() => {
                    (on.consume_up_to_at(key, *max, now_ns), 0)
                }
                Op::TakeByHandle(share) => {
                    let cost = of(Tokens::new(algorithm.most()), *share);
                    limiter.clock().set_ns(now_ns);
                    let handle = handles.entry(*key).or_insert_with(|| on.handle(key));
                    granted(handle.try_consume_at(cost, now_ns).map_err(drop), cost)
                }
                Op::DropHandle => {
                    handles.remove(key);
                    continue;
                }
                Op::Sweep => {
                    limiter.sweep_at(now_ns);
                    continue;
                }
                Op::Set(share) => {
                    limiter.set(algorithm.share(*share)).unwrap();
                    continue;
                }
                Op::UpTo(_) | Op::Refund(_) => continue,
            };
            if tokens > 0 {
                grants[usize::from(*key)].push(Grant {
                    asked_ns: now_ns,
                    done_ns: clock_ns,
                    tokens,
                    departs_ns: now_ns + departs_after_ns,
                });
            }
        }
        for grants in &grants {
            audit(&algorithm, grants)?;
        }
    }
    Ok(())
}

fn when_full() -> impl Strategy<Value = WhenFull> {
    prop_oneof![4 => Just(WhenFull::Share), 1 => Just(WhenFull::DenyNew)]
}

macro_rules! properties {
    ($($module:ident, $algorithm:expr;)*) => {$(
        mod $module {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

                #[test]
                fn each_key_is_answered_as_by_a_limiter_of_its_own(
                    algorithm in $algorithm, start_ns in start_ns(),
                    shares in prop::collection::vec(1..=1_000_u64, 0..4), history in history(),
                ) {
                    decides_as_direct(algorithm, start_ns, &shares, &history)?;
                }

                #[test]
                fn no_key_is_over_whatever_its_tiers_and_the_room(
                    algorithm in $algorithm, start_ns in start_ns(), max_keys in 1..5_u64, when_full in when_full(),
                    shares in prop::collection::vec(1..=1_000_u64, 0..4), history in history(),
                ) {
                    is_never_over(algorithm, start_ns, (&shares, max_keys, when_full), &history)?;
                }
            }
        }
    )*};
}

properties! {
    gcra, quota().prop_map(Gcra::new);
    leaky_bucket, quota().prop_map(LeakyBucket::new);
    leaky_queue, quota().prop_map(LeakyQueue::new);
    fixed_window, fixed();
    sliding_window, sliding();
}

const RUN: Duration = Duration::from_millis(350);
const AUDITED: u64 = 8;

/// Two threads take from a few keys, by calls and by handles, and both sweep all the time. Each keeps a log.
fn stress<A: Bounded>(name: &str, builder: KeyedBuilder<u64, A>, algorithm: A) {
    let users = builder.build_with_clock(SystemClock::new()).unwrap();
    let stop = AtomicBool::new(false);
    let logs = thread::scope(|scope| {
        let threads = [1_u64, 2].map(|seed| {
            let (users, stop) = (&users, &stop);
            scope.spawn(move || {
                let mut noise = seed;
                let mut log: Vec<Vec<(u64, u64, u64)>> = vec![Vec::new(); 8];
                while !stop.load(Relaxed) {
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    let key = noise % AUDITED;
                    let asked_ns = flowgate::Clock::now_ns(users.clock());
                    let taken = match noise >> 60 {
                        0..4 => {
                            users.sweep();
                            0
                        }
                        4..8 => users.handle(&key).consume_up_to(3),
                        // One that nobody audits.
                        8 => {
                            users.is_allowed(&noise);
                            0
                        }
                        _ => users.consume_up_to(&key, 3),
                    };
                    if taken > 0 {
                        let done_ns = flowgate::Clock::now_ns(users.clock());
                        log[usize::try_from(key).unwrap()].push((asked_ns, done_ns, taken));
                    }
                }
                log
            })
        });
        thread::sleep(RUN);
        stop.store(true, Relaxed);
        threads.map(|thread| thread.join().unwrap())
    });
    let mut in_all = 0;
    for key in 0..usize::try_from(AUDITED).unwrap() {
        let mut grants: Vec<_> = logs.iter().flat_map(|log| &log[key]).copied().collect();
        grants.sort_unstable();
        in_all += grants.iter().map(|(_, _, taken)| taken).sum::<u64>();
        // From each grant on, over as many as follow: the sum of what surely lies between.
        for (at, (from_ns, ..)) in grants.iter().enumerate() {
            let (mut granted, mut to_ns) = (0, 0);
            for (_, done_ns, taken) in grants[at..].iter().take(400) {
                granted += u128::from(*taken);
                to_ns = to_ns.max(*done_ns);
                // The clock's threads agree to less than this.
                let ceiling = algorithm.ceiling(to_ns - from_ns + 2_000);
                assert!(
                    granted <= ceiling,
                    "{name}, key {key}: {granted} > {ceiling} of {algorithm:?}"
                );
            }
        }
    }
    assert!(in_all > algorithm.most() * AUDITED * 4, "{name}: only {in_all}");
    assert_eq!(users.len(), users.iter().count(), "{name}");
}

#[test]
fn no_key_is_over_under_threads_while_keys_are_dropped() {
    let fixed = FixedWindow::new(20, Duration::from_micros(200));
    let gcra = Gcra::new(Quota::new(20, Duration::from_micros(200)).burst(20));
    stress("fixed", KeyedLimiter::builder(fixed), fixed);
    stress("fixed, shared", KeyedLimiter::builder(fixed).max_keys(4), fixed);
    stress("gcra", KeyedLimiter::builder(gcra), gcra);
    stress("gcra, shared", KeyedLimiter::builder(gcra).max_keys(4), gcra);
    let first = fixed.from_first_call();
    stress("first call, shared", KeyedLimiter::builder(first).max_keys(4), first);
}

#[cfg(feature = "papaya")]
#[test]
fn no_key_is_over_under_threads_while_keys_are_dropped_from_a_lock_free_map() {
    let fixed = FixedWindow::new(20, Duration::from_micros(200));
    let gcra = Gcra::new(Quota::new(20, Duration::from_micros(200)).burst(20));
    stress("fixed", KeyedLimiter::builder(fixed).lock_free(), fixed);
    stress("gcra", KeyedLimiter::builder(gcra).lock_free(), gcra);
    stress("gcra, shared", KeyedLimiter::builder(gcra).lock_free().max_keys(4), gcra);
}
