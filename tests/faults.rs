//! Leases on real servers, shared by real processes, while something goes wrong: each row says what, what is expected, and what was seen.
#![cfg(all(feature = "redis", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults_rig;
mod redis_server;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faults_rig::proxy::Proxy;
use faults_rig::{CAPACITY, Clients, PER_SECOND, PROCESSES, Work, now_ns};
use redis_server::{Server, no_server, say};

/// Not a test: what the others start as client processes.
#[test]
#[ignore = "a client process of the other tests"]
fn client_process() {
    faults_rig::client();
}

/// One row at a time: each has four processes.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn row(fault: &str, expected: &str, seen: &str) {
    println!("\n{fault} | {expected} | {seen}");
}

fn due(ms: u64) -> u64 {
    CAPACITY + PER_SECOND * ms / 1_000
}

#[test]
fn nothing_goes_wrong() {
    if no_server() {
        return;
    }
    let _turn = turn();
    let server = Server::start();
    let busy = Clients::start(&server.url(), Work::busy(2_000)).seen();
    let granted = format!("{:.1} over, {} of {}", busy.over(), busy.total(), due(2_000));
    row("none, saturated", "0 over at most, most of it granted", &granted);
    assert!(busy.over() <= 0.0);
    assert!(busy.total() > due(2_000) * 3 / 4);

    let server = Server::start();
    let bursts = Work { in_step: true, ..Work::busy(2_400) };
    let bursts = Clients::start(&server.url(), bursts).seen();
    let granted = format!("{:.1} over, {} granted", bursts.over(), bursts.total());
    row("none, bursts in step", "0 over at most", &granted);
    assert!(bursts.over() <= 0.0);
}

#[test]
fn the_judge_finds_what_relaxed_allows() {
    if no_server() {
        return;
    }
    let _turn = turn();
    let server = Server::start();
    let work = Work { in_step: true, relaxed: true, lifetime_ms: 180, ..Work::busy(2_400) };
    let seen = Clients::start(&server.url(), work).seen();
    row("none, bursts in step, relaxed", "more than 0 over", &format!("{:.1} over", seen.over()));
    assert!(seen.over() > 0.0);
    assert!(seen.over() <= 900.0, "more than is refilled in a lease's time");
}

#[test]
fn a_server_that_is_killed() {
    if no_server() {
        return;
    }
    let _turn = turn();
    // What it holds is kept: a server that forgets is another row.
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let clients = Clients::start(&server.url(), Work::busy(4_000));
    clients.at_ms(1_000);
    server.kill();
    let killed_ns = now_ns();
    clients.at_ms(2_000);
    let starts_ns = now_ns();
    server.run();
    let back_ns = now_ns();
    let seen = clients.seen();
    let drained = seen.between(killed_ns + 100_000_000, starts_ns);
    let again_ms = seen.all_again_ms(back_ns);
    let text = format!(
        "{:.1} over, {drained} granted later than a lease after it, {} times Unavailable, all again after {again_ms} ms, p99 {} µs",
        seen.over(),
        seen.unavailable,
        seen.p99_us
    );
    row(
        "kill -9 of the server for 1 s",
        "0 over, leases drain, then Unavailable, back in 1 s",
        &text,
    );
    assert!(seen.over() <= 0.0);
    assert_eq!(drained, 0);
    assert!(seen.unavailable > 0 && seen.outages >= PROCESSES as u64);
    assert!(again_ms < 1_000);
    assert!(seen.p99_us < 10_000, "a call waited");
}

#[test]
fn a_script_that_is_forgotten_all_the_time() {
    if no_server() {
        return;
    }
    let _turn = turn();
    let server = Server::start();
    let clients = Clients::start(&server.url(), Work { lifetime_ms: 150, ..Work::busy(2_000) });
    let mut connection = server.connection();
    for ms in (100..2_000).step_by(100) {
        clients.at_ms(ms);
        let (): () = say(&mut connection, &["SCRIPT", "FLUSH"]);
    }
    let seen = clients.seen();
    let text = format!("{:.1} over, {} of {} asks failed", seen.over(), seen.failed, seen.asked);
    row("SCRIPT FLUSH every 100 ms", "0 over, no ask fails", &text);
    assert!(seen.over() <= 0.0);
    assert_eq!((seen.failed, seen.unavailable), (0, 0));
}

#[test]
fn answers_that_are_lost() {
    if no_server() {
        return;
    }
    let _turn = turn();
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let clients = Clients::start(&proxy.url, Work::busy(3_000));
    proxy.told.lost.store(50, Relaxed);
    let seen = clients.seen();
    let (total, due) = (seen.total(), due(3_000));
    let text = format!("{:.1} over, {total} of {due}, {} unknown", seen.over(), seen.unknown);
    row("a proxy that loses answers", "0 over, fewer granted, some unknown", &text);
    assert!(seen.over() <= 0.0);
    assert!(seen.unknown > 0);
    assert!(total < due && total > due / 20);
}

#[test]
#[ignore = "run by ci/faults.sh"]
fn a_server_that_is_started_again_without_its_data() {
    let _turn = turn();
    let mut server = Server::start();
    let work = Work::busy(5_000);
    let clients = Clients::start(&server.url(), work);
    for second in 1..=4 {
        clients.at_ms(second * 1_000);
        server.kill();
        server.run();
    }
    let seen = clients.seen();
    let most = work.batch() * PROCESSES as u64;
    let text = format!("{:.1} over, {} granted", seen.over(), seen.total());
    row("four restarts with empty data", &format!("{most} over at most"), &text);
    assert!(seen.over() <= most as f64);
    assert!(seen.outages > 0 || seen.failed > 0);
}

#[test]
#[ignore = "run by ci/faults.sh"]
fn a_server_that_does_not_answer_for_a_while() {
    let _turn = turn();
    for is_stopped in [false, true] {
        let server = Server::start();
        let clients = Clients::start(&server.url(), Work::busy(3_000));
        clients.at_ms(1_000);
        if is_stopped {
            server.signal("STOP");
        } else {
            let (): () = server.say(&["CLIENT", "PAUSE", "700", "ALL"]);
        }
        clients.at_ms(1_700);
        if is_stopped {
            server.signal("CONT");
        }
        let back_ns = now_ns();
        let seen = clients.seen();
        let again_ms = seen.all_again_ms(back_ns);
        let text = format!(
            "{:.1} over, {} unknown, all again after {again_ms} ms",
            seen.over(),
            seen.unknown
        );
        let fault = if is_stopped { "SIGSTOP for 700 ms" } else { "CLIENT PAUSE for 700 ms" };
        row(fault, "0 over, some unknown, back in 1 s", &text);
        assert!(seen.over() <= 0.0);
        assert!(seen.unknown > 0);
        assert!(again_ms < 1_000);
    }
}

#[test]
#[ignore = "run by ci/faults.sh"]
fn answers_that_come_later_than_a_lease_lasts() {
    let _turn = turn();
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let clients = Clients::start(&proxy.url, Work::busy(4_000));
    clients.at_ms(1_000);
    proxy.told.late_ms.store(150, Relaxed);
    let slow_ns = now_ns();
    clients.at_ms(2_500);
    let fast_ns = now_ns();
    proxy.told.late_ms.store(0, Relaxed);
    let seen = clients.seen();
    // What was on its way when it began, and a lease's time.
    let late = seen.between(slow_ns + 250_000_000, fast_ns);
    let again_ms = seen.all_again_ms(fast_ns);
    let text = format!(
        "{:.1} over, {late} granted meanwhile, {} asks, all again after {again_ms} ms",
        seen.over(),
        seen.asked
    );
    row("a proxy slower than a lease", "0 over, nothing granted, back in 1 s", &text);
    assert!(seen.over() <= 0.0);
    assert_eq!(late, 0);
    assert!(again_ms < 1_000);
}

#[test]
#[ignore = "run by ci/faults.sh"]
fn a_client_that_is_killed() {
    let _turn = turn();
    let server = Server::start();
    let mut clients = Clients::start(&server.url(), Work::busy(3_000));
    clients.at_ms(1_000);
    clients.all[0].kill();
    let killed_ns = now_ns();
    let seen = clients.seen();
    let after = seen.between(killed_ns + 200_000_000, killed_ns + 1_700_000_000);
    let due = PER_SECOND * 3 / 2;
    let text = format!("{:.1} over, {after} of {due} afterwards", seen.over());
    row("kill -9 of a client", "0 over, the others have it all soon", &text);
    assert!(seen.over() <= 0.0);
    assert_eq!(seen.ended, PROCESSES as u64 - 1);
    assert!(after > due * 3 / 4);
}

#[test]
#[ignore = "run by ci/faults.sh"]
fn a_server_that_keeps_its_data() {
    let _turn = turn();
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let clients = Clients::start(&server.url(), Work::busy(4_000));
    for second in 1..=3 {
        clients.at_ms(second * 1_000);
        server.kill();
        std::thread::sleep(Duration::from_millis(100));
        server.run();
    }
    let seen = clients.seen();
    let text = format!("{:.1} over, {} granted", seen.over(), seen.total());
    row("three restarts with an AOF", "0 over at most", &text);
    assert!(seen.over() <= 0.0);
    assert!(seen.failed > 0);
}

#[test]
#[ignore = "run by ci/faults.sh"]
fn a_replica_that_is_promoted() {
    let _turn = turn();
    let primary = Server::start();
    let replica = Server::with(&["--repl-diskless-sync-delay", "0"]);
    let port = primary.port().to_string();
    let (): () = replica.say(&["REPLICAOF", "127.0.0.1", &port]);
    let until_ns = now_ns() + 20_000_000_000;
    while !replica.say::<String>(&["INFO", "replication"]).contains("master_link_status:up") {
        assert!(now_ns() < until_ns, "the replica does not follow");
        std::thread::sleep(Duration::from_millis(20));
    }
    // An address that leads to whichever is the primary.
    let proxy = Proxy::to(primary.port());
    let work = Work::busy(3_000);
    let clients = Clients::start(&proxy.url, work);
    clients.at_ms(1_500);
    let (): () = replica.say(&["REPLICAOF", "NO", "ONE"]);
    let replica_port = replica.port().to_string();
    let (): () = primary.say(&["REPLICAOF", "127.0.0.1", &replica_port]);
    proxy.told.port.store(replica.port(), Relaxed);
    let promoted_ns = now_ns();
    let seen = clients.seen();
    let again_ms = seen.all_again_ms(promoted_ns + 100_000_000) + 100;
    let most = work.batch() * PROCESSES as u64;
    let text = format!("{:.1} over, all again after {again_ms} ms", seen.over());
    row("promotion of a replica", &format!("{most} over at most, back in 1 s"), &text);
    assert!(seen.over() <= most as f64);
    assert!(again_ms < 1_000);
}
