//! What limits in a store promise, on a real server: those among them that others broke (rows of the project's list of pitfalls).
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod redis_server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowgate::redis::{
    RedisError, RedisLimit, RedisLimitSet, RedisLimiter, RedisStore, StoreErrorKind,
};
use flowgate::{
    Algorithm, Clock, Denied, FixedWindow, Gcra, LeakyBucket, LeakyQueue, ManualClock, Quota,
    QuotaError, SlidingWindow, Tokens,
};
use redis_server::{Server, no_server, say};

const SECOND_NS: u64 = 1_000_000_000;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// A minute's beginning in 2026.
const START_NS: u64 = 1_790_000_040 * SECOND_NS;

async fn store(server: &Server) -> RedisStore {
    RedisStore::connect(&server.url()).await.unwrap().timeout(Duration::from_secs(10))
}

/// A store at a time that the test tells.
async fn told(server: &Server) -> (RedisStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START_NS));
    (store(server).await.client_clock(clock.clone()), clock)
}

fn wait_of<T: std::fmt::Debug>(said: Result<T, RedisError>) -> Duration {
    said.unwrap_err().denied().unwrap().retry_after().unwrap()
}

#[tokio::test]
async fn all_processes_together_are_never_over() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let quota = Quota::per_second(500).burst(100);
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        // Each with a connection of its own, as another process has.
        let limiter = RedisLimiter::connect(&server.url(), quota).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut granted = 0_u32;
            while started.elapsed() < Duration::from_millis(800) {
                granted += u32::from(limiter.is_allowed("alice").await.unwrap());
            }
            granted
        }));
    }
    let mut granted = 0;
    for task in tasks {
        granted += task.await.unwrap();
    }
    let most = 100.0 + 500.0 * started.elapsed().as_secs_f64();
    assert!(f64::from(granted) <= most, "{granted} of {most}");
    assert!(granted >= 100 + 300, "{granted}");
}

#[tokio::test]
async fn a_wait_by_the_servers_clock_is_never_early() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let limiter =
        RedisLimiter::connect(&server.url(), Quota::per_second(20).burst(1)).await.unwrap();
    for _ in 0..20 {
        let wait = match limiter.try_consume(7_u64, 1).await {
            // On a machine that is busy with other things the next one may be there by now.
            Ok(_) => match limiter.try_consume(7_u64, 1).await {
                Ok(_) => continue,
                Err(error) => error.denied().unwrap().retry_after().unwrap(),
            },
            Err(error) => error.denied().unwrap().retry_after().unwrap(),
        };
        assert!(wait > Duration::ZERO && wait <= SECOND / 20 + Duration::from_micros(1));
        // Not tokio's timer, which is later.
        std::thread::sleep(wait);
        limiter.try_consume(7_u64, 1).await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_key_is_a_full_bucket_and_a_full_bucket_goes_away() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let limiter =
        RedisLimiter::connect(&server.url(), Quota::per_second(1_000).burst(20)).await.unwrap();
    limiter.try_consume("alice", 20).await.unwrap();
    assert_eq!(server.say::<u64>(&["DBSIZE"]), 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(limiter.available("alice").await.unwrap(), 20);
    assert_eq!(server.say::<u64>(&["EXISTS", "flowgate:{alice}"]), 0);
}

/// A key must outlive what is missing, whatever the rounding, and not for months (upstash PR 156; throttled).
#[tokio::test]
async fn a_debt_below_a_second_is_not_forgotten() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let limiter =
        RedisLimiter::connect(&server.url(), Quota::per_second(10).burst(1)).await.unwrap();
    limiter.try_consume("alice", 1).await.unwrap();
    let rest_ms: i64 = server.say(&["PTTL", "flowgate:{alice}"]);
    assert!((50..=101).contains(&rest_ms), "{rest_ms}");
    assert!(!limiter.is_allowed("alice").await.unwrap());

    // A cost that takes a third of a millisecond to come back still has a time to live.
    let fast =
        RedisLimiter::connect(&server.url(), Quota::per_second(3_000)).await.unwrap().named("fast");
    fast.try_consume("alice", 1).await.unwrap();

    let daily =
        RedisLimiter::connect(&server.url(), Quota::per_day(10)).await.unwrap().named("daily");
    daily.try_consume("alice", 1).await.unwrap();
    let rest_s: i64 = server.say(&["TTL", "daily:{alice}"]);
    assert!((8_600..=8_641).contains(&rest_s), "{rest_s}");
}

/// PostHog PR 89726, py limits PR 15.
#[tokio::test]
async fn a_windows_count_lives_for_two_windows_from_the_step_that_made_it() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    clock.advance(SECOND * 20);
    let fixed = RedisLimiter::new(&store, FixedWindow::new(10, MINUTE)).unwrap().named("fixed");
    let sliding =
        RedisLimiter::new(&store, SlidingWindow::new(10, MINUTE)).unwrap().named("sliding");
    let first = RedisLimiter::new(&store, FixedWindow::new(10, MINUTE).from_first_call()).unwrap();
    let first = first.named("first");
    fixed.try_consume("alice", 1).await.unwrap();
    sliding.try_consume("alice", 1).await.unwrap();
    first.try_consume("alice", 1).await.unwrap();
    for (name, seconds) in [("fixed", 100), ("sliding", 100), ("first", 120)] {
        let rest_s: i64 = server.say(&["TTL", &format!("{name}:{{alice}}")]);
        assert!((seconds - 2..=seconds + 1).contains(&rest_s), "{name}: {rest_s}");
    }
}

/// limitador PR 288.
#[tokio::test]
async fn counts_of_an_old_window_are_dropped() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    let fixed = RedisLimiter::new(&store, FixedWindow::new(10, MINUTE)).unwrap().named("fixed");
    let sliding =
        RedisLimiter::new(&store, SlidingWindow::new(10, MINUTE)).unwrap().named("sliding");
    let first = RedisLimiter::new(&store, FixedWindow::new(10, MINUTE).from_first_call()).unwrap();
    let first = first.named("first");
    clock.advance(SECOND);
    fixed.try_consume("alice", 10).await.unwrap();
    sliding.try_consume("alice", 10).await.unwrap();
    first.try_consume("alice", 10).await.unwrap();
    clock.advance(MINUTE - SECOND);
    assert_eq!(fixed.available("alice").await.unwrap(), 10);
    assert_eq!(sliding.available("alice").await.unwrap(), 0);
    assert_eq!(first.available("alice").await.unwrap(), 0);
    assert_eq!(wait_of(first.try_consume("alice", 1).await), SECOND);
    clock.advance(MINUTE / 2);
    assert_eq!(sliding.available("alice").await.unwrap(), 5);
    // To the token: the half that still weighs, and what is taken, are the limit.
    sliding.try_consume("alice", 5).await.unwrap();
    sliding.refund("alice", 5).await.unwrap();
    assert_eq!(first.available("alice").await.unwrap(), 10);
    clock.advance(MINUTE / 2);
    assert_eq!(sliding.available("alice").await.unwrap(), 10);
}

#[tokio::test]
async fn a_denial_writes_nothing() {
    if no_server() {
        return;
    }
    let server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = store(&server).await;
    let limiter = RedisLimiter::new(&store, Quota::per_hour(3)).unwrap();
    limiter.try_consume("alice", 3).await.unwrap();
    let mut connection = server.connection();
    let value: Vec<u8> = say(&mut connection, &["GET", "flowgate:{alice}"]);
    let written = |connection: &mut redis::Connection| -> String {
        let info: String = say(connection, &["INFO", "all"]);
        let lines = info.lines().filter(|line| {
            line.starts_with("aof_current_size") || line.starts_with("rdb_changes_since_last_save")
        });
        lines.collect::<Vec<_>>().join(" ")
    };
    let before = written(&mut connection);
    assert!(before.contains("aof_current_size"));
    let set = [("few", Quota::per_hour(1)), ("many", Quota::per_hour(100))];
    let set = RedisLimitSet::new(&store, "set", set).unwrap();
    for _ in 0..20 {
        assert!(limiter.try_consume("alice", 1).await.is_err());
        assert!(set.try_consume("alice", [2, 50]).await.is_err());
        limiter.available("alice").await.unwrap();
        limiter.consume_up_to("alice", 5).await.unwrap();
    }
    assert_eq!(written(&mut connection), before);
    assert_eq!(say::<Vec<u8>>(&mut connection, &["GET", "flowgate:{alice}"]), value);
    limiter.refund("alice", 1).await.unwrap();
    assert_ne!(written(&mut connection), before);
}

/// upstash PR 156, rate-limiter-flexible #286, upstash PR 157.
#[tokio::test]
async fn a_rejected_cost_spends_nothing_and_the_boundary_is_exact() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    let limiter = RedisLimiter::new(&store, Quota::per_second(10)).unwrap();
    for _ in 0..5 {
        let denied = limiter.try_consume("alice", 11).await.unwrap_err();
        assert!(denied.denied().unwrap().is_never());
    }
    limiter.try_consume("alice", 4).await.unwrap();
    for _ in 0..5 {
        assert_eq!(wait_of(limiter.try_consume("alice", 7).await), SECOND / 10);
    }
    assert_eq!(limiter.try_consume("alice", 6).await.unwrap().remaining(), 0);
    // A microsecond too early, and then not.
    clock.advance(SECOND - Duration::from_micros(1));
    assert_eq!(wait_of(limiter.try_consume("alice", 10).await), Duration::from_micros(1));
    clock.advance(Duration::from_micros(1));
    limiter.try_consume("alice", 10).await.unwrap();
}

#[tokio::test]
async fn replies_are_whole_numbers_and_large_ones_are_exact() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    // 2^52 levels and a little less: a capacity of 10^9 - 1 tokens, in 4,503,599 us per token. Two years and more to fill.
    let period = Duration::from_micros(4_503_599);
    let quota = Quota::new(1, period).burst(999_999_999 / 32);
    let limiter = RedisLimiter::new(&store, quota).unwrap();
    let capacity = 999_999_999 / 32;
    assert_eq!(limiter.try_consume("alice", capacity).await.unwrap().remaining(), 0);
    assert_eq!(wait_of(limiter.try_consume("alice", capacity).await), period * 31_249_999);
    let rest_ms: u64 = server.say(&["PTTL", "flowgate:{alice}"]);
    let full_ms = u64::try_from((period * 31_249_999).as_micros().div_ceil(1_000)).unwrap();
    assert!((full_ms - 5_000..=full_ms + 1).contains(&rest_ms), "{rest_ms} {full_ms}");
    clock.advance(period * 31_249_999 - Duration::from_micros(1));
    assert_eq!(limiter.available("alice").await.unwrap(), capacity - 1);
    clock.advance(Duration::from_micros(1));
    assert_eq!(limiter.available("alice").await.unwrap(), capacity);
}

#[test]
fn what_a_script_cannot_count_exactly_is_refused_when_it_is_built() {
    // One per 4.5 s, prime to everything: a capacity of 2^52 / 4,503,599 is the largest.
    let slow = |burst| Quota::new(1, Duration::from_micros(4_503_599)).burst(burst);
    let largest = ((1_u64 << 53) - 1 - 2) / 2 / 4_503_599;
    assert_eq!(RedisLimit::new(slow(30_000_000)).unwrap().capacity(), 30_000_000);
    let error = RedisLimit::new(slow(largest + 1)).unwrap_err();
    assert!(
        matches!(
            error,
            QuotaError::AboveExact { field: "burst", .. } | QuotaError::FillTooSlow { .. }
        ),
        "{error}"
    );
    let quota = Quota::per_second(Tokens::decimal(999_999_999, 9)).burst(10_000_000);
    let error = RedisLimit::new(quota).unwrap_err();
    assert!(error.to_string().starts_with("burst 10000000 is above "), "{error}");

    let error = RedisLimit::new(SlidingWindow::new(1_000_000, MINUTE * 1_440)).unwrap_err();
    assert!(error.to_string().starts_with("limit 1000000 is above 52123, "), "{error}");
    let error = RedisLimit::new(FixedWindow::new(1_u64 << 53, MINUTE)).unwrap_err();
    assert!(matches!(error, QuotaError::AboveExact { field: "limit", .. }));
    let error = RedisLimit::new(FixedWindow::new(1, Duration::from_nanos(1_500))).unwrap_err();
    assert!(error.to_string().starts_with("period 1.5µs: "), "{error}");
    let error = RedisLimit::places(Quota::per_second(1), 10).unwrap_err();
    assert_eq!(error, QuotaError::UnitTooSmall { places: 10, largest: 9 });
    assert_eq!(RedisLimit::new(Quota::per_second(1).burst(0)).unwrap_err(), QuotaError::ZeroBurst);
    assert!(matches!(
        RedisLimit::places(FixedWindow::new(Tokens::decimal(5, 1), MINUTE), 0).unwrap_err(),
        QuotaError::ZeroLimit { .. }
    ));
}

#[tokio::test]
async fn a_clock_that_goes_back_grants_nothing_and_waits_tell_it() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    let hour = SECOND * 3_600;
    let bucket = RedisLimiter::new(&store, Quota::per_second(1).burst(10)).unwrap();
    let window = RedisLimiter::new(&store, FixedWindow::new(10, MINUTE)).unwrap().named("window");
    bucket.try_consume("alice", 10).await.unwrap();
    window.try_consume("alice", 10).await.unwrap();
    clock.set_ns(START_NS - 3_600 * SECOND_NS);
    assert_eq!(bucket.available("alice").await.unwrap(), 0);
    assert_eq!(wait_of(bucket.try_consume("alice", 1).await), hour + SECOND);
    assert_eq!(wait_of(window.try_consume("alice", 1).await), hour + MINUTE);
    // The key outlives the step back, too.
    bucket.refund("alice", 1).await.unwrap();
    let rest_s: i64 = server.say(&["TTL", "flowgate:{alice}"]);
    assert!((3_600 + 7..=3_600 + 10).contains(&rest_s), "{rest_s}");
    clock.set_ns(START_NS);
    assert_eq!(bucket.available("alice").await.unwrap(), 1);
    // A jump ahead refills that time, and no more.
    clock.set_ns(START_NS + 3_600 * SECOND_NS);
    assert_eq!(bucket.available("alice").await.unwrap(), 10);
}

#[tokio::test]
async fn the_time_is_read_once_and_is_the_servers() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = store(&server).await;
    let quota = Quota::per_hour(1_000);
    let set = RedisLimitSet::new(&store, "set", [("a", quota), ("b", quota)]).unwrap();
    let mut connection = server.connection();
    let calls = |connection: &mut redis::Connection| -> u64 {
        let info: String = say(connection, &["INFO", "commandstats"]);
        let line = info.lines().find(|line| line.starts_with("cmdstat_time:"));
        let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
        calls.map_or(0, |calls| calls.parse().unwrap())
    };
    set.try_consume("alice", [1, 1]).await.unwrap();
    assert_eq!(calls(&mut connection), 1);
    let values = ["a", "b"].map(|limit| -> Vec<u8> {
        say(&mut connection, &["GET", &format!("set:{{alice}}:{limit}")])
    });
    assert_eq!(values[0], values[1]);

    // A clock of the client's, for hosts that refuse the server's.
    set.try_consume("alice", [1, 1]).await.unwrap();
    assert_eq!(calls(&mut connection), 2);
    let own = RedisLimiter::new(&store.clone().client_time(), quota).unwrap();
    own.try_consume("bob", 1).await.unwrap();
    assert_eq!(calls(&mut connection), 2);
    // Both show the same hour.
    let by_server = RedisLimiter::new(&store, quota).unwrap();
    assert_eq!(by_server.available("bob").await.unwrap(), 999);
}

/// redis-rate-limiters PR 11.
#[tokio::test]
async fn a_host_that_refuses_time_is_told_apart_and_served_with_the_clients() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (): () = server.say(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-time"]);
    let url = format!("redis://app:secret@127.0.0.1:{}/", server.port());
    let store = RedisStore::connect(&url).await.unwrap();
    let quota = Quota::per_second(10);
    let limiter = RedisLimiter::new(&store, quota).unwrap();
    let error = limiter.try_consume("alice", 1).await.unwrap_err();
    assert_eq!(error.store().unwrap().kind(), StoreErrorKind::NotPermitted, "{error}");
    let limiter = RedisLimiter::new(&store.client_time(), quota).unwrap();
    assert_eq!(limiter.try_consume("alice", 1).await.unwrap().remaining(), 9);
}

/// What another program wrote, or a limiter of another algorithm, period or unit, is an error and never a grant.
#[tokio::test]
async fn what_another_wrote_is_never_a_grant() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = store(&server).await;
    let mut connection = server.connection();
    async fn refuses<A: Algorithm>(store: &RedisStore, algorithm: A) {
        let limiter = RedisLimiter::new(store, algorithm).unwrap();
        let error = limiter.try_consume("alice", 1).await.unwrap_err();
        assert_eq!(error.store().unwrap().kind(), StoreErrorKind::OtherBucket, "{error}");
        assert_eq!(
            limiter.available("alice").await.unwrap_err().kind(),
            StoreErrorKind::OtherBucket
        );
        let text = limiter.refund("alice", 1).await.unwrap_err().to_string();
        assert!(text.contains("name the limit anew"), "{text}");
    }
    let key = "flowgate:{alice}";
    let quota = Quota::per_second(10);
    for other in ["", "5", "t0", "0123456789012345678901234567890123"] {
        let (): () = say(&mut connection, &["SET", key, other]);
        refuses(&store, quota).await;
        refuses(&store, FixedWindow::new(10, MINUTE)).await;
        assert_eq!(say::<String>(&mut connection, &["GET", key]), other);
    }
    let (): () = say(&mut connection, &["DEL", key]);
    let (): () = say(&mut connection, &["HSET", key, "tokens", "5"]);
    refuses(&store, quota).await;
    refuses(&store, SlidingWindow::new(10, MINUTE)).await;

    let (): () = say(&mut connection, &["DEL", key]);
    RedisLimiter::new(&store, quota).unwrap().try_consume("alice", 10).await.unwrap();
    refuses(&store, Gcra::new(quota)).await;
    refuses(&store, LeakyBucket::new(quota)).await;
    refuses(&store, LeakyQueue::new(quota)).await;
    refuses(&store, Quota::per_second(3)).await;
    refuses(&store, Quota::per_second(Tokens::decimal(5, 1)).burst(10)).await;
    refuses(&store, FixedWindow::new(10, MINUTE)).await;
    // Another burst and number of tokens is the same scale.
    let more = RedisLimiter::new(&store, Quota::per_second(10).burst(30)).unwrap();
    assert!(more.available("alice").await.unwrap() <= 5);

    let (): () = say(&mut connection, &["DEL", key]);
    let window = FixedWindow::new(10, MINUTE);
    RedisLimiter::new(&store, window).unwrap().try_consume("alice", 10).await.unwrap();
    refuses(&store, SlidingWindow::new(10, MINUTE)).await;
    refuses(&store, window.from_first_call()).await;
    refuses(&store, FixedWindow::new(10, SECOND)).await;
    refuses(&store, quota).await;
}

#[tokio::test]
async fn names_and_keys_are_never_confused() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = store(&server).await;
    let long = "x".repeat(100_000);
    let keys: Vec<&[u8]> = vec![
        b"",
        b"%",
        b"%25",
        b"{",
        b"}",
        b"{}",
        b"}{",
        b"a",
        b"a}",
        b"a}:b",
        b"{a}",
        b"%7Ba%7D",
        b"\0",
        b"\0\0",
        b" ",
        b"\r\n",
        b"\xff\xfe",
        "ä".as_bytes(),
        long.as_bytes(),
        &long.as_bytes()[1..],
    ];
    let names = ["", "a", "a:", "a:{", "a:{a}", "%", "a}", "flowgate", "ä\0"];
    let limiters: Vec<_> = names
        .iter()
        .map(|name| RedisLimiter::new(&store, Quota::per_day(1)).unwrap().named(name))
        .collect();
    for (limiter, name) in limiters.iter().zip(names) {
        for key in &keys {
            assert!(limiter.is_allowed(*key).await.unwrap(), "{name:?} {}", key.escape_ascii());
            assert!(!limiter.is_allowed(*key).await.unwrap());
        }
    }
    let taken = keys.len() * names.len();
    assert_eq!(server.say::<usize>(&["DBSIZE"]), taken);
    // Of several limits, too.
    let limits = ["", "b", ":b", "}", "b}", "{b}"];
    for name in names {
        let set = limits.map(|limit| (limit, Quota::per_day(1)));
        let set = RedisLimitSet::new(&store, name, set).unwrap();
        for key in &keys {
            assert!(set.try_consume(*key, [1; 6]).await.is_ok(), "{name:?} {}", key.escape_ascii());
            assert!(set.try_consume(*key, [1; 6]).await.is_err());
        }
    }
    assert_eq!(server.say::<usize>(&["DBSIZE"]), taken * 7);

    // A number is its digits, an address its text.
    let limiter = RedisLimiter::new(&store, Quota::per_day(1)).unwrap().named("kinds");
    assert!(limiter.is_allowed(7_u64).await.unwrap());
    assert!(!limiter.is_allowed("7").await.unwrap());
    assert!(!limiter.is_allowed(&String::from("7")).await.unwrap());
    assert!(!limiter.is_allowed(b"7").await.unwrap());
    assert!(limiter.is_allowed(-7_i32).await.unwrap());
    let localhost: std::net::IpAddr = [127, 0, 0, 1].into();
    assert!(limiter.is_allowed(localhost).await.unwrap());
    assert!(!limiter.is_allowed("127.0.0.1").await.unwrap());
}

#[tokio::test]
async fn a_rejection_of_several_names_each_and_spends_nothing() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    let set = RedisLimitSet::of(
        &store,
        "llm",
        [
            ("requests", RedisLimit::new(SlidingWindow::new(2, MINUTE)).unwrap()),
            ("tokens", RedisLimit::new(Quota::per_minute(6_000)).unwrap()),
            ("money", RedisLimit::places(FixedWindow::new(1, MINUTE), 3).unwrap()),
        ],
    )
    .unwrap();
    let costs = |requests: u64, tokens: u64, thousandths| {
        [Tokens::new(requests), Tokens::new(tokens), Tokens::decimal(thousandths, 3)]
    };
    let granted = set.try_consume("alice", costs(1, 5_000, 250)).await.unwrap();
    assert_eq!(granted[0].remaining(), 1);
    assert_eq!(granted[1].remaining(), 1_000);
    assert_eq!(granted[2].remaining(), Tokens::decimal(750, 3));
    assert_eq!(granted[1].full_after(), SECOND * 50);

    let rejected = set.try_consume("alice", costs(1, 2_000, 800)).await.unwrap_err();
    let rejected = *rejected.denied().unwrap();
    assert_eq!(rejected.names().collect::<Vec<_>>(), ["tokens", "money"]);
    assert_eq!(rejected.wait_of("tokens"), Some(Some(SECOND * 10)));
    assert_eq!(rejected.wait_of("money"), Some(Some(MINUTE)));
    assert_eq!(rejected.wait_of("requests"), None);
    let left = set.available("alice").await.unwrap();
    assert_eq!(left, [Tokens::new(1), Tokens::new(1_000), Tokens::decimal(750, 3)]);

    // One that never could: the others still say what they think.
    let rejected = set.try_consume("alice", costs(1, 7_000, 800)).await.unwrap_err();
    let rejected = *rejected.denied().unwrap();
    assert!(rejected.is_never());
    assert_eq!(rejected.names().collect::<Vec<_>>(), ["tokens", "money"]);
    assert_eq!(rejected.wait_of("tokens"), Some(None));
    assert_eq!(set.available("alice").await.unwrap(), left);

    clock.advance(SECOND * 10);
    set.try_consume("alice", costs(1, 2_000, 750)).await.unwrap();
    assert_eq!(set.available("alice").await.unwrap(), [Tokens::ZERO; 3]);
    assert_eq!(set.available("bob").await.unwrap()[1], 6_000);
    let twice = [("a", Quota::per_second(1)), ("a", Quota::per_second(2))];
    let error = RedisLimitSet::new(&store, "llm", twice).unwrap_err();
    assert!(matches!(error, QuotaError::SameName { .. }), "{error}");
}

#[tokio::test]
async fn a_set_of_no_limits_says_yes() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let set = RedisLimitSet::<0>::new(&store(&server).await, "none", []).unwrap();
    let nothing: [Tokens; 0] = [];
    assert!(set.try_consume("alice", nothing).await.unwrap().is_empty());
    assert!(set.available("alice").await.unwrap().is_empty());
    let reservation = set.reserve("alice", nothing).await.unwrap();
    assert!(reservation.settle(nothing).await.unwrap().is_empty());
}

/// A whole token is more than it ever holds; its debt is too small for one, too.
#[tokio::test]
async fn a_bucket_smaller_than_a_token_has_no_whole_one() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = store(&server).await;
    let quarter = Tokens::decimal(25, 2);
    let years = Duration::from_secs(44 * 365 * 8_640);
    let slow = RedisLimiter::new(&store, Quota::new(quarter, years).burst(quarter)).unwrap();
    assert_eq!(slow.consume_up_to("alice", 1).await.unwrap(), 0);
    assert_eq!(slow.available("alice").await.unwrap(), quarter);
    let small = Quota::per_second(1).burst(quarter);
    let small = RedisLimiter::new(&store, small).unwrap().named("small");
    assert_eq!(small.consume_up_to("alice", 1).await.unwrap(), 0);
}

#[tokio::test]
async fn what_was_reserved_is_settled_exactly_and_into_its_own_window() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    let make = |name| {
        RedisLimitSet::of(
            &store,
            name,
            [
                ("bucket", RedisLimit::new(Quota::per_minute(60)).unwrap()),
                ("fixed", RedisLimit::new(FixedWindow::new(60, MINUTE)).unwrap()),
                ("sliding", RedisLimit::new(SlidingWindow::new(60, MINUTE)).unwrap()),
            ],
        )
        .unwrap()
    };
    let left = async |set: &RedisLimitSet<3>| {
        set.available("alice").await.unwrap().map(|tokens| tokens.whole())
    };
    let set = make("settled");
    let reservation = set.reserve("alice", [40, 40, 40]).await.unwrap();
    assert_eq!(left(&set).await, [20, 20, 20]);
    assert_eq!(reservation.settle([10, 10, 10]).await.unwrap(), [Tokens::ZERO; 3]);
    assert_eq!(left(&set).await, [50, 50, 50]);
    let reservation = set.reserve("alice", [10, 10, 10]).await.unwrap();
    // More than was estimated: into debt.
    assert_eq!(reservation.settle([70, 70, 70]).await.unwrap(), [Tokens::ZERO; 3]);
    assert_eq!(left(&set).await, [0, 0, 0]);
    clock.advance(SECOND * 20);
    assert_eq!(left(&set).await, [0, 0, 0]);
    clock.advance(SECOND);
    assert_eq!(left(&set).await, [1, 0, 0]);

    // Settled a window later, when others have been counted there.
    let set = make("later");
    let late = set.reserve("alice", [40, 40, 40]).await.unwrap();
    clock.set_ns(START_NS + 60 * SECOND_NS);
    let _forgotten = set.reserve("alice", [20, 20, 20]).await.unwrap();
    assert_eq!(left(&set).await, [39, 40, 0]);
    late.cancel().await.unwrap();
    // The fixed window owes nothing any more; of the sliding one it is what weighed.
    assert_eq!(left(&set).await, [60, 40, 40]);
    // Dropped, it stays taken.
    drop(set.reserve("alice", [1, 40, 1]).await.unwrap());
    assert_eq!(left(&set).await, [59, 0, 39]);
}

/// litellm #18730.
#[tokio::test]
async fn concurrent_calls_cannot_exceed_a_budget_together() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = store(&server).await;
    let quotas = [("requests", Quota::per_hour(100)), ("tokens", Quota::per_hour(10_000))];
    let set = RedisLimitSet::new(&store, "llm", quotas).unwrap();
    let calls = (0..50).map(|_| {
        let set = set.clone();
        tokio::spawn(async move { set.reserve("alice", [1, 900]).await.is_ok() })
    });
    let mut allowed = 0;
    for call in calls.collect::<Vec<_>>() {
        allowed += u32::from(call.await.unwrap());
    }
    assert_eq!(allowed, 11);
    assert_eq!(set.available("alice").await.unwrap()[0], 89);
}

/// In process a nanosecond counts; a part of a unit of the rate may be early there.
fn close(local: Duration, remote: Duration) {
    assert!(local.abs_diff(remote) <= Duration::from_micros(1), "{local:?} {remote:?}");
}

#[tokio::test]
async fn the_answers_are_those_of_an_in_process_limiter() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    async fn compare<A: Algorithm>(
        store: &RedisStore,
        clock: &ManualClock,
        name: &str,
        algorithm: A,
    ) {
        let local = flowgate::Limiter::with_clock(algorithm, clock).unwrap();
        let remote = RedisLimiter::new(store, algorithm).unwrap().named(name);
        let costs = [3, 1, 0, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 12];
        for (at, cost) in costs.into_iter().cycle().take(200).enumerate() {
            let said = remote.try_consume("alice", cost).await;
            match (local.try_consume(cost), said) {
                (Ok(local), Ok(remote)) => {
                    assert_eq!(
                        local.remaining().whole(),
                        remote.remaining().whole(),
                        "{name} {at}"
                    );
                    close(local.full_after(), remote.full_after());
                    close(local.departs_after(), remote.departs_after());
                }
                (Err(local), Err(remote)) => {
                    let remote = remote.denied().unwrap();
                    close(
                        local.retry_after().unwrap_or_default(),
                        remote.retry_after().unwrap_or_default(),
                    );
                    assert_eq!(local.is_never(), remote.is_never());
                    if let (Denied::Never(local), Denied::Never(remote)) = (local, remote) {
                        assert_eq!(local, *remote);
                    }
                }
                (local, remote) => panic!("{name} {at}: {local:?} {remote:?}"),
            }
            if at % 7 == 0 {
                assert_eq!(local.consume_up_to(2), remote.consume_up_to("alice", 2).await.unwrap());
                local.refund(1);
                remote.refund("alice", 1).await.unwrap();
            }
            let remote_left = remote.available("alice").await.unwrap();
            assert_eq!(local.available().whole(), remote_left.whole(), "{name} {at}");
            let remote_wait = remote.time_until_available("alice", 10).await.unwrap();
            close(local.time_until_available(10).unwrap(), remote_wait.unwrap());
            clock.advance(Duration::from_millis([170, 0, 990, 2_000, 60][at % 5]));
        }
        assert_eq!(format!("{:?}", remote.algorithm()), format!("{:?}", local.algorithm()));
    }
    // Fills in 11 s, and keys last: the server's own time hardly moves.
    let quota = Quota::per_second(2).burst(11);
    compare(&store, &clock, "bucket", quota).await;
    compare(&store, &clock, "gcra", Gcra::new(quota)).await;
    compare(&store, &clock, "leaky", LeakyBucket::new(quota)).await;
    compare(&store, &clock, "queue", LeakyQueue::new(quota)).await;
    compare(&store, &clock, "fixed", FixedWindow::new(11, SECOND * 20)).await;
    compare(&store, &clock, "sliding", SlidingWindow::new(11, SECOND * 20)).await;
    assert!(clock.now_ns() > START_NS);
}

#[tokio::test]
async fn who_waits_is_let_in_at_the_pace() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = store(&server).await;
    let limiter = RedisLimiter::new(&store, Quota::per_second(100).burst(1)).unwrap();
    let started = Instant::now();
    for _ in 0..11 {
        limiter.consume("alice", 1).await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(99), "{:?}", started.elapsed());
    let never = limiter.consume("alice", 2).await.unwrap_err();
    assert!(never.denied().unwrap().is_never());

    let queue =
        RedisLimiter::new(&store, LeakyQueue::new(Quota::per_second(100).burst(20))).unwrap();
    let queue = queue.named("queue");
    let started = Instant::now();
    for _ in 0..11 {
        queue.consume("alice", 1).await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(99), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_is_charged_beyond_the_deepest_debt_is_returned() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (store, clock) = told(&server).await;
    let limiter = RedisLimiter::new(&store, Quota::per_second(1).burst(10)).unwrap();
    assert_eq!(limiter.charge("alice", 15).await.unwrap(), 0);
    assert_eq!(wait_of(limiter.try_consume("alice", 0).await), SECOND * 5);
    assert_eq!(limiter.charge("alice", 100).await.unwrap(), 25);
    assert_eq!(limiter.charge("alice", Tokens::MAX).await.unwrap(), Tokens::MAX);
    clock.advance(SECOND * 80);
    limiter.try_consume("alice", 0).await.unwrap();
    assert_eq!(wait_of(limiter.try_consume("alice", 1).await), SECOND);
}
