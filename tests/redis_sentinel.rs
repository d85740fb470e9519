//! Limits on whichever server Sentinel says, through a real failover.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod redis_server;

use std::fs;
use std::time::Duration;

use flowgate::Quota;
use flowgate::redis::{RedisLimiter, RedisStore, StoreErrorKind};
use redis_server::{Server, no_server, until};

/// A primary and its replica, with a password, and a sentinel that watches them.
struct Watched {
    primary: Server,
    replica: Server,
    sentinel: Server,
}

impl Watched {
    async fn start() -> Self {
        let flags = [
            "--requirepass",
            "secret",
            "--masterauth",
            "secret",
            "--repl-diskless-sync-delay",
            "0",
        ];
        let primary = Server::with(&flags);
        let port = primary.port().to_string();
        let replica = Server::with(&[&flags[..], &["--replicaof", "127.0.0.1", &port]].concat());
        // To be written by it; gone with the primary's folder.
        let file = primary.dir().join("sentinel.conf");
        let settings = format!(
            "sentinel monitor service 127.0.0.1 {port} 1\nsentinel auth-pass service secret\n\
             sentinel down-after-milliseconds service 500\nsentinel failover-timeout service 5000\n"
        );
        fs::write(&file, settings).unwrap();
        let sentinel = Server::with(&[file.to_str().unwrap(), "--sentinel"]);
        let watched = Self { primary, replica, sentinel };
        until("the replica", async || {
            let info: String = watched.sentinel.say(&["INFO", "sentinel"]);
            info.contains("slaves=1")
        })
        .await;
        until("its data", async || {
            let mut connection = watched.connection(&watched.replica);
            let info: String = redis_server::say(&mut connection, &["INFO", "replication"]);
            info.contains("master_link_status:up")
        })
        .await;
        watched
    }

    fn connection(&self, server: &Server) -> redis::Connection {
        let url = format!("redis://:secret@127.0.0.1:{}/", server.port());
        redis::Client::open(url).unwrap().get_connection().unwrap()
    }
}

#[tokio::test]
async fn a_failover_is_followed() {
    if no_server() {
        return;
    }
    let mut watched = Watched::start().await;
    let sentinels = ["redis://127.0.0.1:1/".to_string(), watched.sentinel.url()];
    let error = RedisStore::sentinel(sentinels.clone(), "other").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unreachable, "{error}");
    let error = RedisStore::sentinel(sentinels.clone(), "service").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::WrongPassword, "{error}");

    let away = RedisStore::lazy_sentinel(["redis://127.0.0.1:1/"], "service").unwrap();
    let error = RedisLimiter::new(&away, Quota::per_day(1)).unwrap().is_allowed("alice").await;
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Unreachable);
    // It connects with the first call.
    let store = RedisStore::lazy_sentinel(sentinels, "redis://:secret@service/").unwrap();
    let store = store.timeout(Duration::from_millis(300));
    let limiter = RedisLimiter::new(&store, Quota::per_day(1_000)).unwrap();
    limiter.try_consume("alice", 500).await.unwrap();
    let mut connection = watched.connection(&watched.primary);
    let copied: u64 = redis_server::say(&mut connection, &["WAIT", "1", "5000"]);
    assert_eq!(copied, 1);

    watched.primary.kill();
    let mut kinds = Vec::new();
    until("the replica's promotion", async || match limiter.try_consume("alice", 1).await {
        Ok(_) => true,
        Err(error) => {
            kinds.push(error.store().expect("a denial").kind());
            false
        }
    })
    .await;
    assert!(!kinds.is_empty());
    assert!(kinds.iter().all(|kind| kind.is_passing()), "{kinds:?}");
    // What was taken before stays taken: it had been copied.
    let left = limiter.available("alice").await.unwrap().whole();
    assert!((498..=500).contains(&left), "{left}");
    let mut connection = watched.connection(&watched.replica);
    assert_eq!(redis_server::say::<u64>(&mut connection, &["DBSIZE"]), 1);
}
