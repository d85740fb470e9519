//! The script on a real server against exact models: random limits over the whole range, random histories of several keys, and
//! times that also go back.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
mod model;
#[allow(dead_code)]
#[path = "model/instant.rs"]
mod model_instant;
#[allow(dead_code)]
#[path = "model/window.rs"]
mod model_window;
mod redis_server;

use std::sync::Arc;
use std::time::Duration;

use flowgate::redis::{RedisError, RedisLimit, RedisLimiter, RedisStore};
use flowgate::{
    Algorithm, Denied, FixedWindow, Gcra, LeakyBucket, LeakyQueue, ManualClock, Quota,
    SlidingWindow, Tokens,
};
use model::{Exact, nanos};
use model_instant::Virtual;
use model_window::Counts;
use num_bigint::BigInt;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use redis::Connection;
use redis_server::{Server, no_server, say};

const CASES: u32 = 150;
const YEAR_US: u64 = 365 * 86_400 * 1_000_000;
/// Some day of 2026.
const START_US: u64 = 1_790_000_000_000_000;

/// What an algorithm should say, in billionths of a token and nanoseconds.
#[derive(Clone)]
enum Model {
    Bucket(Exact),
    Instant(Virtual),
    Windows(Counts),
}

impl Model {
    fn holds(&self, cost: &BigInt, now_ns: u64) -> bool {
        match self {
            Self::Bucket(exact) => {
                let mut exact = exact.clone();
                let cost = exact.scaled(cost.clone());
                *exact.level_at(now_ns) >= cost
            }
            Self::Instant(instant) => instant.holds(cost, now_ns),
            Self::Windows(counts) => counts.holds(u128::try_from(cost).unwrap(), now_ns),
        }
    }

    fn take(&mut self, cost: &BigInt, now_ns: u64) {
        match self {
            Self::Bucket(exact) => {
                exact.level_at(now_ns);
                exact.take(cost.clone());
            }
            Self::Instant(instant) => instant.take(cost, now_ns),
            Self::Windows(counts) => counts.take(u128::try_from(cost).unwrap(), now_ns),
        }
    }

    fn give(&mut self, cost: &BigInt, now_ns: u64) {
        match self {
            Self::Bucket(exact) => {
                exact.level_at(now_ns);
                exact.give(cost.clone());
            }
            Self::Instant(instant) => instant.give(cost, now_ns),
            Self::Windows(counts) => counts.give(u128::try_from(cost).unwrap(), now_ns),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Forward, or back.
    Time(i64),
    /// Of a key, in 256ths of the capacity.
    Take(usize, u8),
    Give(usize, u8),
    Charge(usize, u8),
    UpTo(usize, u8),
    Look(usize),
}

impl Step {
    fn key(&self) -> Option<usize> {
        match *self {
            Self::Time(_) => None,
            Self::Take(key, _) | Self::Give(key, _) | Self::Charge(key, _) | Self::UpTo(key, _) => {
                Some(key)
            }
            Self::Look(key) => Some(key),
        }
    }
}

/// Uniform in its logarithm: as often tiny as huge.
fn log_uniform(largest_bits: u32) -> impl Strategy<Value = u64> {
    (0..=largest_bits, any::<u64>()).prop_map(|(bits, noise)| {
        let top = 1_u64 << bits;
        top | (noise & (top - 1))
    })
}

fn amount(largest_bits: u32) -> impl Strategy<Value = Tokens> {
    prop_oneof![
        4 => log_uniform(largest_bits).prop_map(Tokens::new),
        1 => log_uniform(largest_bits).prop_map(|digits| Tokens::decimal(digits, 3)),
        1 => Just(Tokens::decimal(25, 1)),
    ]
}

/// Most of them take minutes to years to fill: what fills in no time is forgotten at once.
fn quota() -> impl Strategy<Value = Quota> {
    let period_ns = prop_oneof![
        3 => Just(1_000_000_000_u64),
        1 => Just(60_000_000_000),
        1 => Just(86_400_000_000_000),
        2 => log_uniform(45),
    ];
    let seconds = log_uniform(25);
    (amount(20), period_ns, seconds, 0_u64..1_000).prop_map(|(tokens, period_ns, seconds, more)| {
        let periods = (seconds * 1_000_000_000).div_ceil(period_ns);
        let burst = tokens.whole().max(1).saturating_mul(periods).saturating_add(more);
        Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst)
    })
}

fn window() -> impl Strategy<Value = (Tokens, Duration)> {
    let us = log_uniform(22).prop_map(|us| us + (1 << 22));
    let us = prop_oneof![us, log_uniform(36).prop_map(|us| us + (1 << 22))];
    (amount(16), us).prop_map(|(limit, us)| (limit, Duration::from_micros(us)))
}

/// The time in which about a bucketful comes, in microseconds, is the measure of the steps.
fn steps(measure_us: u64) -> impl Strategy<Value = Vec<Step>> {
    let near = i64::try_from(measure_us.min(YEAR_US)).unwrap().max(4);
    let key = 0_usize..3;
    let step = prop_oneof![
        4 => (0..=near / 4).prop_map(Step::Time),
        2 => (0..=3_i64).prop_map(Step::Time),
        1 => (0..=near).prop_map(|us| Step::Time(-us)),
        1 => (0..=near * 4).prop_map(Step::Time),
        8 => (key.clone(), any::<u8>()).prop_map(|(key, part)| Step::Take(key, part)),
        4 => (key.clone(), Just(0)).prop_map(|(key, part)| Step::Take(key, part)),
        1 => (key.clone(), any::<u8>()).prop_map(|(key, part)| Step::Give(key, part)),
        1 => (key.clone(), any::<u8>()).prop_map(|(key, part)| Step::Charge(key, part)),
        1 => (key.clone(), any::<u8>()).prop_map(|(key, part)| Step::UpTo(key, part)),
        2 => key.prop_map(Step::Look),
    ];
    prop::collection::vec(step, 1..40)
}

/// One server, one runtime, many histories.
struct Bench {
    _server: Server,
    connection: Connection,
    runtime: tokio::runtime::Runtime,
    store: RedisStore,
    clock: Arc<ManualClock>,
    histories: u64,
    /// Steps that found a key.
    lived: u64,
}

impl Bench {
    fn new() -> Self {
        let server = Server::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = Arc::new(ManualClock::new());
        let store = runtime.block_on(RedisStore::connect(&server.url())).unwrap();
        let store = store.client_clock(clock.clone()).timeout(Duration::from_secs(30));
        let connection = server.connection();
        Self { _server: server, connection, runtime, store, clock, histories: 0, lived: 0 }
    }

    /// Plays a history, and compares each answer. `start_us` tells since when the state of a key counts that was written at some
    /// time: a clock that goes back before that stands still.
    fn play<A: Algorithm>(
        &mut self,
        algorithm: A,
        places: Option<u32>,
        fresh: &Model,
        start_us: impl Fn(u64) -> u64,
        steps: &[Step],
    ) {
        self.histories += 1;
        let name = format!("history{}", self.histories);
        let limiter = match places {
            Some(places) => RedisLimiter::with_places(&self.store, algorithm, places),
            None => RedisLimiter::new(&self.store, algorithm),
        };
        let limiter = limiter.unwrap().named(&name);
        let unit = nanos(limiter.limit().unit());
        let capacity = nanos(limiter.limit().capacity());
        // A cost of a part of the capacity, in whole units, one at least.
        let cost = |part: u8| {
            let units = &capacity / &unit * part / 255_u8;
            units.max(BigInt::from(1)) * &unit
        };
        let mut now_us = START_US;
        let mut keys = vec![(fresh.clone(), 0_u64); 3];
        for step in steps {
            if let Some(key) = step.key() {
                self.settle_expiry(&name, key, &mut keys[key], fresh);
            }
            match *step {
                Step::Time(us) => now_us = now_us.saturating_add_signed(us),
                Step::Take(key, part) => {
                    let cost = cost(part);
                    let (model, stored_us) = &mut keys[key];
                    let at_us = now_us.max(*stored_us);
                    let holds = model.holds(&cost, at_us * 1_000);
                    let before_ms = self.time_ms();
                    self.clock.set_ns(now_us * 1_000);
                    let said =
                        self.runtime.block_on(limiter.try_consume(key as u64, tokens(&cost)));
                    match said {
                        Ok(granted) => {
                            assert!(holds, "granted {cost} at {now_us}");
                            model.take(&cost, at_us * 1_000);
                            *stored_us = start_us(at_us);
                            let left = nanos(granted.remaining());
                            check_left(model, &left, &unit, &capacity, at_us * 1_000);
                            let full_us = granted.full_after().as_micros();
                            self.check_ttl(
                                &name,
                                key,
                                full_us,
                                before_ms,
                                matches!(model, Model::Windows(_)),
                            );
                        }
                        Err(RedisError::Denied(denied @ Denied::NotYet(_))) => {
                            assert!(!holds, "denied {cost} at {now_us}");
                            let wait = denied.retry_after().unwrap();
                            assert_eq!(wait.subsec_nanos() % 1_000, 0);
                            let wait_us = u64::try_from(wait.as_micros()).unwrap();
                            let after = |us: u64| (now_us + us).max(*stored_us) * 1_000;
                            assert!(wait_us > 0);
                            assert!(model.holds(&cost, after(wait_us)), "{wait_us} is too short");
                            assert!(
                                !model.holds(&cost, after(wait_us - 1)),
                                "{wait_us} is too long"
                            );
                        }
                        other => panic!("{other:?}"),
                    }
                }
                Step::Give(key, part) => {
                    let cost = cost(part);
                    let at_us = now_us.max(keys[key].1);
                    self.clock.set_ns(now_us * 1_000);
                    let written = self.value(&name, key);
                    self.runtime.block_on(limiter.refund(key as u64, tokens(&cost))).unwrap();
                    let mut model = keys[key].0.clone();
                    model.give(&cost, at_us * 1_000);
                    let (left, _) = self.look(&limiter, key, now_us);
                    check_left(&model, &left, &unit, &capacity, at_us * 1_000);
                    // What changes nothing is not written.
                    if self.value(&name, key) != written {
                        keys[key] = (model, start_us(at_us));
                    }
                }
                Step::Charge(key, part) => {
                    let cost = cost(part);
                    self.clock.set_ns(now_us * 1_000);
                    let said = limiter.charge(key as u64, tokens(&cost));
                    let missing = nanos(self.runtime.block_on(said).unwrap());
                    if missing > BigInt::ZERO {
                        // At the deepest debt what was taken is told in whole units only: no more to compare.
                        self.forget(&name, key);
                        keys[key] = (fresh.clone(), 0);
                        continue;
                    }
                    let (model, stored_us) = &mut keys[key];
                    let at_us = now_us.max(*stored_us);
                    model.take(&cost, at_us * 1_000);
                    *stored_us = start_us(at_us);
                    let (left, _) = self.look(&limiter, key, now_us);
                    check_left(model, &left, &unit, &capacity, at_us * 1_000);
                }
                Step::UpTo(key, max) => {
                    let (model, stored_us) = &mut keys[key];
                    let at_us = now_us.max(*stored_us);
                    self.clock.set_ns(now_us * 1_000);
                    let said = limiter.consume_up_to(key as u64, u64::from(max));
                    let taken = self.runtime.block_on(said).unwrap();
                    let token = BigInt::from(1_000_000_000);
                    let cost = BigInt::from(taken) * &token;
                    assert!(taken == 0 || model.holds(&cost, at_us * 1_000), "took {taken}");
                    if taken < max.into() {
                        assert!(!model.holds(&(&cost + &token), at_us * 1_000), "only {taken}");
                    }
                    if taken > 0 {
                        model.take(&cost, at_us * 1_000);
                        *stored_us = start_us(at_us);
                    }
                }
                Step::Look(key) => {
                    let (model, stored_us) = keys[key].clone();
                    let at_us = now_us.max(stored_us);
                    let (left, wait) = self.look(&limiter, key, now_us);
                    check_left(&model, &left, &unit, &capacity, at_us * 1_000);
                    let wait_us = u64::try_from(wait.as_micros()).unwrap();
                    let after = |us: u64| (now_us + us).max(stored_us) * 1_000;
                    assert!(model.holds(&capacity, after(wait_us)));
                    assert!(wait_us == 0 || !model.holds(&capacity, after(wait_us - 1)));
                }
            }
        }
    }

    /// What is available, and how long until all is.
    fn look<A: Algorithm>(
        &self,
        limiter: &RedisLimiter<A>,
        key: usize,
        now_us: u64,
    ) -> (BigInt, Duration) {
        self.clock.set_ns(now_us * 1_000);
        let capacity = limiter.limit().capacity();
        let (left, wait) = self.runtime.block_on(async {
            let left = limiter.available(key as u64).await.unwrap();
            (left, limiter.time_until_available(key as u64, capacity).await.unwrap())
        });
        (nanos(left), wait.unwrap())
    }

    /// The server's time goes on while the limiter's stands still: a key that would soon expire, or has, is one without history.
    fn settle_expiry(&mut self, name: &str, key: usize, state: &mut (Model, u64), fresh: &Model) {
        let called = format!("{name}:{{{key}}}");
        let rest_ms: i64 = say(&mut self.connection, &["PTTL", &called]);
        if rest_ms < 1_000 {
            self.forget(name, key);
            *state = (fresh.clone(), 0);
        } else {
            self.lived += 1;
        }
    }

    fn forget(&mut self, name: &str, key: usize) {
        let (): () = say(&mut self.connection, &["DEL", &format!("{name}:{{{key}}}")]);
    }

    fn value(&mut self, name: &str, key: usize) -> Option<Vec<u8>> {
        say(&mut self.connection, &["GET", &format!("{name}:{{{key}}}")])
    }

    fn time_ms(&mut self) -> u64 {
        let (seconds, micros): (u64, u64) = say(&mut self.connection, &["TIME"]);
        seconds * 1_000 + micros / 1_000
    }

    /// The key outlives what is missing, by two milliseconds at most; of windows, by one window at most.
    fn check_ttl(&mut self, name: &str, key: usize, full_us: u128, before_ms: u64, counts: bool) {
        let key = format!("{name}:{{{key}}}");
        let expires_ms: i64 = say(&mut self.connection, &["PEXPIRETIME", &key]);
        let after_ms = self.time_ms();
        let full_ms = u64::try_from(full_us.div_ceil(1_000)).unwrap();
        let Ok(expires_ms) = u64::try_from(expires_ms) else {
            // Gone already.
            assert!(after_ms > before_ms + full_ms, "gone {full_ms} ms early");
            return;
        };
        assert!(expires_ms > before_ms + full_ms, "{expires_ms} {before_ms} {full_ms}");
        if !counts {
            assert!(expires_ms <= after_ms + full_ms + 2, "{expires_ms} {after_ms} {full_ms}");
        }
    }
}

/// Whether that is what is left, to the unit: rounded down.
fn check_left(model: &Model, left: &BigInt, unit: &BigInt, capacity: &BigInt, now_ns: u64) {
    assert!(left % unit == BigInt::ZERO);
    if *left > BigInt::ZERO {
        assert!(model.holds(left, now_ns), "{left} are not left");
    }
    if left < capacity {
        assert!(!model.holds(&(left + unit), now_ns), "more than {left} are left");
    }
}

fn tokens(nanos: &BigInt) -> Tokens {
    let whole: BigInt = nanos / 1_000_000_000;
    let rest: BigInt = nanos % 1_000_000_000;
    Tokens::new(u64::try_from(whole).unwrap())
        .saturating_add(Tokens::decimal(u64::try_from(rest).unwrap(), 9))
}

fn check<S: Strategy>(strategy: S, mut play: impl FnMut(&mut Bench, S::Value)) {
    if no_server() {
        return;
    }
    let bench = std::cell::RefCell::new(Bench::new());
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    let play = std::cell::RefCell::new(&mut play);
    TestRunner::new(config)
        .run(&strategy, |value| {
            (play.borrow_mut())(&mut bench.borrow_mut(), value);
            Ok(())
        })
        .unwrap();
    assert!(bench.borrow().histories > u64::from(CASES) / 4, "most limits were refused");
    assert!(bench.borrow().lived > u64::from(CASES), "most keys expired");
}

/// How long a bucket takes to fill, in microseconds.
fn fill_us(quota: &Quota) -> u64 {
    u64::try_from(quota.fill_time().as_micros()).unwrap()
}

fn quota_and_steps() -> impl Strategy<Value = (Quota, Option<u32>, Vec<Step>)> {
    (quota(), prop_oneof![3 => Just(None), 1 => (0_u32..5).prop_map(Some)]).prop_flat_map(
        |(quota, places)| steps(fill_us(&quota)).prop_map(move |steps| (quota, places, steps)),
    )
}

fn level<A: Algorithm>(make: impl Fn(Quota) -> A, model: impl Fn(Quota) -> Model) {
    check(quota_and_steps(), |bench, (quota, places, steps)| {
        let made = match places {
            Some(places) => RedisLimit::places(make(quota), places),
            None => RedisLimit::new(make(quota)),
        };
        let Ok(limit) = made else { return };
        // Its capacity is rounded down to a unit.
        let quota = quota.burst(limit.capacity());
        bench.play(make(quota), places, &model(quota), |at_us| at_us, &steps);
    });
}

#[test]
fn a_token_bucket_is_exact() {
    level(|quota| quota, |quota| Model::Bucket(Exact::full(quota, 0)));
}

#[test]
fn gcra_is_exact() {
    level(Gcra::new, |quota| Model::Instant(Virtual::new(quota, 0, 0)));
}

#[test]
fn a_leaky_bucket_is_exact() {
    level(LeakyBucket::new, |quota| Model::Instant(Virtual::new(quota, 0, 0)));
}

#[test]
fn a_leaky_queue_is_exact() {
    check(quota_and_steps(), |bench, (quota, _, steps)| {
        let Ok(limit) = RedisLimit::new(LeakyQueue::new(quota)) else { return };
        assert_eq!(limit.capacity(), quota.capacity().saturating_add(Tokens::ONE));
        let model = Model::Instant(Virtual::new(quota, 1, 0));
        bench.play(LeakyQueue::new(quota), None, &model, |at_us| at_us, &steps);
    });
}

fn windows<A: Algorithm>(make: impl Fn(Tokens, Duration) -> A, weighs: bool) {
    let strategy = window().prop_flat_map(|(limit, period)| {
        let us = u64::try_from(period.as_micros()).unwrap();
        steps(us).prop_map(move |steps| (limit, period, steps))
    });
    check(strategy, |bench, (limit, period, steps)| {
        if RedisLimit::new(make(limit, period)).is_err() {
            return;
        }
        let period_ns = u64::try_from(period.as_nanos()).unwrap();
        let limit_nanos = u128::try_from(&nanos(limit)).unwrap();
        let model = Model::Windows(Counts::new(period_ns, limit_nanos, weighs, 0));
        let start_us = |at_us: u64| at_us - at_us % (period_ns / 1_000);
        bench.play(make(limit, period), None, &model, start_us, &steps);
    });
}

#[test]
fn a_fixed_window_is_exact() {
    windows(FixedWindow::new, false);
}

#[test]
fn a_sliding_window_is_exact() {
    windows(SlidingWindow::new, true);
}
