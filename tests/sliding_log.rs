//! The exact sliding window: against a plain list of what was granted, to the nanosecond.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use flowgate::{Clock, Denied, ManualClock, QuotaError, SlidingLog, SystemClock, limits};
use proptest::prelude::*;

const SECOND_NS: u64 = 1_000_000_000;
const YEAR_NS: u64 = 365 * 86_400 * SECOND_NS;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

fn log(limit: u64, window_ns: u64) -> SlidingLog<ManualClock> {
    SlidingLog::with_clock(limit, Duration::from_nanos(window_ns), ManualClock::new()).unwrap()
}

/// Everything that was granted, in order, with the times that it counts at.
#[derive(Default)]
struct Model {
    grants: Vec<(u64, u64)>,
}

impl Model {
    fn moment_ns(&self, now_ns: u64) -> u64 {
        now_ns.max(self.grants.last().map_or(0, |(at_ns, _)| *at_ns))
    }

    /// What is in the window that ends with `now_ns`, or with the last grant.
    fn used(&self, now_ns: u64, window_ns: u64) -> u64 {
        let now_ns = self.moment_ns(now_ns);
        let in_window = self.grants.iter().filter(|(at_ns, _)| now_ns - at_ns < window_ns);
        in_window.map(|(_, cost)| cost).sum()
    }

    fn note(&mut self, cost: u64, now_ns: u64) {
        self.grants.push((self.moment_ns(now_ns), cost));
    }
}

/// A call: how long after (or before) the one before, in 1/64 windows and nanoseconds, and for how much.
fn calls() -> impl Strategy<Value = Vec<(i64, i64, u64)>> {
    let sixty_fourths = prop_oneof![
        6 => Just(0_i64), 6 => 0_i64..4, 2 => 0_i64..80, 1 => -4_i64..0, 1 => -200_i64..200,
    ];
    prop::collection::vec((sixty_fourths, -300_i64..300, 0_u64..=12), 1..200)
}

proptest! {
    /// Never more than the limit in any window, and all that a log with a window of two ticks more would grant.
    #[test]
    fn is_between_an_exact_log_and_one_of_two_ticks_more(
        limit in prop_oneof![1_u64..=12, 900_u64..1_100], scale in 0_u64..=10, calls in calls(),
    ) {
        let window_ns = 100_003 << (2 * scale);
        let log = log(limit, window_ns);
        let tick_ns = nanos(log.tick());
        let mut model = Model::default();
        let mut now_ns = 10 * window_ns;
        let mut goes_back = false;
        for (sixty_fourths, near_ns, cost) in calls {
            let step_ns = i64::try_from(window_ns / 64).unwrap() * sixty_fourths + near_ns;
            goes_back |= step_ns < 0;
            now_ns = now_ns.saturating_add_signed(step_ns);
            let cost = if limit > 100 { cost * limit / 8 } else { cost };
            let least = model.used(now_ns, window_ns);
            let ticks = if goes_back { 2 } else { 1 };
            let most = model.used(now_ns, window_ns + ticks * tick_ns);
            let available = log.available_at(now_ns);
            prop_assert!(available <= limit - least, "{available} at {now_ns}");
            prop_assert!(available >= limit.saturating_sub(most), "{available} at {now_ns}");
            let before = format!("{log:?}");
            let wait = log.time_until_available_at(cost, now_ns);
            prop_assert_eq!(&before, &format!("{log:?}"));
            match log.try_consume_at(cost, now_ns) {
                Ok(granted) => {
                    prop_assert!(cost <= available);
                    prop_assert_eq!(granted.remaining(), available - cost);
                    prop_assert_eq!(wait, Some(Duration::ZERO));
                    if cost > 0 {
                        model.note(cost, now_ns);
                    }
                    let full_ns = now_ns + nanos(granted.full_after());
                    prop_assert_eq!(log.available_at(full_ns), limit);
                    if full_ns > now_ns {
                        prop_assert!(log.available_at(full_ns - 1) < limit);
                    }
                }
                Err(Denied::Never(never)) => {
                    prop_assert!(cost > limit && wait.is_none());
                    prop_assert_eq!((never.cost(), never.capacity()), (cost.into(), limit.into()));
                }
                Err(denied) => {
                    prop_assert!(cost > available && cost <= limit);
                    prop_assert_eq!(denied.retry_after(), wait);
                    // Tight: then, and not a nanosecond before.
                    let then_ns = now_ns + nanos(wait.unwrap());
                    prop_assert!(log.available_at(then_ns) >= cost);
                    prop_assert!(log.available_at(then_ns - 1) < cost);
                }
            }
        }
        // Every window that begins with a grant.
        for (from, (start_ns, _)) in model.grants.iter().enumerate() {
            let inside = model.grants[from..].iter().take_while(|(at_ns, _)| at_ns - start_ns < window_ns);
            prop_assert!(inside.map(|(_, cost)| cost).sum::<u64>() <= limit);
        }
    }
}

/// Row 12 of the list of pitfalls: nobody waits for what never comes.
#[test]
fn a_cost_above_the_limit_is_refused_for_good() {
    let log = log(10, SECOND_NS);
    for cost in [11, 1_000, u64::MAX] {
        let denied = log.try_consume(cost).unwrap_err();
        assert!(denied.is_never() && denied.retry_after().is_none());
        assert_eq!(log.time_until_available(cost), None);
    }
    assert!(log.try_consume(10).is_ok());
}

#[test]
fn what_cannot_be_kept_is_refused_with_the_field_and_the_limit() {
    let made = |limit, window| SlidingLog::new(limit, window).map(drop);
    let second = Duration::from_secs(1);
    assert_eq!(made(0, second), Err(QuotaError::ZeroLimit { limit: flowgate::Tokens::ZERO }));
    let error = made(limits::LARGEST_LOG + 1, second).unwrap_err();
    assert!(error.to_string().contains("limit 65537 is above 65536"), "{error}");
    assert_eq!(made(limits::LARGEST_LOG, second), Ok(()));
    let error = made(limits::LARGEST_LOG, Duration::from_millis(1)).unwrap_err();
    assert!(error.to_string().contains("window 1ms is below 1.048576ms"), "{error}");
    assert!(matches!(made(1, Duration::ZERO), Err(QuotaError::WindowTooShort { .. })));
    assert!(matches!(made(1, Duration::MAX), Err(QuotaError::PeriodTooLong { .. })));
    assert_eq!(made(1, limits::LONGEST_FILL), Ok(()));
}

#[test]
fn denials_and_questions_write_nothing() {
    let log = log(3, SECOND_NS);
    assert!(log.try_consume_at(3, 0).is_ok());
    // Asked at a later time, and denied: an earlier one is not put off by it.
    assert!(log.try_consume_at(2, SECOND_NS - 1).is_err());
    assert_eq!(log.available_at(5 * SECOND_NS), 3);
    assert!(log.try_consume_at(0, 5 * SECOND_NS).is_ok());
    assert_eq!(
        log.try_consume_at(1, 1).unwrap_err().retry_after(),
        Some(Duration::from_nanos(SECOND_NS - 1))
    );
    assert!(log.try_consume_at(3, SECOND_NS).is_ok());
}

/// Entries of many years lie in one ring, and none is taken for a later one.
#[test]
fn idle_for_years_nothing_is_misread() {
    for limit in [1, 2, 7, 1_000, 65_536] {
        let log = log(limit, SECOND_NS);
        let mut now_ns = 0;
        // 292 years, which is what a clock can show.
        for years in [
            9, 0, 8, 1, 9, 9, 0, 3, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
            9, 9, 9, 9,
        ] {
            now_ns += years * YEAR_NS + 3 * SECOND_NS;
            assert_eq!(log.available_at(now_ns), limit);
            assert!(log.try_consume_at(1, now_ns).is_ok());
            assert_eq!(log.available_at(now_ns), limit - 1);
            if limit < 10 {
                assert!(log.try_consume_at(limit, now_ns + SECOND_NS / 2).is_err());
            }
            // A clock that went back by years: nothing expires until it has caught up.
            let back_ns = now_ns.saturating_sub(9 * YEAR_NS);
            assert_eq!(log.available_at(back_ns), limit - 1);
        }
    }
    assert!(limits::LONGEST_IDLE > Duration::from_nanos(9 * YEAR_NS));
}

/// The window may be years.
#[test]
fn a_window_of_years_is_one() {
    let log = log(2, 4 * YEAR_NS);
    assert!(log.try_consume_at(1, 0).is_ok());
    assert!(log.try_consume_at(1, 3 * YEAR_NS).is_ok());
    assert!(log.try_consume_at(1, 4 * YEAR_NS - 1).is_err());
    assert!(log.try_consume_at(1, 4 * YEAR_NS).is_ok());
    assert!(log.try_consume_at(1, 7 * YEAR_NS - 1).is_err());
    assert!(log.try_consume_at(1, 7 * YEAR_NS).is_ok());
}

/// What others do while a clock is read for the nth time.
type Act = Rc<dyn Fn(u64)>;

/// Nothing expires by the latest time that the last grant may be of, only by the earliest.
#[test]
fn who_comes_late_in_a_tick_gains_nothing() {
    let log = log(1_000, 12_800);
    assert_eq!(log.tick(), Duration::from_nanos(128));
    assert!(log.try_consume_at(999, 0).is_ok());
    // Noted as of 12,800, when the others will have expired.
    assert!(log.try_consume_at(1, 12_673).is_ok());
    assert!(log.try_consume_at(1, 0).is_err());
    assert!(log.try_consume_at(1, 12_799).is_err());
    assert!(log.try_consume_at(1, 12_800).is_ok());
}

/// A ring holds entries of three centuries, of which two or three are in the window.
#[test]
fn entries_of_centuries_expire_in_their_turn() {
    for limit in [4, 1_000] {
        for step in 2..9 {
            let log = log(limit, 4 * YEAR_NS);
            for at in 0..250 / step {
                let now_ns = at * step * YEAR_NS;
                let alive = at.min((4 - 1) / step);
                assert_eq!(log.available_at(now_ns), limit - alive, "every {step} years, at {at}");
                assert!(log.try_consume_at(1, now_ns).is_ok());
            }
        }
        // Thirteen years lie between what is looked at.
        let log = log(limit, 4 * YEAR_NS);
        assert!(log.try_consume_at(1, 0).is_ok());
        assert!(log.try_consume_at(1, 4 * YEAR_NS - 1).is_ok());
        assert_eq!(log.available_at(13 * YEAR_NS - 2), limit);
    }
}

/// A clock at which others act: while it is read for the nth time, what is planned for then is done.
struct Meddling<F: Fn(u64)> {
    reads: AtomicU64,
    clock: ManualClock,
    meddle: F,
}

impl<F: Fn(u64)> Clock for Meddling<F> {
    fn now_ns(&self) -> u64 {
        let now_ns = self.clock.now_ns();
        (self.meddle)(self.reads.fetch_add(1, Relaxed));
        now_ns
    }
}

/// A thread has read the clock and is stopped; others are granted, and time goes on. It is answered by a later
/// reading.
#[test]
fn who_was_overtaken_looks_once_more() {
    thread_local!(static ACT: RefCell<Option<Act>> = const { RefCell::new(None) });
    let meddle = |read| {
        let act = ACT.with_borrow(Clone::clone);
        if let Some(act) = act {
            act(read);
        }
    };
    let clock = Meddling { reads: AtomicU64::new(0), clock: ManualClock::new(), meddle };
    let window = Duration::from_secs(1);
    let log = Rc::new(SlidingLog::with_clock(1, window, clock).unwrap());
    assert!(log.is_allowed_at(0));
    log.clock().clock.set_ns(500_000_000);
    let others = Rc::clone(&log);
    // At first somebody else is granted, at one second, and then two seconds are over.
    ACT.set(Some(Rc::new(move |read| {
        if read == 0 {
            assert!(others.is_allowed_at(SECOND_NS));
            others.clock().clock.set_ns(2 * SECOND_NS);
        }
    })));
    assert!(log.is_allowed());
    assert_eq!(log.clock().reads.load(Relaxed), 2);
    // Nobody else: one reading, and the answer stands.
    assert!(!log.is_allowed());
    assert_eq!(log.clock().reads.load(Relaxed), 3);
    ACT.set(None);
}

/// A thread with a time in hand from long ago is granted nothing that has not expired since.
#[test]
fn a_stalled_reader_is_granted_nothing_more() {
    let log = log(5, SECOND_NS);
    assert!(log.try_consume_at(5, 60 * SECOND_NS).is_ok());
    for stall_ns in [1, 1_000, SECOND_NS, 59 * SECOND_NS, 60 * SECOND_NS] {
        assert!(log.try_consume_at(1, 60 * SECOND_NS - stall_ns).is_err());
        assert_eq!(log.available_at(60 * SECOND_NS - stall_ns), 0);
    }
    assert!(log.try_consume_at(5, 61 * SECOND_NS).is_ok());
}

/// A grant and the readings of the clock before and after it.
type Timed = (u64, u64, u64);

/// What was surely granted within a window, for every window: grants whose call lies in it as a whole.
fn audit(mut grants: Vec<Timed>, limit: u64, window_ns: u64) {
    grants.sort_unstable();
    for (at, (start_ns, ..)) in grants.iter().enumerate() {
        let inside = grants[at..]
            .iter()
            .take_while(|(before_ns, ..)| before_ns - start_ns < window_ns)
            .filter(|(_, after_ns, _)| after_ns - start_ns < window_ns);
        let granted: u64 = inside.map(|(.., cost)| cost).sum();
        assert!(granted <= limit, "{granted} in the window from {start_ns}");
    }
}

/// Four threads, each calling `call` with costs; what they were granted.
fn storm<C: Clock + Sync>(
    calls: u64,
    clock: &C,
    call: impl Fn(u64) -> bool + Sync,
    tick: impl Fn(u64) + Sync,
) -> Vec<Timed> {
    let start = Barrier::new(4);
    let work = |seed: u64| {
        start.wait();
        let mut draw = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut grants = Vec::new();
        for _ in 0..calls {
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            let cost = 1 + draw % 3;
            tick(draw >> 20);
            let before_ns = clock.now_ns();
            if call(cost) {
                grants.push((before_ns, clock.now_ns(), cost));
            }
            if draw.is_multiple_of(61) {
                thread::yield_now();
            }
        }
        grants
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (1..5).map(|seed| scope.spawn(move || work(seed))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn never_over_under_stress_on_a_manual_clock() {
    for (limit, window_ns) in [(1, 3_000), (3, 2_000), (10, 10_000), (100, 100_000)] {
        let clock = ManualClock::at(SECOND_NS);
        let window = Duration::from_nanos(window_ns);
        let log = SlidingLog::with_clock(limit, window, &clock).unwrap();
        let grants = storm(
            20_000,
            &clock,
            |cost| log.try_consume(cost.min(limit)).is_ok(),
            |draw| {
                clock.advance(Duration::from_nanos(draw % 200));
            },
        );
        // Whether or not they wait, they use most of what there is.
        let cost = |cost: u64| cost.min(limit);
        let grants: Vec<_> = grants.into_iter().map(|(a, b, c)| (a, b, cost(c))).collect();
        let granted: u64 = grants.iter().map(|(.., cost)| cost).sum();
        let windows = (clock.now_ns() - SECOND_NS) / window_ns;
        assert!(granted * 2 >= limit * windows / 2, "{granted} of {}", limit * windows);
        audit(grants, limit, window_ns);
    }
}

#[test]
fn never_over_under_stress_on_the_system_clock() {
    for (limit, window_ns) in [(1, 2_000), (7, 5_000), (50, 20_000), (1_000, 100_000)] {
        let clock = SystemClock::new();
        let window = Duration::from_nanos(window_ns);
        let log = SlidingLog::with_clock(limit, window, &clock).unwrap();
        let grants =
            storm(20_000, &clock, |cost| cost <= limit && log.try_consume(cost).is_ok(), |_| ());
        assert!(!grants.is_empty());
        audit(grants, limit, window_ns);
    }
}

/// Threads take all there is, once.
#[test]
fn no_token_is_granted_twice() {
    for limit in [1, 2, 3, 5, 64] {
        for _ in 0..50 {
            let log = log(limit, SECOND_NS);
            let grants = storm(40, log.clock(), |_| log.is_allowed(), |_| ());
            assert_eq!(grants.len() as u64, limit.min(160));
            assert_eq!(log.available(), 0);
        }
    }
}

#[cfg(feature = "keyed")]
mod keyed {
    use std::collections::HashMap;

    use flowgate::KeyedSlidingLog;

    use super::*;

    fn logs(limit: u64, window_ns: u64, max_keys: u64) -> KeyedSlidingLog<u8, ManualClock> {
        let window = Duration::from_nanos(window_ns);
        KeyedSlidingLog::with_max_keys(limit, window, max_keys, ManualClock::new()).unwrap()
    }

    proptest! {
        /// What a log of each key would say, to the nanosecond, whatever is dropped meanwhile.
        #[test]
        fn is_a_model_per_key(
            limit in 1_u64..=10, window_ns in 1_u64..400,
            calls in prop::collection::vec((0_u64..60, 0_u8..12, 0_u64..=11), 1..300),
        ) {
            let logs = logs(limit, window_ns, 1 << 24);
            let mut models: HashMap<u8, Model> = HashMap::new();
            let mut now_ns = 0;
            for (step_ns, key, cost) in calls {
                now_ns += step_ns / 4;
                let model = models.entry(key).or_default();
                let left = limit - model.used(now_ns, window_ns);
                prop_assert_eq!(logs.available_at(&key, now_ns), left);
                let wait = logs.time_until_available_at(&key, cost, now_ns);
                match logs.try_consume_at(&key, cost, now_ns) {
                    Ok(granted) => {
                        prop_assert!(cost <= left);
                        prop_assert_eq!(granted.remaining(), left - cost);
                        prop_assert_eq!(wait, Some(Duration::ZERO));
                        if cost > 0 {
                            model.note(cost, now_ns);
                        }
                        let full_ns = now_ns + nanos(granted.full_after());
                        prop_assert_eq!(model.used(full_ns, window_ns), 0);
                        prop_assert!(full_ns == now_ns || model.used(full_ns - 1, window_ns) > 0);
                    }
                    Err(Denied::Never(_)) => prop_assert!(cost > limit && wait.is_none()),
                    Err(denied) => {
                        prop_assert!(cost > left && cost <= limit);
                        prop_assert_eq!(denied.retry_after(), wait);
                        let then_ns = now_ns + nanos(wait.unwrap());
                        prop_assert!(model.used(then_ns, window_ns) + cost <= limit);
                        prop_assert!(model.used(then_ns - 1, window_ns) + cost > limit);
                    }
                }
                let live = models.values().filter(|model| model.used(now_ns, window_ns) > 0).count();
                prop_assert!(logs.len() >= live);
            }
            logs.sweep_at(now_ns);
            let live = models.values().filter(|model| model.used(now_ns, window_ns) > 0).count();
            prop_assert_eq!(logs.len(), live);
        }

        /// Times that go back: each call is between the time it was given and the latest one so far.
        #[test]
        fn never_over_with_stale_times(
            limit in 1_u64..=5, window_ns in 1_u64..200,
            calls in prop::collection::vec((0_u64..40, 0_u64..300, 0_u8..6, 1_u64..=3), 1..300),
        ) {
            let logs = logs(limit, window_ns, 4);
            let mut grants: HashMap<u8, Vec<Timed>> = HashMap::new();
            let mut real_ns = 1_000;
            for (step_ns, stale_ns, key, cost) in calls {
                real_ns += step_ns;
                let now_ns = real_ns - if stale_ns < 150 { 0 } else { stale_ns };
                if logs.try_consume_at(&key, cost, now_ns).is_ok() {
                    grants.entry(key).or_default().push((now_ns, real_ns, cost));
                }
                if step_ns == 7 {
                    logs.sweep_at(now_ns);
                }
                prop_assert!(logs.len() <= 4);
            }
            for grants in grants.into_values() {
                audit(grants, limit, window_ns);
            }
        }
    }

    #[test]
    fn memory_follows_use() {
        let window = Duration::from_secs(1);
        let logs = KeyedSlidingLog::<u64, _>::with_clock(5, window, ManualClock::new()).unwrap();
        for key in 0..20_000 {
            assert!(logs.is_allowed(&key));
        }
        assert_eq!(logs.len(), 20_000);
        // New keys drop the old ones, four for each.
        logs.clock().advance(window);
        for key in 20_000..40_000 {
            assert!(logs.is_allowed(&key));
        }
        assert!(logs.len() < 22_000, "{}", logs.len());
        // Those that are only asked about, or denied, or cost nothing, are not added.
        logs.clock().advance(window);
        logs.sweep();
        assert!(logs.is_empty());
        assert_eq!(logs.available(&1), 5);
        assert!(logs.try_consume(&1, 6).is_err() && logs.try_consume(&1, 0).is_ok());
        assert!(logs.is_empty());
    }

    #[test]
    fn one_key_more_is_denied_until_another_has_expired() {
        let window = Duration::from_secs(1);
        // Many parts: room is found in others than the key's own.
        let logs =
            KeyedSlidingLog::<u64, _>::with_max_keys(5, window, 4_096, ManualClock::new()).unwrap();
        for key in 0..4_096 {
            assert!(logs.is_allowed(&key));
        }
        let denied = logs.try_consume(&9_999, 1).unwrap_err();
        assert!(matches!(denied, Denied::NoRoom(_)));
        assert_eq!(denied.retry_after(), Some(window));
        assert_eq!(logs.time_until_available(&9_999, 1), None);
        logs.clock().advance(window / 2);
        assert!((1..4_096).all(|key| logs.is_allowed(&key)));
        logs.clock().advance(window / 2);
        let tries = (0..200).take_while(|_| !logs.is_allowed(&9_999)).count();
        // Each has paid for looking at 64.
        assert!(tries <= 64 + 16, "{tries}");
        assert!(logs.len() <= 4_096);
    }

    /// A key that was dropped comes back at an earlier time: it is as old as its drop.
    #[test]
    fn who_comes_back_earlier_gains_nothing() {
        let logs = logs(2, 60, 100);
        assert!(logs.try_consume_at(&1, 2, 50).is_ok());
        assert_eq!(logs.sweep_at(110), 1);
        assert!(logs.try_consume_at(&1, 2, 50).is_ok());
        assert!(logs.try_consume_at(&1, 1, 169).is_err());
        assert!(logs.try_consume_at(&1, 1, 170).is_ok());
    }

    #[test]
    fn keys_are_found_by_what_they_borrow() {
        let window = Duration::from_secs(1);
        let logs = KeyedSlidingLog::<String>::new(1, window).unwrap();
        assert!(logs.is_allowed("alice") && !logs.is_allowed(&String::from("alice")));
    }

    #[test]
    fn never_over_under_stress() {
        let (limit, window_ns) = (20, 20_000);
        let clock = SystemClock::new();
        let window = Duration::from_nanos(window_ns);
        let logs = KeyedSlidingLog::<u64, _>::with_max_keys(limit, window, 2, &clock).unwrap();
        let turn = AtomicU64::new(0);
        let grants = storm(
            20_000,
            &clock,
            |cost| {
                // Others come and go, and make sweeps.
                let turn = turn.fetch_add(1, Relaxed);
                if turn.is_multiple_of(16) {
                    logs.is_allowed(&(2 + turn / 16 % 3));
                }
                logs.try_consume(&1, cost).is_ok()
            },
            |_| (),
        );
        audit(grants, limit, window_ns);
    }
}
