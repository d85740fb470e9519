//! What a limiter that leases its tokens promises, on a real server: what is decided here, what the store is asked, and what is
//! answered while it is away.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "fleet/proxy.rs"]
mod proxy;
mod redis_server;

use std::time::{Duration, Instant};

use flowgate::redis::{
    Admitted, Lease, LeaseError, LeasedLimiter, RedisLimiter, RedisStore, StoreErrorKind, WhenDown,
};
use flowgate::{Denied, KeyedLimiter, Limit, LimitSet, Quota, Tokens, TokioTimer};
use proxy::Proxy;
use redis_server::{Server, no_server, until};

type Users = LeasedLimiter<String>;
type Boxed = Box<dyn Limit<str> + Send + Sync>;

const SECOND: Duration = Duration::from_secs(1);
const TEN_SECONDS: Lease = Lease::when_down(WhenDown::Deny).lifetime(Duration::from_secs(10));

/// One a second, so that next to nothing is refilled meanwhile; 990 of them are left to be leased.
fn slow() -> Quota {
    Quota::per_hour(3_600).burst(1_000)
}

async fn users(server: &Server, quota: Quota, lease: Lease) -> Users {
    LeasedLimiter::connect(&server.url(), quota, lease).await.unwrap()
}

/// Without waiting, until something is leased; how often it was denied before.
async fn granted_after(limiter: &Users, key: &str, cost: u64) -> u32 {
    let mut denials = 0;
    loop {
        match limiter.try_consume(key, cost) {
            Ok(Admitted::Granted(_)) => return denials,
            Err(Denied::NotYet(not_yet)) => tokio::time::sleep(not_yet.retry_after()).await,
            other => panic!("{other:?}"),
        }
        denials += 1;
        assert!(denials < 1_000);
    }
}

/// What a call that waits comes to, which it does soon.
async fn soon<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), call).await.unwrap()
}

/// A grant that is counted.
async fn grant(limiter: &Users, key: &str, cost: u64) {
    assert!(!soon(limiter.decide(key, cost)).await.unwrap().is_degraded());
}

/// Uses `key` until more is leased than was asked for, and says how much.
async fn lease_some(limiter: &Users, key: &str) -> u64 {
    while limiter.leased(key) < 10 {
        grant(limiter, key, 1).await;
    }
    limiter.leased(key).whole()
}

#[tokio::test]
async fn the_first_call_is_denied_and_the_one_after_the_wait_is_granted() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let users = users(&server, slow(), TEN_SECONDS).await;
    assert_eq!(users.stats().asked, 0);
    let Err(Denied::NotYet(not_yet)) = users.try_consume("alice", 5) else { panic!() };
    assert!(!not_yet.retry_after().is_zero() && not_yet.retry_after() <= SECOND);
    granted_after(&users, "alice", 5).await;
    let stats = users.stats();
    assert!(stats.asked >= 1 && stats.leased >= 1, "{stats:?}");
    assert_eq!((stats.failed, stats.unknown, stats.late, stats.outages), (0, 0, 0, 0));
    assert_eq!((stats.is_down, stats.keys), (false, 1));
}

#[tokio::test]
async fn who_waits_for_the_answer_is_granted_by_the_first_call() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let users = users(&server, slow(), TEN_SECONDS).await;
    let admitted = users.decide("alice", 7).await.unwrap();
    assert!(!admitted.is_degraded() && admitted.granted().is_some());
    assert_eq!((users.stats().asked, users.stats().leased), (1, 1));
}

#[tokio::test]
async fn what_can_never_be_had_is_said_without_asking() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let users = users(&server, slow(), TEN_SECONDS).await;
    assert_eq!((users.quota(), users.guaranteed_burst()), (slow(), Tokens::new(990)));
    let Err(Denied::Never(never)) = users.decide("alice", 991).await else { panic!() };
    assert_eq!((never.cost(), never.capacity()), (991.into(), 990.into()));
    assert!(matches!(users.try_consume("alice", 991), Err(Denied::Never(_))));
    assert_eq!(users.stats().asked, 0);
    // And what is there at first can be had at once.
    grant(&users, "alice", 990).await;
    assert!(matches!(users.decide("alice", 990).await, Err(Denied::NotYet(_))));
}

#[tokio::test]
async fn what_is_leased_is_decided_without_the_store() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let users = users(&server, slow(), TEN_SECONDS).await;
    let leased = lease_some(&users, "alice").await;
    server.kill();
    for left in (0..leased).rev() {
        let granted = users.try_consume("alice", 1).unwrap().granted().unwrap();
        assert_eq!(granted.remaining(), left);
    }
    assert!(!users.is_allowed("alice"));
}

#[tokio::test]
async fn what_is_not_used_within_its_lifetime_is_gone() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let quota = Quota::per_second(100).burst(1_000);
    let lifetime = Duration::from_millis(300);
    let users = users(&server, quota, TEN_SECONDS.lifetime(lifetime)).await;
    let began = Instant::now();
    lease_some(&users, "alice").await;
    // The last ask was sent before now.
    tokio::time::sleep(lifetime).await;
    assert_eq!(users.leased("alice"), 0, "{:?}", began.elapsed());
    assert!(matches!(users.try_consume("alice", 1), Err(Denied::NotYet(_))));
}

/// A call may take as long as a lease lasts, and of that the last 64th is not used.
#[tokio::test]
async fn an_answer_that_comes_too_late_is_counted_and_its_tokens_are_lost() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let lifetime = 4 * SECOND;
    let lease = TEN_SECONDS.lifetime(lifetime);
    let store = RedisStore::connect(&proxy.url()).await.unwrap().timeout(2 * lifetime);
    let users = LeasedLimiter::<String>::new(&store, "api", slow(), lease).unwrap();
    let mut number = 0;
    let key = loop {
        number += 1;
        // Everything is as it was, the script in the server, too: then a call is one round trip.
        proxy.delay(Duration::ZERO);
        until("a grant", async || users.decide("alice", 1).await.is_ok()).await;
        // There and back: in the middle of that 64th.
        proxy.delay(lifetime * 127 / 256);
        let (key, stats) = (format!("user {number}"), users.stats());
        assert!(soon(users.decide(&key, 900)).await.is_err());
        assert_eq!(users.leased(&key), 0);
        let late = users.stats().late - stats.late;
        if late > 0 {
            // Nobody asked for anything else.
            assert_eq!((late, users.stats().leased - stats.leased), (1, 1));
            break key;
        }
        // On a busy machine it takes longer than a call may.
        assert!(number < 5, "{:?}", users.stats());
    };
    proxy.delay(Duration::ZERO);
    // They are gone, and refilled in time: 96 and one a second are left.
    until("an answer", async || users.decide(&key, 50).await.is_ok()).await;
    assert!(matches!(soon(users.decide(&key, 500)).await, Err(Denied::NotYet(_))));
}

#[tokio::test]
async fn limiters_of_one_name_share_a_bucket_and_those_of_two_do_not() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    // One of twenty leases at most 24 more than it was asked for.
    let lease = TEN_SECONDS.processes(20);
    let named = |name| LeasedLimiter::<String>::new(&store, name, slow(), lease).unwrap();
    let (one, same, other) = (named("api"), named("api"), named("logins"));
    grant(&one, "alice", 900).await;
    assert!(matches!(same.decide("alice", 900).await, Err(Denied::NotYet(_))));
    grant(&same, "alice", 60).await;
    grant(&other, "alice", 900).await;
    grant(&one, "bob", 900).await;
}

/// Whatever each of them leases ahead.
#[tokio::test]
async fn all_processes_together_are_never_over() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let quota = Quota::per_second(2_000).burst(1_000);
    let lease = TEN_SECONDS.lifetime(Duration::from_millis(200));
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(users(&server, quota, lease).await);
    }
    let began = Instant::now();
    let tasks = all.into_iter().map(|users| {
        tokio::spawn(async move {
            let mut granted = 0_u32;
            while began.elapsed() < SECOND {
                match users.decide("alice", 1).await {
                    Ok(_) => granted += 1,
                    Err(denied) => tokio::time::sleep(denied.retry_after().unwrap()).await,
                }
            }
            granted
        })
    });
    let mut granted = 0;
    for task in tasks.collect::<Vec<_>>() {
        granted += task.await.unwrap();
    }
    let most = 1_000.0 + 2_000.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(granted) <= most, "{granted} of {most}");
    // The burst that is guaranteed, and half of the rate on a busy machine.
    assert!(granted >= 600 + 1_000, "{granted}");
}

#[tokio::test]
async fn what_is_charged_is_taken_here_first_and_then_owed_to_the_store() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    // One of twenty leases at most 24 at a time.
    let lease = TEN_SECONDS.processes(20);
    let users = || LeasedLimiter::<String>::new(&store, "api", slow(), lease).unwrap();
    let (one, other) = (users(), users());
    let leased = lease_some(&one, "alice").await;
    one.charge("alice", leased - 1).unwrap();
    assert_eq!(one.leased("alice"), 1);
    one.charge("alice", 501).unwrap();
    assert_eq!(one.leased("alice"), 0);
    // With the next call the store is told of the 500.
    grant(&one, "alice", 1).await;
    assert!(matches!(other.decide("alice", 495).await, Err(Denied::NotYet(_))));
    grant(&other, "alice", 400).await;
}

#[tokio::test]
async fn a_handle_decides_on_the_same_tokens_and_outlives_the_limiter() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let users = users(&server, slow(), TEN_SECONDS).await;
    let alice = users.handle("alice").unwrap();
    assert!(matches!(alice.try_consume(1), Err(Denied::NotYet(_))));
    assert!(alice.decide(1).await.is_ok());
    let leased = lease_some(&users, "alice").await;
    assert!(alice.is_allowed());
    assert!(alice.clone().try_consume(2).is_ok());
    assert_eq!(users.leased("alice"), leased - 3);
    assert_eq!(users.stats().keys, 1);
    drop(users);
    assert!(alice.decide(500).await.is_ok());
    assert!(matches!(alice.decide(991).await, Err(Denied::Never(_))));
}

#[tokio::test]
async fn one_key_more_has_no_room_until_an_idle_one_has_gone() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (quota, lifetime) = (Quota::per_second(1_000).burst(500), Duration::from_millis(100));
    let users = users(&server, quota, TEN_SECONDS.lifetime(lifetime).max_keys(2)).await;
    let alice = users.handle("alice").unwrap();
    grant(&users, "bob", 1).await;
    let Err(Denied::NoRoom(no_room)) = users.try_consume("carol", 1) else { panic!() };
    assert!(no_room.retry_after() > lifetime / 2 && no_room.retry_after() <= lifetime);
    assert!(matches!(users.decide("carol", 1).await, Err(Denied::NoRoom(_))));
    assert!(matches!(users.charge("carol", 1), Err(Denied::NoRoom(_))));
    assert!(matches!(users.handle("carol"), Err(Denied::NoRoom(_))));
    assert_eq!(users.stats().keys, 2);
    until("room", async || users.decide("carol", 1).await.is_ok()).await;
    until("a rest", async || users.stats().keys == 1).await;
    // A key that has a handle is kept.
    tokio::time::sleep(3 * lifetime).await;
    assert_eq!(users.stats().keys, 1);
    drop(alice);
    until("an empty limiter", async || users.stats().keys == 0).await;
}

#[tokio::test]
async fn after_a_shutdown_what_is_leased_serves_and_nobody_is_asked() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let users = users(&server, slow(), TEN_SECONDS).await;
    lease_some(&users, "alice").await;
    users.clone().shutdown().await;
    let asked = users.stats().asked;
    let leased = users.leased("alice").whole();
    assert!(users.try_consume("alice", leased).is_ok());
    let Err(Denied::Unavailable(stopped)) = users.decide("alice", 1).await else { panic!() };
    assert_eq!(stopped.kind(), StoreErrorKind::Stopped);
    assert!(matches!(users.try_consume("bob", 1), Err(Denied::Unavailable(_))));
    assert_eq!(users.stats().asked, asked);
    users.shutdown().await;
}

#[tokio::test]
async fn a_limiter_that_is_dropped_ends_its_task() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let lease = TEN_SECONDS.lifetime(Duration::from_millis(100));
    let before = tasks();
    let users = LeasedLimiter::<String>::new(&store, "api", slow(), lease).unwrap();
    let twin = users.clone();
    grant(&twin, "alice", 1).await;
    drop(twin);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(tasks(), before + 1);
    drop(users);
    until("the end of the task", async || tasks() == before).await;
}

#[test]
fn when_its_runtime_is_gone_calls_say_so_and_none_hangs() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let lifetime = Duration::from_millis(200);
    let first = runtime();
    let users = first.block_on(async {
        let users = users(&server, slow(), TEN_SECONDS.lifetime(lifetime)).await;
        grant(&users, "alice", 1).await;
        users
    });
    drop(first);
    std::thread::sleep(lifetime);
    let denied = users.try_consume("alice", 1).unwrap_err();
    assert!(
        matches!(denied, Denied::Unavailable(why) if why.kind() == StoreErrorKind::Stopped),
        "{denied}"
    );
    runtime().block_on(async {
        let denied = soon(users.decide("bob", 1)).await.unwrap_err();
        assert!(matches!(denied, Denied::Unavailable(_)), "{denied}");
        soon(users.shutdown()).await;
    });
}

#[tokio::test]
async fn many_keys_at_once_have_a_bucket_each() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let users = users(&server, slow(), TEN_SECONDS).await;
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let users = users.clone();
            tokio::spawn(async move {
                let key = format!("user {number}");
                for _ in 0..3 {
                    grant(&users, &key, 300).await;
                }
                assert!(soon(users.decide(&key, 300)).await.is_err());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(users.stats().keys, 500);
    assert_eq!(server.say::<u64>(&["DBSIZE"]), 500);
}

/// What was wrong, and what it says.
async fn refused(url: &str, quota: Quota, lease: Lease) -> (LeaseError, String) {
    let error = Users::connect(url, quota, lease).await.unwrap_err();
    let said = error.to_string();
    (error, said)
}

/// Nobody is at this address; and nobody needs to be.
const NOWHERE: &str = "redis://127.0.0.1:1/";

#[tokio::test]
async fn settings_that_do_not_go_together_are_refused_in_a_sentence_before_anybody_is_asked() {
    let quota = Quota::per_second(100).burst(100);
    let deny = Lease::when_down(WhenDown::Deny);
    let millis = Duration::from_millis;

    let (error, said) = refused(NOWHERE, quota, deny.processes(0)).await;
    assert_eq!(error, LeaseError::NoProcesses);
    assert_eq!(said, "processes 0: at least this one has the limit");
    let share = Lease::when_down(WhenDown::Share { processes: 0 });
    assert_eq!(refused(NOWHERE, quota, share).await.0, LeaseError::NoProcesses);

    let (error, said) = refused(NOWHERE, quota, deny.max_keys(0)).await;
    assert_eq!(error, LeaseError::NoKeys);
    assert_eq!(said, "max_keys 0: a limiter that holds no key denies everything");

    let (error, said) = refused(NOWHERE, quota, deny.lifetime(millis(49))).await;
    assert_eq!(error, LeaseError::Lifetime { lifetime: millis(49), is_chosen: true });
    assert_eq!(said, "lifetime 49ms: a lease lasts from 50ms to 3600s");
    let day = Quota::per_day(10).burst(1_000);
    let (_, said) = refused(NOWHERE, day, deny.lifetime(3_601 * SECOND)).await;
    assert_eq!(said, "lifetime 3601s: a lease lasts from 50ms to 3600s");

    let (error, said) = refused(NOWHERE, quota.burst(10), deny).await;
    assert_eq!(error, LeaseError::Lifetime { lifetime: millis(25), is_chosen: false });
    assert_eq!(
        said,
        "burst: a quarter of it is refilled in 25ms, and a lease lasts 50ms at least; \
         set a larger burst, or a lifetime that leaves some of it, or ask the store for each decision"
    );

    let (error, said) = refused(NOWHERE, quota, deny.lifetime(SECOND)).await;
    let capacity = Tokens::new(100);
    assert_eq!(error, LeaseError::NothingLeft { capacity, lifetime: SECOND, refilled: capacity });
    assert_eq!(
        said,
        "lifetime 1s: 100 tokens are refilled in it, of a capacity of 100, which must be more; \
         set a shorter one, or a larger burst, or `relaxed`"
    );

    let (error, said) = refused(NOWHERE, quota.burst(0), deny).await;
    assert!(matches!(error, LeaseError::Quota(_)), "{error:?}");
    assert!(said.starts_with("burst 0: "), "{said}");
}

#[tokio::test]
async fn without_a_server_a_limiter_is_refused_and_says_what_to_see_to() {
    let lease = Lease::when_down(WhenDown::Deny);
    let (error, said) = refused(NOWHERE, slow(), lease).await;
    let LeaseError::Store(store) = error else { panic!("{error:?}") };
    assert_eq!(store.kind(), StoreErrorKind::Unreachable);
    assert!(said.starts_with("the server cannot be reached: see that it runs"), "{said}");

    let (error, said) = refused("not an address", slow(), lease).await;
    let LeaseError::Store(store) = error else { panic!("{error:?}") };
    assert_eq!(store.kind(), StoreErrorKind::BadAddress);
    assert!(said.contains("write redis://"), "{said}");
}

#[test]
fn outside_of_a_runtime_a_limiter_is_refused() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(RedisStore::connect(&server.url())).unwrap();
    let error = Users::new(&store, "api", slow(), TEN_SECONDS).unwrap_err();
    assert_eq!(error, LeaseError::NoRuntime);
    let said = "no tokio runtime: make a leased limiter within one, where it asks the store";
    assert_eq!(error.to_string(), said);
    let _entered = runtime.enter();
    Users::new(&store, "api", slow(), TEN_SECONDS).unwrap();
}

#[tokio::test]
async fn with_relaxed_a_lifetime_may_refill_the_capacity() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let quota = Quota::per_second(100).burst(100);
    let users = users(&server, quota, TEN_SECONDS.lifetime(SECOND).relaxed()).await;
    assert_eq!(users.guaranteed_burst(), 100);
    grant(&users, "alice", 100).await;
}

#[tokio::test]
async fn with_empty_after_restart_a_key_has_its_burst_when_the_server_has_run_for_as_long() {
    if no_server() {
        return;
    }
    let quota = Quota::per_second(400).burst(400);
    let lease = TEN_SECONDS.lifetime(Duration::from_millis(100)).empty_after_restart();
    let server = Server::start();
    let users = users(&server, quota, lease).await;
    assert_eq!(users.guaranteed_burst(), 360);
    // It has not run for more than a second or two.
    let began = Instant::now();
    let Err(Denied::NotYet(not_yet)) = soon(users.decide("alice", 360)).await else { panic!() };
    assert!(not_yet.retry_after() > SECOND / 2, "{not_yet:?}");
    granted_after(&users, "alice", 100).await;
    let refilled = 400.0 * began.elapsed().as_secs_f64();
    assert!(refilled >= 100.0, "{refilled}");
    // Whoever is asked for first then.
    let mut number = 0;
    until("a whole burst", async || {
        number += 1;
        users.decide(&format!("user {number}"), 360).await.is_ok()
    })
    .await;
    // What the server tells is in whole seconds.
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
}

/// All processes are new; the server has lost all, or has what it had saved a while ago.
#[tokio::test]
async fn with_empty_after_restart_what_a_server_has_lost_is_not_granted_again() {
    if no_server() {
        return;
    }
    for is_saved in [false, true] {
        let mut server = Server::start();
        let before = users(&server, slow(), TEN_SECONDS).await;
        grant(&before, "alice", 10).await;
        if is_saved {
            let (): () = server.say(&["SAVE"]);
        }
        grant(&before, "alice", 900).await;
        // Nobody tells what it knew.
        before.shutdown().await;
        server.kill();
        server.run();
        // So it is without.
        let trusting = users(&server, slow(), TEN_SECONDS).await;
        grant(&trusting, "alice", 900).await;
        trusting.shutdown().await;
        let wary = users(&server, slow(), TEN_SECONDS.empty_after_restart()).await;
        for key in ["alice", "bob"] {
            let Err(Denied::NotYet(not_yet)) = soon(wary.decide(key, 20)).await else { panic!() };
            assert!(not_yet.retry_after() > 10 * SECOND, "{key} {is_saved}: {not_yet:?}");
        }
    }
}

/// What others took after the server had saved its data, and while this process rested, neither of the two knows.
#[tokio::test]
async fn with_empty_after_restart_what_a_rested_process_knows_is_not_granted_again() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let quota = Quota::per_second(100).burst(1_000);
    let lease = TEN_SECONDS.lifetime(SECOND);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let named = |lease| Users::new(&store, "api", quota, lease).unwrap();
    let (wary, other) = (named(lease.empty_after_restart()), named(lease));
    // There is next to nothing left then.
    granted_after(&wary, "alice", 50).await;
    let (): () = server.say(&["SAVE"]);
    tokio::time::sleep(4 * SECOND).await;
    grant(&other, "alice", 350).await;
    // Else it could be the first to ask, and knows better.
    other.shutdown().await;
    server.kill();
    let began = Instant::now();
    server.run();
    // What is left of the second in which it was started, and what is refilled after it.
    until("an answer", async || match wary.decide("alice", 350).await {
        Err(Denied::NotYet(not_yet)) => {
            assert!(not_yet.retry_after() > 2 * SECOND, "{not_yet:?}");
            true
        }
        Err(Denied::Unavailable(_)) => false,
        other => panic!("{other:?} {:?}", began.elapsed()),
    })
    .await;
    // Those who are told of it since then know what there is, and it comes at the rate.
    granted_after(&wary, "alice", 50).await;
    let most = 100.0 * began.elapsed().as_secs_f64();
    assert!(most >= 50.0, "{most}");
}

#[tokio::test]
async fn who_may_not_ask_how_long_the_server_has_run_is_told_so() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let (): () = server.say(&["ACL", "SETUSER", "bob", "on", ">secret", "~*", "+@all", "-info"]);
    let url = server.url().replace("//", "//bob:secret@");
    let users = async |lease| Users::connect(&url, slow(), lease).await.unwrap();
    grant(&users(TEN_SECONDS).await, "alice", 1).await;
    let wary = users(TEN_SECONDS.empty_after_restart()).await;
    let denied = soon(wary.decide("carol", 1)).await.unwrap_err();
    assert!(
        matches!(denied, Denied::Unavailable(why) if why.kind() == StoreErrorKind::NotPermitted),
        "{denied}"
    );
}

/// Something else under one key is that key's trouble alone: not a store that is away, whatever is chosen for that.
#[tokio::test]
async fn a_key_that_holds_something_else_is_unavailable_and_the_others_go_on() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let lifetime = SECOND / 2;
    let key = "flowgate-lease:{alice}";
    for when_down in [WhenDown::Deny, WhenDown::Allow, WhenDown::Share { processes: 4 }] {
        for command in ["SET", "LPUSH"] {
            let users = users_when_down(&server, when_down).await;
            let (): () = server.say(&[command, key, "1"]);
            let began = Instant::now();
            let Err(Denied::Unavailable(other)) = soon(users.decide("alice", 1)).await else {
                panic!("{command}")
            };
            assert_eq!(other.kind(), StoreErrorKind::OtherBucket);
            let wait = other.retry_after();
            assert!(wait > lifetime / 4 && wait <= lifetime, "{wait:?}");
            // The others are leased for, when what they had has ended, too.
            while began.elapsed() < 3 * lifetime {
                grant(&users, "bob", 1).await;
                match users.try_consume("alice", 1) {
                    Err(Denied::Unavailable(other)) => {
                        assert_eq!(other.kind(), StoreErrorKind::OtherBucket);
                    }
                    // For so long as it is being asked once more.
                    Err(Denied::NotYet(_)) => {}
                    other => panic!("{other:?}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let stats = users.stats();
            assert_eq!((stats.outages, stats.is_down), (0, false));
            // Once in a lease's time.
            assert!((1..=4).contains(&stats.failed), "{stats:?}");
            let set = all_of([("shared", Box::new(users.clone()))]);
            if let Err(rejected) = soon(set.wait_with("alice", TokioTimer).acquire([1])).await {
                assert!(rejected.is_unavailable());
            } else {
                panic!("{command}");
            }
            let (): () = server.say(&["DEL", key]);
            until("a bucket", async || users.decide("alice", 1).await.is_ok()).await;
            let (): () = server.say(&["DEL", key]);
        }
    }
}

/// A server on which both have the names that they have by themselves.
#[tokio::test]
async fn a_leased_limiter_and_one_that_asks_each_time_do_not_share_a_key_unless_named_alike() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let each_time = RedisLimiter::connect(&server.url(), slow()).await.unwrap();
    let leased = users(&server, slow(), TEN_SECONDS).await;
    each_time.try_consume("alice", 1_000).await.unwrap();
    grant(&leased, "alice", 990).await;
    assert_eq!(server.say::<u64>(&["EXISTS", "flowgate-lease:{alice}"]), 1);
}

/// A quota whose leases last half a second, and what is answered while the store is away.
async fn users_when_down(server: &Server, when_down: WhenDown) -> Users {
    let quota = Quota::per_second(100).burst(400);
    users(server, quota, Lease::when_down(when_down).lifetime(SECOND / 2)).await
}

/// Uses what is leased until the limiter knows that the store is away.
async fn notice(limiter: &Users) {
    until("an outage", async || {
        let _ = limiter.is_allowed("alice");
        limiter.stats().is_down
    })
    .await;
    assert_eq!(limiter.stats().outages, 1);
    assert!(limiter.stats().failed >= 1);
    until("the end of a lease", async || limiter.leased("alice") == 0).await;
}

/// That a store which is back is found, with nobody doing anything but call.
async fn recovers(limiter: &Users) {
    let is_granted = async || {
        let answer = limiter.decide("alice", 1).await;
        !limiter.stats().is_down && answer.is_ok_and(|admitted| !admitted.is_degraded())
    };
    until("a recovery", is_granted).await;
    assert_eq!(limiter.stats().outages, 1);
}

#[tokio::test]
async fn while_the_store_is_away_deny_denies_and_says_what_is_wrong() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let users = users_when_down(&server, WhenDown::Deny).await;
    grant(&users, "alice", 1).await;
    server.kill();
    notice(&users).await;
    for key in ["alice", "bob"] {
        let Err(Denied::Unavailable(away)) = users.try_consume(key, 1) else { panic!() };
        let kind = away.kind();
        assert!(kind.is_passing(), "{kind:?}");
        assert!(!away.retry_after().is_zero() && away.retry_after() <= SECOND);
        // Who would wait for the answer does not wait for the store to come back.
        let began = Instant::now();
        assert!(matches!(users.decide(key, 1).await, Err(Denied::Unavailable(_))));
        assert!(began.elapsed() < SECOND);
        let said = Denied::Unavailable(away).to_string();
        assert!(said.contains(&kind.to_string()), "{said}");
    }
    // Waiting would not help what is never granted.
    assert!(matches!(users.try_consume("alice", 351), Err(Denied::Never(_))));
    server.run();
    recovers(&users).await;
}

#[tokio::test]
async fn while_the_store_is_away_allow_lets_all_through_and_each_answer_says_so() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let users = users_when_down(&server, WhenDown::Allow).await;
    grant(&users, "alice", 1).await;
    server.kill();
    notice(&users).await;
    // Far more than there is.
    for _ in 0..50 {
        let admitted = users.try_consume("alice", 100).unwrap();
        assert!(admitted.is_degraded() && admitted.granted().is_none());
        assert!(matches!(users.decide("bob", 100).await, Ok(Admitted::Degraded)));
    }
    server.run();
    recovers(&users).await;
}

#[tokio::test]
async fn while_the_store_is_away_each_process_grants_its_share_and_no_more() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let users = users_when_down(&server, WhenDown::Share { processes: 4 }).await;
    grant(&users, "alice", 1).await;
    server.kill();
    notice(&users).await;
    // It begins empty, with the first call.
    let began = Instant::now();
    let Err(Denied::NotYet(not_yet)) = users.try_consume("bob", 1) else { panic!() };
    assert!(not_yet.retry_after() <= SECOND / 25);
    let mut granted = 0;
    while began.elapsed() < SECOND {
        match users.decide("bob", 1).await {
            Ok(admitted) => {
                assert!(!admitted.is_degraded());
                granted += 1;
            }
            Err(Denied::NotYet(not_yet)) => tokio::time::sleep(not_yet.retry_after()).await,
            other => panic!("{other:?}"),
        }
    }
    let most = 25.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(granted) <= most && granted >= 15, "{granted} of {most}");
    server.run();
    recovers(&users).await;
}

/// A service that starts while its store is away does as it was told, and leases when the store is there.
#[tokio::test]
async fn a_store_that_is_away_from_the_start_is_as_one_that_went_away() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    server.kill();
    let store = RedisStore::lazy(&server.url()).unwrap();
    let quota = Quota::per_second(100).burst(400);
    let named = |name, when_down| {
        let lease = Lease::when_down(when_down).lifetime(SECOND / 2);
        Users::new(&store, name, quota, lease).unwrap()
    };
    let deny = named("deny", WhenDown::Deny);
    let allow = named("allow", WhenDown::Allow);
    let share = named("share", WhenDown::Share { processes: 4 });
    for users in [&deny, &allow, &share] {
        notice(users).await;
    }
    assert!(matches!(deny.try_consume("alice", 1), Err(Denied::Unavailable(_))));
    assert!(allow.try_consume("alice", 100).unwrap().is_degraded());
    // A quarter of the rate, from nothing.
    let (began, mut granted) = (Instant::now(), 0_u32);
    while began.elapsed() < SECOND / 2 {
        granted += u32::from(share.is_allowed("bob"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!((5..=20).contains(&granted), "{granted}");
    server.run();
    for users in [&deny, &allow, &share] {
        recovers(users).await;
    }
}

/// What was used of the share meanwhile is missing in the store afterwards.
#[tokio::test]
async fn a_store_that_is_back_is_told_what_was_granted_without_it() {
    if no_server() {
        return;
    }
    // What it has written it has after a restart.
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let quota = Quota::per_second(200).burst(4_000);
    // Each asks for no more than it was asked for.
    let lease = |when_down| Lease::when_down(when_down).lifetime(SECOND).processes(10_000);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let named = |lease| LeasedLimiter::<String>::new(&store, "api", quota, lease).unwrap();
    let users = named(lease(WhenDown::Share { processes: 1 }));
    let other = named(lease(WhenDown::Deny));
    let began = Instant::now();
    grant(&users, "alice", 3_800).await;
    server.kill();
    notice(&users).await;
    let (noticed, mut used) = (Instant::now(), 0);
    while noticed.elapsed() < SECOND {
        used += u64::from(users.is_allowed("alice"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(used >= 100, "{used}");
    server.run();
    recovers(&users).await;
    // All that was refilled since, less what was used: it has a lot, but not this.
    let refilled = 200 * u64::try_from(began.elapsed().as_millis()).unwrap() / 1_000;
    let more = refilled - used / 2;
    assert!(
        matches!(other.decide("alice", more).await, Err(Denied::NotYet(_))),
        "{refilled} {used}"
    );
}

fn all_of<const N: usize>(limits: [(&'static str, Boxed); N]) -> LimitSet<str, N> {
    LimitSet::of(limits)
}

#[tokio::test]
async fn in_a_set_with_others_all_grant_or_nothing_is_taken() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let shared = users(&server, slow(), TEN_SECONDS).await;
    let local = KeyedLimiter::<String>::new(Quota::per_day(1).burst(20)).unwrap();
    let set = all_of([("local", Box::new(local.clone())), ("shared", Box::new(shared.clone()))]);

    let rejected = set.try_consume("alice", [5, 5]).unwrap_err();
    assert_eq!(rejected.names().collect::<Vec<_>>(), ["shared"]);
    assert!(!rejected.is_never() && !rejected.is_unavailable());
    assert_eq!(local.available("alice").whole(), 20);
    // It has asked meanwhile.
    until("a lease", async || shared.leased("alice") >= 5).await;
    let leased = shared.leased("alice").whole();
    set.try_consume("alice", [5, 5]).unwrap();
    assert_eq!(local.available("alice").whole(), 15);
    assert_eq!(shared.leased("alice"), leased - 5);

    let leased = lease_some(&shared, "alice").await;
    let rejected = set.try_consume("alice", [16, 1]).unwrap_err();
    assert_eq!(rejected.names().collect::<Vec<_>>(), ["local"]);
    assert_eq!(shared.leased("alice"), leased);
    assert!(set.try_consume("alice", [1, 991]).unwrap_err().is_never());
    // Each that says no is named.
    let rejected = set.try_consume("bob", [21, 5]).unwrap_err();
    assert_eq!(rejected.names().collect::<Vec<_>>(), ["local", "shared"]);
}

#[tokio::test]
async fn a_set_that_waits_has_its_tokens_with_the_answer_and_settles_what_was_used() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let shared = users(&server, slow(), TEN_SECONDS).await;
    let local = KeyedLimiter::<String>::new(Quota::per_day(1).burst(200)).unwrap();
    let set = all_of([("local", Box::new(local.clone())), ("shared", Box::new(shared.clone()))]);
    let waiting = || set.wait_with("alice", TokioTimer);

    soon(waiting().consume([1, 1])).await.unwrap();
    let permit = soon(waiting().acquire([10, 100])).await.unwrap();
    let before = shared.leased("alice").whole();
    permit.settle([10, 30]);
    // 70 of them were not used, and are here.
    assert_eq!(shared.leased("alice"), before + 70);
    assert_eq!(local.available("alice").whole(), 189);
    let rejected = soon(waiting().acquire([1, 991])).await.unwrap_err();
    assert!(rejected.is_never());
}

#[tokio::test]
async fn while_the_store_is_away_a_set_says_so_and_does_not_wait() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let denies = users_when_down(&server, WhenDown::Deny).await;
    let allows = users_when_down(&server, WhenDown::Allow).await;
    server.kill();
    notice(&denies).await;
    notice(&allows).await;

    let set = all_of([("shared", Box::new(denies.clone()))]);
    assert!(set.try_consume("alice", [1]).unwrap_err().is_unavailable());
    let began = Instant::now();
    let rejected = soon(set.wait_with("alice", TokioTimer).acquire([1])).await.unwrap_err();
    assert!(rejected.is_unavailable() && began.elapsed() < SECOND);

    let local = KeyedLimiter::<String>::new(Quota::per_day(1).burst(2)).unwrap();
    let set = all_of([("local", Box::new(local.clone())), ("shared", Box::new(allows.clone()))]);
    let granted = set.try_consume("alice", [1, 1]).unwrap();
    let degraded: Vec<_> = granted.each().map(|(_, granted)| granted.is_degraded()).collect();
    assert_eq!(degraded, [false, true]);
    // The others count as ever, and nothing of what was let through comes back.
    set.reserve("alice", [1, 100]).unwrap().cancel();
    assert_eq!(local.available("alice").whole(), 1);
    assert_eq!(allows.leased("alice"), 0);
    server.run();
    recovers(&denies).await;
    recovers(&allows).await;
}
