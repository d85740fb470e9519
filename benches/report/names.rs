//! What the benchmarks are called on the page, and which rows are compared with which.
//!
//! A benchmark is called `path/threads/row`. One that measures something new adds its path and its rows
//! here, and what it must reach in `targets.rs`. Paths of the algorithms are in `algorithms.rs`, those of waiting in
//! `waiting.rs`.

use crate::{algorithms, waiting};

/// A way through a limiter.
pub(crate) struct Path {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
    /// The row that the others are compared with.
    pub(crate) yardstick: &'static str,
}

/// In the order of the page.
pub(crate) const PATHS: &[Path] = &[
    Path {
        name: "allowed",
        title: "Allowed",
        about: "One bucket of 4,000,000,000 tokens that gains 1,000,000 a second. It starts half full \
                and neither runs dry nor fills up: every call takes a token.",
        yardstick: "flowgate",
    },
    Path {
        name: "full",
        title: "Always full",
        about: "One bucket that gains 1,000,000,000 tokens a second, more than calls can take: it is full \
                at each call.",
        yardstick: "flowgate",
    },
    Path {
        name: "denied",
        title: "Denied",
        about: "One bucket of one token an hour, which is gone: every call is denied.",
        yardstick: "flowgate",
    },
];

/// Those of many keys, which the page puts together in tables of their own, see `keyed.rs`.
pub(crate) const KEYED_PATHS: &[Path] = &[
    keyed("keyed_hot", "Keyed, one hot key"),
    keyed("keyed_hot_denied", "Keyed, one hot key, denied"),
    keyed("keyed_uniform_100k", "Keyed, 100,000 keys, uniform"),
    keyed("keyed_uniform_1m", "Keyed, 1,000,000 keys, uniform"),
    keyed("keyed_uniform_10m", "Keyed, 10,000,000 keys, uniform"),
    keyed("keyed_zipf_100k", "Keyed, 100,000 keys, Zipf"),
    keyed("keyed_zipf_1m", "Keyed, 1,000,000 keys, Zipf"),
    keyed("keyed_zipf_10m", "Keyed, 10,000,000 keys, Zipf"),
    keyed("keyed_names_1m", "Keyed, 1,000,000 strings, uniform"),
    Path { yardstick: "direct", ..keyed("keyed_handle", "Keyed, a handle") },
];

const fn keyed(name: &'static str, title: &'static str) -> Path {
    Path { name, title, about: "", yardstick: "keyed" }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Rival,
    /// Not a limiter: what a limiter cannot do without.
    Floor,
}

/// What is measured.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    /// Where it has the time from.
    pub(crate) clock: &'static str,
    pub(crate) kind: Kind,
    /// Our row with a clock as good, to compare like with like.
    pub(crate) like: Option<&'static str>,
}

const fn ours(name: &'static str, label: &'static str, clock: &'static str) -> Row {
    Row { name, label, clock, kind: Kind::Ours, like: None }
}

const fn rival(
    name: &'static str,
    label: &'static str,
    clock: &'static str,
    like: &'static str,
) -> Row {
    Row { name, label, clock, kind: Kind::Rival, like: Some(like) }
}

const fn floor(name: &'static str, label: &'static str) -> Row {
    Row { name, label, clock: "", kind: Kind::Floor, like: None }
}

pub(crate) const ROWS: &[Row] = &[
    ours("flowgate", "flowgate", "TSC"),
    ours("flowgate_coarse", "flowgate, CoarseClock", "coarse"),
    ours("flowgate_instant", "flowgate, InstantClock", "Instant"),
    ours("flowgate_at", "flowgate, try_consume_at", "given"),
    rival("governor", "governor, QuantaClock", "TSC", "flowgate"),
    rival("governor_upkeep", "governor, QuantaUpkeepClock", "coarse", "flowgate_coarse"),
    rival("better_bucket", "better-bucket", "Instant", "flowgate_instant"),
    rival("better_bucket_at", "better-bucket, try_acquire_at", "given", "flowgate_at"),
    rival("ratelimit", "ratelimit", "Instant", "flowgate_instant"),
    rival("std_mutex", "std mutex", "Instant", "flowgate_instant"),
    rival("std_mutex_at", "std mutex, time given", "given", "flowgate_at"),
    rival("parking_lot_mutex", "parking_lot mutex", "Instant", "flowgate_instant"),
    rival("parking_lot_mutex_at", "parking_lot mutex, time given", "given", "flowgate_at"),
    ours("striped", "flowgate, StripedBucket", "TSC"),
    ours("hot_handle", "flowgate, a hot handle", "TSC"),
    ours("keyed", "flowgate", "TSC"),
    ours("keyed_lock_free", "flowgate, lock-free", "TSC"),
    ours("handle", "flowgate, a handle", "TSC"),
    ours("direct", "flowgate, a TokenBucket", "TSC"),
    rival("governor_keyed", "governor", "TSC", "keyed"),
    rival("rate_net", "rate-net", "Instant", "keyed"),
    rival("mutex_map", "parking_lot mutex, HashMap", "Instant", "keyed"),
    ours("token_bucket_at", "token bucket", "given"),
    ours("gcra_at", "Gcra", "given"),
    ours("leaky_bucket_at", "LeakyBucket", "given"),
    ours("leaky_queue_at", "LeakyQueue", "given"),
    ours("fixed_window_at", "FixedWindow", "given"),
    ours("fixed_window_from_first_call_at", "FixedWindow, from_first_call", "given"),
    ours("sliding_window_at", "SlidingWindow", "given"),
    ours("fixed_window", "FixedWindow", "TSC"),
    ours("fixed_window_instant", "FixedWindow, InstantClock", "Instant"),
    ours("sliding_window", "SlidingWindow", "TSC"),
    ours("sliding_window_instant", "SlidingWindow, InstantClock", "Instant"),
    ours("leaky_bucket", "LeakyBucket", "TSC"),
    ours("leaky_bucket_instant", "LeakyBucket, InstantClock", "Instant"),
    ours("sliding_log", "SlidingLog", "TSC"),
    ours("sliding_log_instant", "SlidingLog, InstantClock", "Instant"),
    rival("rate_net_fixed_window", "rate-net, fixed window", "Instant", "fixed_window_instant"),
    rival("rate_net_sliding_window", "rate-net, counter", "Instant", "sliding_window_instant"),
    rival("rate_net_leaky_bucket", "rate-net, leaky bucket", "Instant", "leaky_bucket_instant"),
    rival("rate_net_sliding_log", "rate-net, log", "Instant", "sliding_log_instant"),
    rival("mutex_log", "std mutex, VecDeque", "Instant", "sliding_log_instant"),
    ours("ready_try", "flowgate, try_consume", "TSC"),
    ours("ready_consume", "flowgate, consume", "TSC"),
    ours("ready_wait_with", "flowgate, wait_with(TokioTimer).consume", "TSC"),
    rival("ready_governor", "governor, until_ready", "TSC", "ready_consume"),
    rival("ready_leaky_fair", "leaky-bucket, fair", "Instant", "ready_consume"),
    rival("ready_leaky_unfair", "leaky-bucket, unfair", "none", "ready_consume"),
    ours("waiting_tokio", "flowgate, TokioTimer", "TSC"),
    ours("waiting_any", "flowgate, AnyRuntime", "TSC"),
    ours("waiting_no_room", "flowgate, TokioTimer, max_debt(1,000)", "TSC"),
    rival("waiting_governor", "governor, until_ready", "TSC", "waiting_any"),
    rival("waiting_governor_jitter", "governor, with jitter", "TSC", "waiting_any"),
    rival("waiting_leaky_fair", "leaky-bucket, fair", "Instant", "waiting_tokio"),
    rival("waiting_leaky_unfair", "leaky-bucket, unfair", "Instant", "waiting_tokio"),
    floor("waiting_sleep", "tokio's sleep, no limiter"),
    floor("waiting_spawn", "tasks that do not wait"),
    ours("http_flowgate", "flowgate", "TSC"),
    ours("http_flowgate_instant", "flowgate, InstantClock", "Instant"),
    ours("http_flowgate_plain", "flowgate, no fields but Retry-After", "TSC"),
    ours("http_flowgate_everywhere", "flowgate, fields on all responses", "TSC"),
    ours("http_flowgate_proxy", "flowgate, behind a trusted proxy", "TSC"),
    ours("http_flowgate_permits", "flowgate, with permits", "TSC"),
    ours("http_flowgate_metrics", "flowgate, with metrics, no recorder", "TSC"),
    ours("http_flowgate_set", "flowgate, two limits by API key", "TSC"),
    rival("tower_governor", "tower_governor", "TSC", "http_flowgate"),
    rival("rate_net_layer", "rate-net's layer", "Instant", "http_flowgate_instant"),
    ours("redis_bucket", "flowgate, token bucket", "server"),
    ours("redis_gcra", "flowgate, Gcra", "server"),
    ours("redis_sliding", "flowgate, SlidingWindow", "server"),
    ours("redis_set", "flowgate, two limits at once", "server"),
    rival("redis_hash", "a hash: HMGET, HSET, PEXPIRE", "server", "redis_bucket"),
    rival("redis_gcra_float", "GCRA on a float, as redis_rate", "server", "redis_gcra"),
    floor("redis_get", "GET of nothing"),
    ours("redis_word", "TokenBucket, no server", "TSC"),
    ours("redis_leased_handle", "leased, by handle", "TSC"),
    ours("redis_keyed", "KeyedLimiter, no server", "TSC"),
    ours("redis_leased_key", "leased, by key", "TSC"),
    floor("http_service", "the service alone"),
    floor("governor_clock", "making governor's clock"),
    floor("keyed_draw", "reading the key alone"),
    floor("machine", "the machine, no limiter"),
    floor("tsc_read", "one bare TSC read"),
    floor("system_clock", "one read of SystemClock"),
    floor("coarse_clock", "one read of CoarseClock"),
    floor("cas_loop", "CAS loop on a bare AtomicU64"),
];

/// The crates that are measured, as `Cargo.lock` calls them.
pub(crate) const CRATES: &[&str] = &[
    "governor",
    "leaky-bucket",
    "better-bucket",
    "ratelimit",
    "rate-net",
    "tower_governor",
    "parking_lot",
];

/// What a benchmark's name means, or what to do about it.
pub(crate) fn row(name: &str) -> Result<&'static Row, String> {
    ROWS.iter()
        .find(|row| row.name == name)
        .ok_or_else(|| format!("nothing is known of the row `{name}`: add it to ROWS in names.rs"))
}

pub(crate) fn path(name: &str) -> Result<&'static Path, String> {
    all_paths().find(|path| path.name == name).ok_or_else(|| {
        format!("nothing is known of the path `{name}`: add it to PATHS in names.rs")
    })
}

/// In the order of the page.
pub(crate) fn all_paths() -> impl Iterator<Item = &'static Path> {
    PATHS.iter().chain(algorithms::paths()).chain(waiting::PATHS).chain(KEYED_PATHS)
}
