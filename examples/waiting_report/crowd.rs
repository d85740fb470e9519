//! A crowd of tasks, which wait at one limiter for one token each.

use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::jobs::Found;
use crate::waiters::{Rate, Waiters};
use crate::{processor, resident};

const SECOND: Duration = Duration::from_secs(1);

/// Who has not served all by then is not waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// By so much a limiter's clock may differ in a second from the `Instant` that measures: see docs/limits.md.
const CLOCKS_APART_NS: f64 = 500_000.0;

/// So fast that few who take one after the other still have to wait.
const RUSH_PER_SECOND: u32 = 10_000_000;
const RUSH: usize = 1_000_000;

/// So fast that hardly anybody has to: what serves is the bottleneck.
const FLOOD_PER_SECOND: u32 = 100_000_000;
const FLOOD: usize = 10_000_000;

/// As many in a second as there are waiters, each of whom takes one.
pub(crate) fn paced<W: Waiters>(found: &mut Found, waiters: usize) {
    let per_second = u32::try_from(waiters).expect("no more than a quota takes");
    let (crowd, spent) = served::<W>(found, "paced", waiters, 1, per_second);
    if let Some(spent) = spent {
        lateness(found, crowd, per_second);
        found.figure("paced_processor_ns", spent.as_nanos() as f64 / waiters as f64);
    }
}

/// So many a second that all together take [`RUSH`] in a tenth of one: each takes several, one after the other.
pub(crate) fn rush<W: Waiters>(found: &mut Found, waiters: usize) {
    together::<W>(found, "rush", waiters, RUSH, RUSH_PER_SECOND);
}

pub(crate) fn flood<W: Waiters>(found: &mut Found, waiters: usize) {
    together::<W>(found, "flood", waiters, FLOOD, FLOOD_PER_SECOND);
}

fn together<W: Waiters>(
    found: &mut Found,
    what: &str,
    waiters: usize,
    decisions: usize,
    per_second: u32,
) {
    let (crowd, spent) = served::<W>(found, what, waiters, decisions / waiters, per_second);
    if let Some(spent) = spent {
        let last_ns = crowd.sorted_ns().last().copied().unwrap_or_default();
        found.figure(&format!("{what}_each_ns"), last_ns / decisions as f64);
        let each_ns = spent.as_nanos() as f64 / decisions as f64;
        found.figure(&format!("{what}_processor_ns"), each_ns);
    }
}

/// Memory of those who wait, and wait on.
pub(crate) fn memory<W: Waiters>(found: &mut Found, waiters: usize) {
    let burst = u32::try_from(waiters).expect("no more than a quota takes");
    let rate = Rate { tokens: 1, period: 10 * SECOND, burst };
    let runtime = warmed_up::<W>();
    let crowd: &'static Crowd = Box::leak(Box::new(Crowd::new(waiters)));
    let limiter: &'static W = runtime.block_on(async { &*Box::leak(Box::new(W::new(rate))) });
    {
        let _inside = runtime.enter();
        found.figure("future_bytes", mem::size_of_val(&limiter.wait()) as f64);
    }
    let before = resident::bytes();
    runtime.spawn(async move {
        for _ in 0..waiters {
            tokio::spawn(async move {
                crowd.came.fetch_add(1, Ordering::Relaxed);
                limiter.wait().await;
            });
        }
    });
    while crowd.came.load(Ordering::Relaxed) < waiters {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The last ones are still on their way from being counted to where they wait.
    std::thread::sleep(Duration::from_millis(200));
    if let Some((before, after)) = before.zip(resident::bytes()) {
        let grown = after.saturating_sub(before) as f64;
        found.figure("bytes", grown / waiters as f64);
    }
    // The process is about to end; nobody need be called off.
    runtime.shutdown_background();
}

/// When whom had been served.
struct Crowd {
    came: AtomicUsize,
    went: AtomicUsize,
    /// By the order in which they were.
    when_ns: Vec<AtomicU64>,
}

impl Crowd {
    fn new(waiters: usize) -> Self {
        let when_ns = (0..waiters).map(|_| AtomicU64::new(0)).collect();
        Self { came: AtomicUsize::new(0), went: AtomicUsize::new(0), when_ns }
    }

    fn sorted_ns(&self) -> Vec<f64> {
        let when_ns = self.when_ns.iter().map(|when| when.load(Ordering::Relaxed) as f64);
        let mut when_ns: Vec<_> = when_ns.collect();
        when_ns.sort_by(f64::total_cmp);
        when_ns
    }
}

/// Has all of them served, so many times each, and tells the processor's time; nothing if that took too long.
fn served<W: Waiters>(
    found: &mut Found,
    what: &str,
    waiters: usize,
    times: usize,
    per_second: u32,
) -> (&'static Crowd, Option<Duration>) {
    let rate = Rate { tokens: per_second, period: SECOND, burst: per_second };
    let runtime = warmed_up::<W>();
    let crowd: &'static Crowd = Box::leak(Box::new(Crowd::new(waiters)));
    let (last, all_served) = mpsc::channel();

    let spent = processor::time();
    let began = Instant::now();
    runtime.spawn(async move {
        let limiter: &'static W = Box::leak(Box::new(W::new(rate)));
        for _ in 0..waiters {
            let last = last.clone();
            tokio::spawn(async move {
                for _ in 0..times {
                    limiter.wait().await;
                }
                let took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let went = crowd.went.fetch_add(1, Ordering::Relaxed);
                crowd.when_ns[went].store(took_ns, Ordering::Relaxed);
                if went + 1 == waiters {
                    let _ = last.send(());
                }
            });
        }
    });
    let in_time = all_served.recv_timeout(PATIENCE).is_ok();
    let spent = processor::time().zip(spent).map(|(now, before)| now.saturating_sub(before));
    found.figure(&format!("{what}_served"), crowd.went.load(Ordering::Relaxed) as f64);
    // Another one may still have to store its time.
    std::thread::sleep(Duration::from_millis(20));
    runtime.shutdown_background();
    (crowd, spent.filter(|_| in_time))
}

/// By how much those who were served k-th were later than the k-th token.
fn lateness(found: &mut Found, crowd: &Crowd, per_second: u32) {
    let token_ns = 1e9 / f64::from(per_second);
    let late_ns =
        crowd.sorted_ns().into_iter().zip(1..).map(|(when, k)| when - f64::from(k) * token_ns);
    let mut late_ns: Vec<_> = late_ns.collect();
    let last_ns = late_ns.last().copied().unwrap_or_default();
    late_ns.sort_by(f64::total_cmp);
    // On the limiter's clock nobody is early.
    assert!(late_ns[0] >= -CLOCKS_APART_NS, "somebody was served {} ns early", -late_ns[0]);
    found.figure("paced_late_median_ns", late_ns[late_ns.len() / 2]);
    found.figure("paced_late_last_ns", last_ns);
}

/// A runtime in which somebody has waited already: what is made once, such as a thread, or a clock that is
/// calibrated, counts for nobody.
fn warmed_up<W: Waiters>() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("the system has threads");
    runtime.block_on(async {
        let rate = Rate { tokens: 100, period: SECOND, burst: 100 };
        let limiter: &'static W = Box::leak(Box::new(W::new(rate)));
        let mut wait = pin!(limiter.wait());
        // It must have been polled once to be called waiting.
        let _: Poll<_> = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        wait.await;
    });
    runtime
}
