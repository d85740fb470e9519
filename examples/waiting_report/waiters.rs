//! What there is to wait at, all made and waited for in the same way.

use std::future::Future;
use std::num::NonZeroU32;
use std::time::Duration;

use flowgate::{Quota, TokenBucket, TokioTimer};

/// What a limiter is set to. It is empty when it is made.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) tokens: u32,
    pub(crate) period: Duration,
    /// How many there may be unused. Who serves late may so serve several at once.
    pub(crate) burst: u32,
}

/// A limiter at which tasks wait for one token each.
pub(crate) trait Waiters: Sized + Send + Sync + 'static {
    /// What it is called in the report, see `names.rs` there.
    const ROW: &'static str;
    /// What it is called on a screen.
    const LABEL: &'static str;

    fn new(rate: Rate) -> Self;

    fn wait(&'static self) -> impl Future<Output = ()> + Send;
}

/// Room in debt for all who wait.
const DEEP: u64 = 200_000;
/// And for few of them: the others try again and again.
const SHALLOW: u64 = 1_000;

fn flowgate(rate: Rate, max_debt: u64) -> TokenBucket {
    let quota = Quota::new(u64::from(rate.tokens), rate.period).burst(u64::from(rate.burst));
    let limiter = TokenBucket::builder(quota).max_debt(max_debt).start_empty().build();
    limiter.expect("flowgate takes this rate")
}

/// Ours, on tokio's timer.
pub(crate) struct OnTokio(TokenBucket);

impl Waiters for OnTokio {
    const ROW: &'static str = "waiting_tokio";
    const LABEL: &'static str = "flowgate, TokioTimer";

    fn new(rate: Rate) -> Self {
        Self(flowgate(rate, DEEP))
    }

    async fn wait(&'static self) {
        self.0.wait_with(TokioTimer).consume(1).await.expect("one is below the capacity");
    }
}

/// Ours, on the timer that it has by default.
pub(crate) struct OnAny(TokenBucket);

impl Waiters for OnAny {
    const ROW: &'static str = "waiting_any";
    const LABEL: &'static str = "flowgate, AnyRuntime";

    fn new(rate: Rate) -> Self {
        Self(flowgate(rate, DEEP))
    }

    async fn wait(&'static self) {
        self.0.consume(1).await.expect("one is below the capacity");
    }
}

/// Ours, when most of those who wait find no room in the debt.
pub(crate) struct NoRoom(TokenBucket);

impl Waiters for NoRoom {
    const ROW: &'static str = "waiting_no_room";
    const LABEL: &'static str = "flowgate, TokioTimer, max_debt(1,000)";

    fn new(rate: Rate) -> Self {
        Self(flowgate(rate, SHALLOW))
    }

    async fn wait(&'static self) {
        self.0.wait_with(TokioTimer).consume(1).await.expect("one is below the capacity");
    }
}

fn governor(rate: Rate) -> governor::DefaultDirectRateLimiter {
    let burst = NonZeroU32::new(rate.burst).expect("there is a burst");
    let quota = governor::Quota::with_period(rate.period / rate.tokens);
    let quota = quota.expect("governor takes this rate").allow_burst(burst);
    let limiter = governor::RateLimiter::direct(quota);
    limiter.check_n(burst).expect("the burst is below the capacity").expect("and is there");
    limiter
}

/// governor, as it is.
pub(crate) struct Governor(governor::DefaultDirectRateLimiter);

impl Waiters for Governor {
    const ROW: &'static str = "waiting_governor";
    const LABEL: &'static str = "governor, until_ready";

    fn new(rate: Rate) -> Self {
        Self(governor(rate))
    }

    async fn wait(&'static self) {
        self.0.until_ready().await;
    }
}

/// governor with the jitter that it recommends where many wait: up to a tenth of a second, which is a tenth of the time
/// in which they are to be served.
pub(crate) struct GovernorJitter(governor::DefaultDirectRateLimiter);

impl Waiters for GovernorJitter {
    const ROW: &'static str = "waiting_governor_jitter";
    const LABEL: &'static str = "governor, with jitter";

    fn new(rate: Rate) -> Self {
        Self(governor(rate))
    }

    async fn wait(&'static self) {
        let jitter = governor::Jitter::up_to(Duration::from_millis(100));
        self.0.until_ready_with_jitter(jitter).await;
    }
}

/// Refills come every so often. It may be a tenth of that, but a timer that is late by a millisecond then misses every
/// other refill.
const REFILL: Duration = Duration::from_millis(10);

fn leaky_bucket(rate: Rate, fair: bool) -> leaky_bucket::RateLimiter {
    let refills = rate.period.as_nanos() / REFILL.as_nanos();
    let (interval, tokens) = if refills > u128::from(rate.tokens) {
        (rate.period / rate.tokens, 1)
    } else {
        (REFILL, u128::from(rate.tokens) / refills)
    };
    leaky_bucket::RateLimiter::builder()
        .initial(0)
        .interval(interval)
        .refill(usize::try_from(tokens).expect("leaky-bucket takes this rate"))
        .max(usize::try_from(rate.burst).expect("leaky-bucket takes this burst"))
        .fair(fair)
        .build()
}

/// leaky-bucket, as it is.
pub(crate) struct LeakyFair(leaky_bucket::RateLimiter);

impl Waiters for LeakyFair {
    const ROW: &'static str = "waiting_leaky_fair";
    const LABEL: &'static str = "leaky-bucket, fair";

    fn new(rate: Rate) -> Self {
        Self(leaky_bucket(rate, true))
    }

    async fn wait(&'static self) {
        self.0.acquire_one().await;
    }
}

/// leaky-bucket, where it may let one go before another.
pub(crate) struct LeakyUnfair(leaky_bucket::RateLimiter);

impl Waiters for LeakyUnfair {
    const ROW: &'static str = "waiting_leaky_unfair";
    const LABEL: &'static str = "leaky-bucket, unfair";

    fn new(rate: Rate) -> Self {
        Self(leaky_bucket(rate, false))
    }

    async fn wait(&'static self) {
        self.0.acquire_one().await;
    }
}

/// No limiter: each task sleeps until its moment by tokio's timer.
pub(crate) struct Sleepers {
    from: tokio::time::Instant,
    number: std::sync::atomic::AtomicU32,
    rate: Rate,
}

impl Waiters for Sleepers {
    const ROW: &'static str = "waiting_sleep";
    const LABEL: &'static str = "tokio's sleep, no limiter";

    fn new(rate: Rate) -> Self {
        Self { from: tokio::time::Instant::now(), number: 1.into(), rate }
    }

    async fn wait(&'static self) {
        let number = self.number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let moment = self.from + self.rate.period * number / self.rate.tokens;
        tokio::time::sleep_until(moment).await;
    }
}

/// No limiter, and nobody waits.
pub(crate) struct Passers;

impl Waiters for Passers {
    const ROW: &'static str = "waiting_spawn";
    const LABEL: &'static str = "spawning alone, no limiter";

    fn new(_rate: Rate) -> Self {
        Self
    }

    async fn wait(&'static self) {
        tokio::task::yield_now().await;
    }
}
