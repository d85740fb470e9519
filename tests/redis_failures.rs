//! What limits in a store say when the store fails: never a grant, never a denial; and that they recover by themselves.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod redis_server;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flowgate::Quota;
use flowgate::redis::{RedisError, RedisLimitSet, RedisLimiter, RedisStore, StoreErrorKind};
use redis_server::{Server, no_server, until};

async fn kind_of(limiter: &RedisLimiter) -> Option<StoreErrorKind> {
    match limiter.try_consume("alice", 1).await {
        Err(RedisError::Store(error)) => Some(error.kind()),
        _ => None,
    }
}

async fn limiter(url: &str) -> RedisLimiter {
    let store = RedisStore::connect(url).await.unwrap().timeout(Duration::from_millis(200));
    RedisLimiter::new(&store, Quota::per_hour(1_000_000)).unwrap()
}

/// Effect-TS #2328.
#[tokio::test]
async fn a_forgotten_script_reaches_no_user() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = RedisStore::connect(&server.url()).await.unwrap().timeout(Duration::from_secs(5));
    let limiter = RedisLimiter::new(&store, Quota::per_hour(1_000_000)).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (limiter, over) = (limiter.clone(), over.clone());
            tokio::spawn(async move {
                let mut taken = 0_u64;
                while !over.load(Relaxed) {
                    limiter.try_consume("alice", 1).await.unwrap();
                    taken += 1;
                }
                taken
            })
        })
        .collect();
    let mut flushes = server.connection();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (): () = redis_server::say(&mut flushes, &["SCRIPT", "FLUSH"]);
    }
    over.store(true, Relaxed);
    let mut taken = 0;
    for task in tasks {
        taken += task.await.unwrap();
    }
    // Each was counted once, whichever way it went.
    let left = limiter.available("alice").await.unwrap().whole();
    let refilled = 1_000_000 / 3_600 * 2;
    assert!((1_000_000 - taken..=1_000_000 - taken + refilled).contains(&left), "{taken} {left}");
}

#[tokio::test]
async fn a_script_that_the_server_keeps_is_sent_by_its_hash() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let limiter = limiter(&server.url()).await;
    for _ in 0..10 {
        limiter.try_consume("alice", 1).await.unwrap();
    }
    let stats: String = server.say(&["INFO", "commandstats"]);
    let calls = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        line.and_then(|line| line.split(['=', ',']).nth(1)?.parse().ok()).unwrap_or(0)
    };
    assert_eq!((calls("evalsha"), calls("eval"), calls("set")), (10, 1, 10));
}

#[tokio::test]
async fn a_wrong_address_password_or_permission_is_told_apart() {
    if no_server() {
        return;
    }
    let server = Server::with(&["--requirepass", "secret"]);
    let port = server.port();
    let connect = async |url: String| RedisStore::connect(&url).await.unwrap_err();
    let kind = async |url: &str| connect(url.replace("PORT", &port.to_string())).await.kind();
    assert_eq!(kind("redis://127.0.0.1:PORT/").await, StoreErrorKind::WrongPassword);
    assert_eq!(kind("redis://:wrong@127.0.0.1:PORT/").await, StoreErrorKind::WrongPassword);
    assert_eq!(kind("http://127.0.0.1:PORT/").await, StoreErrorKind::BadAddress);
    assert_eq!(kind("redis://127.0.0.1:1/").await, StoreErrorKind::Unreachable);
    assert_eq!(kind("redis://no-such-host.invalid:PORT/").await, StoreErrorKind::Unreachable);
    let limits = RedisLimiter::connect("redis://127.0.0.1:1/", Quota::per_second(0)).await;
    assert!(limits.unwrap_err().to_string().starts_with("rate 0"));

    let mut admin = redis::Client::open(format!("redis://:secret@127.0.0.1:{port}/"))
        .unwrap()
        .get_connection()
        .unwrap();
    let users = [
        ("noeval", vec!["~*", "+@all", "-eval", "-evalsha"], StoreErrorKind::NotPermitted),
        ("nokeys", vec!["~other*", "+@all"], StoreErrorKind::NotPermitted),
        ("noset", vec!["~*", "+@all", "-set"], StoreErrorKind::NotPermitted),
        ("noget", vec!["~*", "+@all", "-get"], StoreErrorKind::NotPermitted),
    ];
    for (user, rules, kind) in users {
        let mut words = vec!["ACL", "SETUSER", user, "on", ">pw"];
        words.extend(rules);
        let (): () = redis_server::say(&mut admin, &words);
        let limiter = limiter(&format!("redis://{user}:pw@127.0.0.1:{port}/")).await;
        assert_eq!(kind_of(&limiter).await, Some(kind), "{user}");
    }
    let words = [
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">pw",
        "~flowgate:*",
        "+eval",
        "+evalsha",
        "+get",
        "+set",
        "+time",
        "+ping",
    ];
    let (): () = redis_server::say(&mut admin, &words);
    let url = format!("redis://app:pw@127.0.0.1:{port}/");
    assert_eq!(kind_of(&limiter(&url).await).await, None);
    // Another database has to be asked for.
    let other = format!("{url}1");
    assert_eq!(connect(other.clone()).await.kind(), StoreErrorKind::NotPermitted);
    let (): () = redis_server::say(&mut admin, &["ACL", "SETUSER", "app", "+select"]);
    assert_eq!(kind_of(&limiter(&other).await).await, None);
    // There are 16.
    assert_eq!(connect(format!("{url}99")).await.kind(), StoreErrorKind::BadAddress);
}

/// firecrawl #3728, litellm-rs #836.
#[tokio::test]
async fn a_store_that_is_down_is_no_denial_and_is_found_again_at_once() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let limiter = limiter(&server.url()).await;
    limiter.try_consume("alice", 1).await.unwrap();
    for _ in 0..2 {
        server.kill();
        let mut kinds = Vec::new();
        for _ in 0..20 {
            let started = Instant::now();
            let kind = kind_of(&limiter).await.expect("neither a grant nor a denial");
            assert!(kind.is_passing());
            assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
            kinds.push(kind);
        }
        assert_eq!(kinds.last(), Some(&StoreErrorKind::Unreachable));
        server.run();
        let back = Instant::now();
        until("an answer", async || kind_of(&limiter).await.is_none()).await;
        assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
    }
}

#[tokio::test]
async fn a_store_that_is_away_when_it_is_named_is_found_when_it_is_there() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    server.kill();
    let refused = RedisStore::connect(&server.url()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unreachable, "{refused}");
    let store = RedisStore::lazy(&server.url()).unwrap().timeout(Duration::from_millis(200));
    let limiter = RedisLimiter::new(&store, Quota::per_hour(3)).unwrap();
    for _ in 0..3 {
        assert_eq!(kind_of(&limiter).await, Some(StoreErrorKind::Unreachable));
    }
    // What surely was not carried out is not counted as if it might have been.
    assert_eq!(store.unanswered(), 0);
    server.run();
    until("an answer", async || kind_of(&limiter).await.is_none()).await;
    assert_eq!(limiter.available("alice").await.unwrap(), 2);
    // What can be told without it is told at once.
    let wrong = RedisStore::lazy("http://127.0.0.1/").unwrap_err();
    assert_eq!(wrong.kind(), StoreErrorKind::BadAddress, "{wrong}");
}

#[tokio::test]
async fn a_call_without_an_answer_ends_in_time_and_says_that_it_may_have_been_carried_out() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let limiter = limiter(&server.url()).await;
    limiter.try_consume("alice", 1).await.unwrap();
    server.signal("STOP");
    for _ in 0..3 {
        let started = Instant::now();
        let kind = kind_of(&limiter).await.unwrap();
        assert_eq!(kind, StoreErrorKind::TimedOut);
        assert!(kind.may_have_executed());
        let took = started.elapsed();
        assert!(
            (Duration::from_millis(190)..Duration::from_millis(400)).contains(&took),
            "{took:?}"
        );
    }
    server.signal("CONT");
    let back = Instant::now();
    until("an answer", async || kind_of(&limiter).await.is_none()).await;
    assert!(back.elapsed() < Duration::from_secs(1));
    // The calls that timed out have been carried out.
    let left = limiter.available("alice").await.unwrap().whole();
    assert!((1_000_000 - 6..1_000_000 - 2 + 2_000).contains(&left), "{left}");
    assert_eq!(limiter.store().unanswered(), 3);
}

/// A way to a server that can be told to carry nothing.
struct Proxy {
    url: String,
    holds: Arc<AtomicBool>,
    opened: Arc<Mutex<u32>>,
}

impl Proxy {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}/", listener.local_addr().unwrap());
        let (holds, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
        let (hold, count) = (holds.clone(), opened.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                *count.lock().unwrap() += 1;
                let client = client.unwrap();
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                // A connection that was there while nothing was carried stays dead.
                let dead = Arc::new(AtomicBool::new(false));
                let ways =
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                for (mut from, mut to) in ways {
                    let (hold, dead) = (hold.clone(), dead.clone());
                    std::thread::spawn(move || {
                        let mut bytes = [0; 65_536];
                        while let Ok(read @ 1..) = from.read(&mut bytes) {
                            if hold.load(Relaxed) {
                                dead.store(true, Relaxed);
                            }
                            if !dead.load(Relaxed) && to.write_all(&bytes[..read]).is_err() {
                                break;
                            }
                        }
                    });
                }
            }
        });
        Self { url, holds, opened }
    }
}

#[tokio::test]
async fn a_connection_that_hangs_is_replaced() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let limiter = limiter(&proxy.url).await;
    limiter.try_consume("alice", 1).await.unwrap();
    assert_eq!(*proxy.opened.lock().unwrap(), 1);
    proxy.holds.store(true, Relaxed);
    assert_eq!(kind_of(&limiter).await, Some(StoreErrorKind::TimedOut));
    proxy.holds.store(false, Relaxed);
    // The old one still carries nothing.
    until("another connection", async || kind_of(&limiter).await.is_none()).await;
    assert!(*proxy.opened.lock().unwrap() <= 3);
}

#[tokio::test]
async fn a_server_that_turns_into_a_replica_and_back_is_told_and_found_again() {
    if no_server() {
        return;
    }
    let primary = Server::start();
    let server = Server::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let limiter = RedisLimiter::new(&store, Quota::per_hour(1_000_000)).unwrap();
    let set = [("a", Quota::per_hour(10)), ("b", Quota::per_hour(10))];
    let set = RedisLimitSet::new(&store, "set", set).unwrap();
    limiter.try_consume("alice", 1).await.unwrap();
    let primary_port = primary.port().to_string();
    let (): () = server.say(&["REPLICAOF", "127.0.0.1", &primary_port]);
    until("the replica", async || kind_of(&limiter).await == Some(StoreErrorKind::ReadOnly)).await;
    assert_eq!(
        set.try_consume("alice", [1, 1]).await.unwrap_err().store().unwrap().kind(),
        StoreErrorKind::ReadOnly
    );
    assert!(StoreErrorKind::ReadOnly.is_passing());
    let (): () = server.say(&["REPLICAOF", "NO", "ONE"]);
    until("the primary", async || kind_of(&limiter).await.is_none()).await;
    set.try_consume("alice", [1, 1]).await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_write_is_no_grant() {
    if no_server() {
        return;
    }
    let server = Server::with(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let limiter = limiter(&server.url()).await;
    assert_eq!(kind_of(&limiter).await, Some(StoreErrorKind::NotReady));
    let server = Server::with(&["--min-replicas-to-write", "1"]);
    let limiter = self::limiter(&server.url()).await;
    assert_eq!(kind_of(&limiter).await, Some(StoreErrorKind::NotReady));
}
