//! Several servers: one takes over from another, one is cut off, and a cluster that moves a slot.

use std::time::{Duration, Instant};

use redis::Connection;

use crate::fleet::{Carries, Fleet, Mode, Proxy, granted_between, micros, now_us};
use crate::lost::{is_soon, written};
use crate::redis_server::{Server, say};
use crate::suite::{A_BATCH_EACH, CAPACITY, PROCESSES, Seen, Suite, both_modes, ms, plan};
use crate::table::Row;

/// The address leads to a replica, which is promoted a while later, and the primary is dead.
pub(crate) fn promoted(_suite: &Suite) -> Vec<Row> {
    let row = |mode: Mode| {
        let mut primary = Server::with(&["--repl-diskless-sync-delay", "0"]);
        let replica = Server::start();
        let port = primary.port().to_string();
        let (): () = replica.say(&["REPLICAOF", "127.0.0.1", &port]);
        wait_for("the replica", || {
            replica.say::<String>(&["INFO", "replication"]).contains("master_link_status:up")
        });
        let proxy = Proxy::to(primary.port());
        let fleet = Fleet::start(PROCESSES, &plan(proxy.url(), mode), ms(2_100));
        fleet.sleep_until(ms(500));
        primary.kill();
        proxy.turn_to(replica.port());
        fleet.sleep_until(ms(900));
        let (): () = replica.say(&["REPLICAOF", "NO", "ONE"]);
        let promoted_us = now_us();
        let seen = Seen::of(fleet.finish());
        let back = seen.all_granted_after(promoted_us);
        let (expected, most) = match mode {
            Mode::Remote => {
                ("READONLY; at most what had not reached it; back in 1 s", CAPACITY as f64)
            }
            _ => ("READONLY; a batch each at most; back in 1 s", A_BATCH_EACH),
        };
        let kinds = ["ReadOnly", "ConnectionLost", "Unreachable", "TimedOut"];
        Row::new(
            mode.name(),
            expected,
            format!("{}; {}; all back after {}", seen.figure(), seen.kinds(), written(back)),
            seen.over <= most
                && seen.has_error("ReadOnly")
                && seen.only_errors(&kinds)
                && is_soon(back),
        )
    };
    both_modes().map(row).into()
}

/// Nothing goes through; what was under way arrives when the network is whole again.
pub(crate) fn parted(suite: &Suite) -> Vec<Row> {
    let cut = suite.run(600, 3_000);
    let row = |mode: Mode| {
        let server = Server::start();
        let proxy = Proxy::to(server.port());
        let fleet = Fleet::start(PROCESSES, &plan(proxy.url(), mode), ms(1_700) + cut);
        fleet.sleep_until(ms(500));
        let cut_us = now_us();
        proxy.carries(Carries::NothingNow);
        fleet.sleep_until(ms(500) + cut);
        let healed_us = now_us();
        proxy.carries(Carries::All);
        let seen = Seen::of(fleet.finish());
        let back = seen.all_granted_after(healed_us);
        let in_cut = granted_between(&seen.grants, cut_us + micros(ms(110)), healed_us);
        Row::new(
            mode.name(),
            "timeouts; nothing while it lasts; never over; back in 1 s",
            format!(
                "{}; {}; {in_cut} granted meanwhile; all back after {}",
                seen.figure(),
                seen.kinds(),
                written(back)
            ),
            seen.over <= 0.0
                && in_cut == 0
                && seen.has_error("TimedOut")
                && seen.only_errors(&["TimedOut", "Unreachable", "ConnectionLost"])
                && is_soon(back),
        )
    };
    both_modes().map(row).into()
}

const SLOTS: u32 = 16_384;

/// The slot of the key goes from one server to the next, and on, while all ask for it.
pub(crate) fn moved(suite: &Suite) -> Vec<Row> {
    let times = suite.times(2, 8);
    let row = |mode: Mode| {
        let servers: Vec<Server> = (0..3)
            .map(|_| Server::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]))
            .collect();
        let mut cluster = Cluster::of(&servers);
        let mut plan = plan(String::new(), mode);
        plan.urls = servers.iter().map(Server::url).collect();
        let round = ms(500);
        let fleet = Fleet::start(PROCESSES, &plan, round * (times + 1));
        let key = "flowgate:{all}";
        let slot: u32 = say(&mut cluster.nodes[0].0, &["CLUSTER", "KEYSLOT", key]);
        let mut owner = cluster.owner_of(slot);
        for time in 1..=times {
            fleet.sleep_until(round * time);
            let next = (owner + 1) % 3;
            cluster.move_slot(slot, key, owner, next, &servers);
            owner = next;
        }
        let moved_us = now_us();
        let seen = Seen::of(fleet.finish());
        let back = seen.all_granted_after(moved_us);
        Row::new(
            format!("{}, {times} times", mode.name()),
            "never over; no error but for time; all served after the last in 1 s",
            format!("{}; errors: {}; all after {}", seen.figure(), seen.kinds(), written(back)),
            seen.over <= 0.0 && seen.only_errors(&["TimedOut"]) && is_soon(back),
        )
    };
    both_modes().map(row).into()
}

/// Connections to the servers of a cluster, each with the server's name in it.
struct Cluster {
    nodes: Vec<(Connection, String)>,
}

impl Cluster {
    fn of(servers: &[Server]) -> Self {
        let nodes = servers.iter().map(|server| {
            let mut connection = server.connection();
            let name = say(&mut connection, &["CLUSTER", "MYID"]);
            (connection, name)
        });
        let mut new = Self { nodes: nodes.collect() };
        let parts = u32::try_from(servers.len()).unwrap();
        for (part, (connection, _)) in (0..).zip(&mut new.nodes) {
            let (from, to) = (SLOTS * part / parts, SLOTS * (part + 1) / parts - 1);
            let range = [from.to_string(), to.to_string()];
            let (): () = say(connection, &["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]);
            // Each is introduced to each: by hearsay it would take seconds.
            for other in servers {
                let port = other.port().to_string();
                let (): () = say(connection, &["CLUSTER", "MEET", "127.0.0.1", &port]);
            }
        }
        let all = format!("cluster_known_nodes:{parts}");
        wait_for("the cluster", || {
            new.nodes.iter_mut().all(|(connection, _)| {
                let info: String = say(connection, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains(&all)
            })
        });
        new
    }

    fn owner_of(&mut self, slot: u32) -> usize {
        usize::try_from(slot * 3 / SLOTS).unwrap()
    }

    /// As one moves a slot: the key goes on its own, and there is time in between.
    fn move_slot(&mut self, slot: u32, key: &str, from: usize, to: usize, servers: &[Server]) {
        let slot = slot.to_string();
        let (from_name, to_name) = (self.nodes[from].1.clone(), self.nodes[to].1.clone());
        let set = |connection: &mut Connection, words: &[&str]| {
            let mut all = vec!["CLUSTER", "SETSLOT", &slot];
            all.extend(words);
            let (): () = say(connection, &all);
        };
        set(&mut self.nodes[to].0, &["IMPORTING", &from_name]);
        set(&mut self.nodes[from].0, &["MIGRATING", &to_name]);
        std::thread::sleep(ms(30));
        let port = servers[to].port().to_string();
        // NOKEY if the bucket is not there.
        let _: String =
            say(&mut self.nodes[from].0, &["MIGRATE", "127.0.0.1", &port, key, "0", "1000"]);
        std::thread::sleep(ms(30));
        for node in [to, from, 3 - to - from] {
            set(&mut self.nodes[node].0, &["NODE", &to_name]);
        }
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what} has not come about");
        std::thread::sleep(ms(20));
    }
}
