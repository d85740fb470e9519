//! Limits in a cluster of three servers, also while slots move and a server is gone.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod redis_server;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flowgate::Quota;
use flowgate::redis::{RedisError, RedisLimitSet, RedisLimiter, RedisStore, StoreErrorKind};
use redis_server::{Server, no_server, until};

struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    async fn start() -> Self {
        let flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let servers: Vec<_> = (0..3).map(|_| Server::with(&flags)).collect();
        let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port()));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-yes"])
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let cluster = Self { servers };
        until("the cluster", async || {
            cluster.servers.iter().all(|server| {
                server.say::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            })
        })
        .await;
        cluster
    }

    async fn store(&self) -> RedisStore {
        // One of them is enough to find the others.
        let store = RedisStore::cluster([self.servers[0].url()]).await.unwrap();
        store.timeout(Duration::from_secs(5))
    }

    fn slot_of(&self, key: &str) -> u64 {
        self.servers[0].say(&["CLUSTER", "KEYSLOT", key])
    }

    /// The server that has a key.
    fn owner(&self, key: &str) -> usize {
        let slot = self.slot_of(key).to_string();
        let count = |server: &Server| -> u64 { server.say(&["CLUSTER", "COUNTKEYSINSLOT", &slot]) };
        self.servers.iter().position(|server| count(server) > 0).expect("nobody has the key")
    }

    fn id(&self, server: usize) -> String {
        self.servers[server].say(&["CLUSTER", "MYID"])
    }

    fn say(&self, server: usize, words: &[&str]) {
        let (): () = self.servers[server].say(words);
    }

    /// Says that a slot is about to move; keys stay where they are.
    fn begin_move(&self, slot: &str, from: usize, to: usize) {
        self.say(to, &["CLUSTER", "SETSLOT", slot, "IMPORTING", &self.id(from)]);
        self.say(from, &["CLUSTER", "SETSLOT", slot, "MIGRATING", &self.id(to)]);
    }

    fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.servers[to].port().to_string();
        self.say(from, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
    }

    fn end_move(&self, slot: &str, from: usize, to: usize) {
        let id = self.id(to);
        self.say(to, &["CLUSTER", "SETSLOT", slot, "NODE", &id]);
        self.say(from, &["CLUSTER", "SETSLOT", slot, "NODE", &id]);
    }
}

/// lua-resty PR 9.
#[tokio::test]
async fn the_buckets_of_one_key_are_in_one_slot_whatever_the_key() {
    if no_server() {
        return;
    }
    let cluster = Cluster::start().await;
    let store = cluster.store().await;
    let limits = ["requests", "tokens", "}", "{x}", ""].map(|name| (name, Quota::per_hour(10)));
    let set = RedisLimitSet::new(&store, "a{set}", limits).unwrap();
    for key in ["alice", "", "{", "}", "{}", "a}b{c", "%", "{alice}"] {
        set.try_consume(key, [1; 5]).await.unwrap();
        assert_eq!(set.available(key).await.unwrap()[4], 9);
    }
    // And those of many keys are on all servers.
    let limiter = RedisLimiter::new(&store, Quota::per_hour(10)).unwrap();
    for key in 0..100_u32 {
        assert!(limiter.is_allowed(key).await.unwrap());
    }
    let keys = cluster.servers.iter().map(|server| server.say::<u64>(&["DBSIZE"]));
    let keys: Vec<_> = keys.collect();
    assert_eq!(keys.iter().sum::<u64>(), 140);
    assert!(keys.iter().all(|keys| *keys >= 10), "{keys:?}");
}

#[tokio::test]
async fn a_slot_that_moves_is_followed_and_counts_each_call_once() {
    if no_server() {
        return;
    }
    let cluster = Cluster::start().await;
    let store = cluster.store().await;
    let limiter = RedisLimiter::new(&store, Quota::per_day(100_000)).unwrap();
    let keys = ["{", "b", "c", "d"];
    for key in keys {
        limiter.try_consume(key, 1).await.unwrap();
    }
    let over = Arc::new(AtomicBool::new(false));
    let tasks = keys.map(|key| {
        let (limiter, over) = (limiter.clone(), over.clone());
        tokio::spawn(async move {
            let mut taken = 1_u64;
            while !over.load(Relaxed) {
                limiter.try_consume(key, 1).await.unwrap();
                taken += 1;
            }
            taken
        })
    });
    for key in ["flowgate:{%7B}", "flowgate:{b}"] {
        let from = cluster.owner(key);
        let to = (from + 1) % 3;
        let slot = cluster.slot_of(key).to_string();
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.begin_move(&slot, from, to);
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.move_key(key, from, to);
        // The key is there, the slot still here: ASK.
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.end_move(&slot, from, to);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(cluster.owner(key), to);
    }
    over.store(true, Relaxed);
    for (task, key) in tasks.into_iter().zip(keys) {
        let taken = task.await.unwrap();
        let left = limiter.available(key).await.unwrap().whole();
        assert!(taken > 100, "{taken}");
        // Five seconds refill six.
        assert!((100_000 - taken..=100_000 - taken + 10).contains(&left), "{taken} {left}");
    }
}

#[tokio::test]
async fn keys_of_other_servers_go_on_when_one_is_gone_and_all_when_it_is_back() {
    if no_server() {
        return;
    }
    let mut cluster = Cluster::start().await;
    let store = cluster.store().await.timeout(Duration::from_millis(300));
    let limiter = RedisLimiter::new(&store, Quota::per_day(100_000)).unwrap();
    for server in &cluster.servers {
        let (): () = server.say(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    limiter.try_consume("alice", 1).await.unwrap();
    let gone = cluster.owner("flowgate:{alice}");
    cluster.servers[gone].kill();
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        match limiter.try_consume("alice", 1).await {
            Err(RedisError::Store(error)) => kinds.push(error.kind()),
            other => panic!("{other:?}"),
        }
        assert!(started.elapsed() < Duration::from_millis(500));
    }
    assert!(kinds.iter().all(|kind| kind.is_passing()), "{kinds:?}");
    until("the others", async || {
        let mut allowed = 0;
        for key in 0..20_u32 {
            allowed += u32::from(limiter.is_allowed(key).await.unwrap_or(false));
        }
        allowed > 5
    })
    .await;
    cluster.servers[gone].run();
    until("the one", async || limiter.is_allowed("alice").await.unwrap_or(false)).await;
}

#[tokio::test]
async fn a_cluster_that_is_away_when_it_is_named_is_found_when_it_is_there() {
    if no_server() {
        return;
    }
    let mut cluster = Cluster::start().await;
    cluster.servers.iter_mut().for_each(Server::kill);
    let refused = RedisStore::cluster([cluster.servers[1].url()]).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unreachable, "{refused}");
    let store = RedisStore::lazy_cluster([cluster.servers[1].url()]).unwrap();
    let limiter = RedisLimiter::new(&store, Quota::per_day(100_000)).unwrap();
    for _ in 0..2 {
        match limiter.try_consume("alice", 1).await {
            Err(RedisError::Store(error)) => assert!(error.kind().is_passing(), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    cluster.servers.iter_mut().for_each(Server::run);
    until("all of it", async || {
        let mut allowed = 0;
        for key in 0..20_u32 {
            allowed += u32::from(limiter.is_allowed(key).await.unwrap_or(false));
        }
        allowed == 20
    })
    .await;
    assert!(RedisStore::lazy_cluster(["nowhere"]).is_err());
}

#[tokio::test]
async fn a_server_alone_is_told_from_a_cluster() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let error = RedisStore::cluster([server.url()]).await.unwrap_err();
    assert!(!error.kind().to_string().is_empty());
    let cluster = Cluster::start().await;
    // As a server alone it answers for its own slots only.
    let store = RedisStore::connect(&cluster.servers[0].url()).await.unwrap();
    let limiter = RedisLimiter::new(&store, Quota::per_day(100)).unwrap();
    let mut kinds = Vec::new();
    for key in 0..20_u32 {
        match limiter.is_allowed(key).await {
            Ok(allowed) => assert!(allowed),
            Err(error) => kinds.push(error.kind()),
        }
    }
    assert!(!kinds.is_empty());
    assert!(kinds.iter().all(|kind| *kind == StoreErrorKind::NotReady), "{kinds:?}");
}
