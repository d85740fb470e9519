//! Several processes, one store and a network between them, in simulated time: whatever is lost, late, repeated or forgotten, the
//! judge finds no window of time with more than capacity + rate × window.

use core::time::Duration;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use proptest::prelude::*;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::ask::{Ask, Hint, Lessor, Told};
use super::leases::{Leases, Taken};
use super::settings::{Lease, WhenDown};
use super::share::share_of;
use super::shared::Shared;
use super::task::Task;
use super::terms::Terms;
use crate::cell::Cell;
use crate::clock::Clock;
use crate::error::Denied;
use crate::quota::Quota;
use crate::redis::{StoreError, StoreErrorKind};
use crate::tokens::Tokens;
use crate::wait::TokioClock;

/// Random numbers that are the same for the same seed.
struct Dice(Cell);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    fn below(&self, end: u64) -> u64 {
        let mut mixed = self.0.add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    fn one_in(&self, many: u64) -> bool {
        many > 0 && self.below(many) == 0
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    /// One call in so many is lost on its way, or its answer on the way back; 0: none.
    lost_asks: u64,
    lost_answers: u64,
    /// One call in so many takes up to so long.
    slow: u64,
    slow_ms: u64,
    /// The way to the server takes so much longer for each process than for the one before it.
    farther_ms: u64,
    /// The server is started anew this often, and has forgotten everything; or what came after the half of that time.
    forgets_ms: u64,
    by_half: bool,
    /// The server is away for this long, in the middle.
    away_ms: u64,
    /// The server's clock steps by so much, in the middle.
    step_ms: i64,
}

/// The bucket of one key, as the script keeps it. Written for this test, by the words of `lease/ask.rs`.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: i128,
    at_us: u64,
}

struct Store {
    terms: Terms,
    bucket: Mutex<Option<Bucket>>,
    /// When the server was started, by its clock.
    started_us: Cell,
    faults: Faults,
    dice: Dice,
    start: Instant,
    run: Duration,
    hints: Hints,
    /// Whether it is taken to have lost its data when it was started.
    doubts: bool,
}

/// What processes tell of what they know.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hints {
    All,
    /// As if all processes were new whenever the server is.
    OfThisServer,
    None,
}

const TIMEOUT: Duration = Duration::from_millis(40);
/// The server's clock at the start.
const ORIGIN_US: u64 = 1_700_000_000_000_000;

impl Store {
    fn now_us(&self) -> u64 {
        let elapsed = self.start.elapsed();
        let us = ORIGIN_US + u64::try_from(elapsed.as_micros()).unwrap();
        let stepped = elapsed > self.run / 2;
        us.saturating_add_signed(if stepped { self.faults.step_ms * 1_000 } else { 0 })
    }

    fn is_away(&self) -> bool {
        let since = self.start.elapsed().saturating_sub(self.run / 3);
        !since.is_zero() && since < Duration::from_millis(self.faults.away_ms)
    }

    fn carry_out(&self, ask: Ask) -> Told {
        let scale = self.terms.scale;
        let (rate, unit) = (i128::from(scale.refill()), i128::from(scale.period_us()));
        let full = i128::from(scale.capacity_grains()) * unit;
        let lowest = -(i128::from(scale.debt_grains()) * unit);
        let mut kept = self.bucket.lock().unwrap();
        let bucket = kept.get_or_insert(Bucket { level: full, at_us: 0 });
        let now_us = self.now_us().max(bucket.at_us);
        let refill = |level: i128, at_us: u64| {
            full.min(level + rate * i128::from(now_us.saturating_sub(at_us)))
        };
        let mut level = refill(bucket.level, bucket.at_us);
        let hint = ask.hint.filter(|hint| match self.hints {
            Hints::All => true,
            Hints::OfThisServer => hint.server_us >= self.started_us.load(),
            Hints::None => false,
        });
        if let Some(hint) = hint {
            level = level.min(refill(hint.level.into(), hint.server_us)).min(hint.ceiling.into());
        }
        // A server tells whole seconds: this is the end of the one in which it was started.
        let started_us = (self.started_us.load() / 1_000_000 + 1) * 1_000_000;
        let is_of_this_start = |hint: Hint| (started_us..=self.now_us()).contains(&hint.server_us);
        if self.doubts && (bucket.at_us == 0 || !hint.is_some_and(is_of_this_start)) {
            let up_us = self.now_us().saturating_sub(started_us);
            level = level.min(rate * i128::from(up_us));
        }
        level = (level - i128::from(ask.charge) * unit).max(lowest);
        let there = u64::try_from((level / unit).max(0)).unwrap();
        let granted = if there >= ask.least { there.min(ask.most) } else { 0 };
        level -= i128::from(granted) * unit;
        *bucket = Bucket { level, at_us: now_us };
        let missing = (i128::from(ask.least) * unit - level).max(0);
        let wait_us = if granted == 0 { (missing + rate - 1) / rate } else { 0 };
        Told {
            granted,
            level: i64::try_from(level).unwrap(),
            server_us: now_us,
            wait_us: u64::try_from(wait_us).unwrap(),
        }
    }
}

struct Process(Arc<Store>, u32);

impl Lessor for Process {
    async fn lease(&self, _key: &[u8], ask: Ask) -> Result<Told, StoreError> {
        let store = &self.0;
        let (faults, dice) = (&store.faults, &store.dice);
        let late = |base_us: u64| {
            let slow_us =
                if dice.one_in(faults.slow) { dice.below(faults.slow_ms * 1_000) } else { 0 };
            Duration::from_micros(base_us + dice.below(base_us) + slow_us)
        };
        // A call that times out goes on all the same, and is carried out.
        let farther = Duration::from_millis(faults.farther_ms) * self.1;
        let (there, back) = (late(80) + farther, late(80));
        let (lost_ask, lost_answer) =
            (dice.one_in(faults.lost_asks), dice.one_in(faults.lost_answers));
        let (tell, told) = oneshot::channel();
        let carrying = Arc::clone(store);
        tokio::spawn(async move {
            sleep(there).await;
            if lost_ask || carrying.is_away() {
                sleep(TIMEOUT * 2).await;
                return;
            }
            let answer = carrying.carry_out(ask);
            sleep(back).await;
            if !lost_answer {
                let _ = tell.send(answer);
            }
        });
        match tokio::time::timeout(TIMEOUT, told).await {
            Ok(Ok(told)) => Ok(told),
            _ => Err(StoreError::new(StoreErrorKind::TimedOut, "")),
        }
    }
}

/// What was granted, and when, in all processes.
type Log = Arc<Mutex<Vec<(u64, u64)>>>;

/// The most, over all windows, that was granted beyond capacity + rate × window; in tokens.
fn judged(log: &[(u64, u64)], quota: &Quota) -> f64 {
    let mut log = log.to_vec();
    log.sort_unstable();
    let rate = quota.tokens().whole() as f64 / quota.period().as_nanos() as f64;
    let capacity = quota.capacity().whole() as f64;
    // The best window that ends at each grant: either it begins with it, or it is the best one before, and the time in between.
    let (mut best, mut worst, mut last_ns) = (0.0_f64, f64::MIN, 0);
    for (at_ns, tokens) in log {
        best = (best - rate * (at_ns - last_ns) as f64).max(0.0) + tokens as f64;
        worst = worst.max(best - capacity);
        last_ns = at_ns;
    }
    worst
}

struct Outcome {
    over: f64,
    granted: u64,
    /// By each process.
    shares: Vec<u64>,
    asked: u64,
}

/// How each process asks: this often on average, and, once in so many calls, after a rest.
#[derive(Clone, Copy, Debug)]
struct Traffic {
    pace_us: u64,
    rests: u64,
    /// The longest of these rests.
    rest_ms: u64,
    /// Whether they call one after the other, each for so long; 0: they do not.
    turn_ms: u64,
    /// Whether all rest at the same times, and call once in the middle of it: they lease then, and the store is full again when they
    /// begin.
    in_step: bool,
}

impl Traffic {
    fn is_on(self, since: Duration, process: u32, processes: u32) -> bool {
        let ms = since.as_millis();
        let has_turn = ms
            .checked_div(self.turn_ms.into())
            .is_none_or(|turn| turn % u128::from(processes) == process.into());
        has_turn && (!self.in_step || matches!(ms % 400, 0..120 | 220..222 | 376..400))
    }
}

/// More than is there, all the time.
const BUSY: Traffic = Traffic { pace_us: 100, rests: 0, rest_ms: 0, turn_ms: 0, in_step: false };
const IN_STEP: Traffic = Traffic { pace_us: 50, in_step: true, ..BUSY };
/// Each takes all that there is, and rests while the others do.
const BY_TURNS: Traffic = Traffic { turn_ms: 400, ..BUSY };

/// Runs some processes for a while of simulated time.
fn run(
    seed: u64,
    quota: Quota,
    lease: Lease,
    processes: u32,
    traffic: Traffic,
    faults: Faults,
    hints: Hints,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let run = Duration::from_secs(4);
    runtime.block_on(async move {
        let terms = lease.terms(&quota, TIMEOUT).unwrap();
        let store = Arc::new(Store {
            terms: terms.clone(),
            bucket: Mutex::new(None),
            // It has run for an hour.
            started_us: Cell::new(ORIGIN_US - 3_600_000_000),
            faults,
            dice: Dice::new(seed),
            start: Instant::now(),
            run,
            hints,
            doubts: lease.is_empty_after_restart(),
        });
        let log = Log::default();
        let mut callers = Vec::new();
        let mut all = Vec::new();
        for process in 0..processes {
            let (wanting, wanted) = mpsc::unbounded_channel();
            let share = match lease.is_when_down() {
                WhenDown::Share { processes } => share_of(quota, processes),
                _ => quota,
            };
            let clock = TokioClock::new();
            let shared =
                Arc::new(Shared::new(terms.clone(), clock, lease.is_when_down(), quota, share));
            let leases =
                Arc::new(Leases::<std::string::String, _>::new(shared.clone(), wanting, 10));
            let lessor = Process(store.clone(), process);
            let (stop, stopped) = oneshot::channel();
            tokio::spawn(Task::new(shared, lessor, Arc::downgrade(&leases), wanted).run(stopped));
            let (log, start) = (log.clone(), store.start);
            let dice = Dice::new(seed ^ u64::from(process + 1).wrapping_mul(0x1234_5678_9abc_def1));
            all.push(leases.clone());
            callers.push(tokio::spawn(async move {
                let _stop = stop;
                let mut granted = 0;
                let mut at = start;
                while at < start + run {
                    // Bursts, with rests.
                    let pause_us = if dice.one_in(traffic.rests) {
                        dice.below(traffic.rest_ms * 1_000)
                    } else {
                        dice.below(2 * traffic.pace_us)
                    };
                    at += Duration::from_micros(pause_us);
                    sleep_until(at).await;
                    if !traffic.is_on(start.elapsed(), process, processes) {
                        continue;
                    }
                    let now_ns = leases.shared.clock.now_ns();
                    let cost = if dice.one_in(10) { 1 + dice.below(8) } else { 1 };
                    let taken = leases.take("key", Tokens::new(cost), now_ns);
                    if let Ok(Taken::Leased(_) | Taken::Shared) = taken {
                        let at_ns = u64::try_from(start.elapsed().as_nanos()).unwrap();
                        log.lock().unwrap().push((at_ns, cost));
                        granted += cost;
                    }
                    assert!(
                        !matches!(taken, Err(Denied::Never(_) | Denied::NoRoom(_))),
                        "{taken:?}"
                    );
                }
                granted
            }));
        }
        if faults.forgets_ms > 0 {
            let store = store.clone();
            tokio::spawn(async move {
                let half_ms = faults.forgets_ms / 2;
                loop {
                    sleep(Duration::from_millis(half_ms)).await;
                    let kept = *store.bucket.lock().unwrap();
                    sleep(Duration::from_millis(faults.forgets_ms - half_ms)).await;
                    *store.bucket.lock().unwrap() = kept.filter(|_| faults.by_half);
                    store.started_us.set(store.now_us());
                }
            });
        }
        let mut shares = Vec::new();
        for caller in callers {
            shares.push(caller.await.unwrap());
        }
        let log = log.lock().unwrap();
        let asked = all.iter().map(|leases| leases.shared.counts.asked.load()).sum();
        Outcome {
            over: judged(&log, &quota),
            granted: log.iter().map(|(_, tokens)| tokens).sum(),
            shares,
            asked,
        }
    })
}

/// 5,000 a second, and a thousand at once.
fn quota() -> Quota {
    Quota::per_second(5_000).burst(1_000)
}

fn strict() -> Lease {
    Lease::when_down(WhenDown::Deny).lifetime(Duration::from_millis(100))
}

#[test]
fn four_busy_processes_are_granted_nearly_everything_and_never_more() {
    let outcome = run(1, quota(), strict(), 4, BUSY, Faults::default(), Hints::All);
    assert!(outcome.over <= 0.0, "{} over", outcome.over);
    let due = 1_000 + 4 * 5_000;
    assert!(outcome.granted > due * 9 / 10, "{} of {due}", outcome.granted);
    assert!(outcome.asked < outcome.granted / 7, "{} asks", outcome.asked);
}

#[test]
fn of_processes_that_ask_for_all_there_is_none_has_much_more_than_another() {
    // The longer a lease, the less often they ask.
    let lease = strict().lifetime(Duration::from_millis(300));
    for seed in 0..10 {
        let quota = quota().burst(2_000);
        let shares = run(seed, quota, lease, 4, BUSY, Faults::default(), Hints::All).shares;
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(*least > most / 2, "{shares:?}");
    }
}

/// Where one token comes after the other all are told when the next one does, and one of them is nearest to the store.
#[test]
fn of_processes_on_short_and_long_ways_to_the_store_none_is_starved() {
    let quota = Quota::per_second(10).burst(20);
    let faults = Faults { farther_ms: 4, ..Faults::default() };
    let (mut shares, mut granted) = ([0; 2], 0);
    for seed in 0..10 {
        let outcome = run(seed, quota, strict(), 2, BUSY, faults, Hints::All);
        granted += outcome.granted;
        shares.iter_mut().zip(outcome.shares).for_each(|(all, share)| *all += share);
        assert!(outcome.over <= 0.0, "{} over", outcome.over);
    }
    assert!(shares[1] > shares[0] / 3, "{shares:?}");
    // 19 at once, and 40 afterwards.
    assert!(granted > 10 * 59 * 95 / 100, "{granted}");
}

/// A lease that is nearly as long as it takes to fill the bucket leaves one that is full soon.
#[test]
fn where_little_of_the_capacity_is_left_the_rate_is_granted_all_the_same() {
    let quota = Quota::per_second(1_600).burst(1_700);
    let lease = strict().lifetime(Duration::from_secs(1));
    let outcome = run(1, quota, lease, 1, BUSY, Faults::default(), Hints::All);
    assert!(outcome.over <= 0.0, "{} over", outcome.over);
    let due = 100 + 4 * 1_600;
    assert!(outcome.granted > due * 97 / 100, "{} of {due}", outcome.granted);
}

/// The judge bites: what `relaxed` allows, it finds.
#[test]
fn without_a_smaller_bucket_in_the_store_there_is_more_than_the_bound() {
    let relaxed = strict().lifetime(Duration::from_millis(180)).relaxed();
    let worst = (0..20)
        .map(|seed| run(seed, quota(), relaxed, 4, IN_STEP, Faults::default(), Hints::All).over);
    let worst = worst.fold(f64::MIN, f64::max);
    assert!(worst > 100.0, "{worst}");
    assert!(worst <= 5_000.0 * 0.18, "{worst} is more than a lease's refill");
}

/// The judge bites: without hints, a server that forgets grants a bucket each time.
#[test]
fn a_server_that_forgets_is_told_what_processes_know() {
    let forgets = Faults { forgets_ms: 400, ..Faults::default() };
    let without = run(3, quota(), strict(), 4, BUSY, forgets, Hints::None);
    assert!(without.over > 500.0, "{} over without hints", without.over);
    let with = run(3, quota(), strict(), 4, BUSY, forgets, Hints::All);
    assert!(with.over <= 0.0, "{} over with hints", with.over);
}

/// All processes are new whenever the server is: nobody knows anything, or what the server knows is old.
#[test]
fn with_empty_after_restart_a_server_that_forgets_grants_no_more_to_new_processes() {
    // In one all rest when it is started, and when they go on it has run for a second, by its own words.
    for (forgets_ms, by_half, traffic) in
        [(707, false, BUSY), (707, true, BUSY), (950, false, IN_STEP)]
    {
        let forgets = Faults { forgets_ms, by_half, ..Faults::default() };
        // It takes two seconds to fill.
        let quota = quota().burst(10_000);
        let of = |lease| run(17, quota, lease, 4, traffic, forgets, Hints::OfThisServer);
        let (without, with) = (of(strict()), of(strict().empty_after_restart()));
        assert!(without.over > 1_000.0, "{} over in {forgets:?}", without.over);
        assert!(with.over <= 0.0, "{} over in {forgets:?}", with.over);
        // It is what was there at first, and the rate, but for what is left of the second of each start.
        assert!(with.granted > 13_000, "{} in {forgets:?}", with.granted);
    }
}

/// A process that rested knows what the bucket held long ago, and so does the server: what was taken since neither knows.
#[test]
fn with_empty_after_restart_old_data_and_an_old_hint_together_grant_nothing_again() {
    // What others took after the half of that time is lost, and then it is the turn of one that has rested since.
    let forgets = Faults { forgets_ms: 2_400, by_half: true, ..Faults::default() };
    let quota = quota().burst(10_000);
    for seed in 0..4 {
        let of = |lease| run(seed, quota, lease, 4, BY_TURNS, forgets, Hints::All);
        let (without, with) = (of(strict()), of(strict().empty_after_restart()));
        assert!(without.over > 1_000.0, "{} over", without.over);
        assert!(with.over <= 0.0, "{} over", with.over);
        assert!(with.granted > 25_000, "{}", with.granted);
    }
}

/// It costs nothing but for the time in which a bucket fills.
#[test]
fn with_empty_after_restart_a_server_that_has_run_for_long_grants_as_much() {
    let of = |lease| run(1, quota(), lease, 4, BUSY, Faults::default(), Hints::All).granted;
    assert_eq!(of(strict()), of(strict().empty_after_restart()));
}

#[test]
fn a_server_whose_clock_jumps_ahead_grants_no_more_by_it() {
    let jumps = Faults { step_ms: 3_600_000, ..Faults::default() };
    let outcome = run(5, quota(), strict(), 4, BUSY, jumps, Hints::All);
    assert!(outcome.over <= 0.0, "{} over", outcome.over);
}

#[test]
fn shares_hold_while_all_are_cut_off_and_are_paid_for_afterwards() {
    let lease =
        Lease::when_down(WhenDown::Share { processes: 4 }).lifetime(Duration::from_millis(100));
    let away = Faults { away_ms: 1_500, ..Faults::default() };
    let shared = run(7, quota(), lease, 4, BUSY, away, Hints::All);
    let denied = run(7, quota(), strict(), 4, BUSY, away, Hints::All);
    assert!(shared.granted > denied.granted + 1_000, "{} and {}", shared.granted, denied.granted);
    // While they come back one after the other, those that are back lease, and the others have their share: a moment's worth.
    assert!(shared.over <= 5_000.0 * 0.5, "{} over", shared.over);
    assert!(denied.over <= 0.0, "{} over", denied.over);
}

#[test]
fn a_store_that_comes_back_is_used_again_within_a_second() {
    let away = Faults { away_ms: 500, ..Faults::default() };
    let outcome = run(11, quota(), strict(), 2, BUSY, away, Hints::All);
    // Half a second, and the one after it at worst.
    assert!(outcome.granted > 5_000 * 25 / 10, "{}", outcome.granted);
}

#[test]
fn answers_that_are_always_too_late_grant_nothing() {
    let slow = Faults { slow: 1, slow_ms: 30_000, ..Faults::default() };
    let outcome = run(13, quota(), strict(), 2, BUSY, slow, Hints::All);
    assert!(outcome.over <= 0.0 && outcome.granted < 1_000, "{}", outcome.granted);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is lost, late or forgotten.
    #[test]
    fn no_window_sees_more_than_the_bound(
        seed: u64,
        processes in 1_u32..6,
        per_second in 100_u64..20_000,
        burst_ms in 250_u64..2_000,
        lifetime_share in 5_u64..80,
        pace_us in 30_u64..2_000,
        rests in 0_u64..300,
        rest_ms in 1_u64..1_500,
        turn_ms in prop_oneof![2 => Just(0_u64), 1 => 20_u64..600],
        in_step: bool,
        lost in prop::option::of(2_u64..30),
        lost_answers in prop::option::of(2_u64..30),
        slow in prop::option::of(2_u64..30),
        slow_ms in 1_u64..400,
        forgets_ms in prop::option::of(900_u64..3_000),
        away_ms in prop::option::of(1_u64..1_500),
        by_half: bool,
        are_new: bool,
        doubts: bool,
        steps_ahead: bool,
    ) {
        let burst = (per_second * burst_ms / 1_000).max(20);
        let quota = Quota::per_second(per_second).burst(burst);
        // A part of the time in which the bucket fills: else nothing would be left.
        let lifetime = Duration::from_millis((burst * 1_000 / per_second * lifetime_share / 100).max(50));
        let lease = Lease::when_down(WhenDown::Deny).lifetime(lifetime).processes(processes);
        let lease = if doubts { lease.empty_after_restart() } else { lease };
        prop_assume!(lease.terms(&quota, TIMEOUT).is_ok_and(|terms| terms.largest_cost >= 8));
        let faults = Faults {
            lost_asks: lost.unwrap_or(0),
            lost_answers: lost_answers.unwrap_or(0),
            slow: slow.unwrap_or(0),
            slow_ms,
            forgets_ms: forgets_ms.unwrap_or(0),
            by_half,
            away_ms: away_ms.unwrap_or(0),
            farther_ms: 0,
            step_ms: if steps_ahead { 10_000 } else { 0 },
        };
        let hints = if are_new { Hints::OfThisServer } else { Hints::All };
        let outcome = run(seed, quota, lease, processes, Traffic { pace_us, rests, rest_ms, turn_ms, in_step }, faults, hints);
        // A server that forgets, or whose clock jumps, is told by each process what that one was told last: one that rested knows
        // nothing of what others took since. So it may be a bucket each time, unless that is taken to be empty. A clock that jumps soon
        // after the server forgot says that it has run for long.
        let terms = lease.terms(&quota, TIMEOUT).unwrap();
        let times = if doubts { 0 } else { 4_000_u64.checked_div(faults.forgets_ms).unwrap_or(0) };
        let unknown = (times + u64::from(steps_ahead)) * terms.scale.capacity_grains();
        prop_assert!(outcome.over <= unknown as f64, "{} over, {} granted", outcome.over, outcome.granted);
    }
}
