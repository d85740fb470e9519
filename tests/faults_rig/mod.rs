//! Client processes that share a limit, and what they were granted.
#![allow(dead_code)]

pub(crate) mod judge;
pub(crate) mod proxy;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flowgate::redis::{Lease, LeasedLimiter, RedisStore, WhenDown};
use flowgate::{Denied, Quota};
use rustix::time::{ClockId, clock_gettime};

/// 5,000 a second, and a thousand at once.
pub(crate) const PER_SECOND: u64 = 5_000;
pub(crate) const CAPACITY: u64 = 1_000;
pub(crate) const PROCESSES: usize = 4;

/// The time that all processes of a machine have.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

/// What each client process does.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) run_ms: u64,
    pub(crate) lifetime_ms: u64,
    /// All rest at the same times, and call once in the middle of it: else they take what there is.
    pub(crate) in_step: bool,
    pub(crate) relaxed: bool,
}

impl Work {
    pub(crate) const fn busy(run_ms: u64) -> Self {
        Self { run_ms, lifetime_ms: 100, in_step: false, relaxed: false }
    }

    /// The most that one process leases at a time.
    pub(crate) fn batch(self) -> u64 {
        (CAPACITY - PER_SECOND * self.lifetime_ms / 1_000) / PROCESSES as u64 / 2
    }
}

pub(crate) struct Client {
    process: Child,
    log: PathBuf,
}

impl Client {
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }
}

/// Client processes at work.
pub(crate) struct Clients {
    pub(crate) all: Vec<Client>,
    pub(crate) start_ns: u64,
}

impl Clients {
    /// Starts them; they begin together when each is connected. Several addresses are those of a cluster.
    pub(crate) fn start(urls: &str, work: Work) -> Self {
        let mut all = Vec::new();
        for number in 0..PROCESSES {
            let log = format!("flowgate-faults-{}-{number}-{}", std::process::id(), now_ns());
            let log = std::env::temp_dir().join(log);
            let process = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "client_process", "--ignored", "--nocapture"])
                .env("FLOWGATE_FAULTS_URLS", urls)
                .env("FLOWGATE_FAULTS_LOG", &log)
                .env("FLOWGATE_FAULTS_RUN_MS", work.run_ms.to_string())
                .env("FLOWGATE_FAULTS_LIFETIME_MS", work.lifetime_ms.to_string())
                .env("FLOWGATE_FAULTS_IN_STEP", work.in_step.to_string())
                .env("FLOWGATE_FAULTS_RELAXED", work.relaxed.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            all.push(Client { process, log });
        }
        for client in &mut all {
            let mut lines = BufReader::new(client.process.stdout.as_mut().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap().contains("ready")), "a client does not start");
        }
        let start_ns = now_ns() + 20_000_000;
        for client in &mut all {
            writeln!(client.process.stdin.as_mut().unwrap(), "{start_ns}").unwrap();
        }
        Self { all, start_ns }
    }

    /// Waits until so long after the start.
    pub(crate) fn at_ms(&self, ms: u64) {
        let due_ns = self.start_ns + ms * 1_000_000;
        std::thread::sleep(Duration::from_nanos(due_ns.saturating_sub(now_ns())));
    }

    /// Waits for their end.
    pub(crate) fn seen(self) -> Seen {
        let mut seen = Seen { start_ns: self.start_ns, ..Seen::default() };
        for mut client in self.all {
            client.process.wait().unwrap();
            let text = fs::read_to_string(&client.log).unwrap();
            drop(fs::remove_file(&client.log));
            let mut own = Vec::new();
            for line in text.lines() {
                let words: Vec<u64> =
                    line.split(' ').filter_map(|word| word.parse().ok()).collect();
                match *words {
                    [at_ns, tokens] => own.push((at_ns, tokens)),
                    [asked, failed, unknown, late, outages, unavailable, p99_ns] => {
                        seen.ended += 1;
                        seen.asked += asked;
                        seen.failed += failed;
                        seen.unknown += unknown;
                        seen.late += late;
                        seen.outages += outages;
                        seen.unavailable += unavailable;
                        seen.p99_us = seen.p99_us.max(p99_ns / 1_000);
                    }
                    // The last line of one that was killed.
                    _ => {}
                }
            }
            seen.granted.push(own);
        }
        seen
    }
}

/// What all clients were granted, and what they count.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) start_ns: u64,
    /// When and how much, by client.
    pub(crate) granted: Vec<Vec<(u64, u64)>>,
    /// Those that reached their end.
    pub(crate) ended: u64,
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    pub(crate) late: u64,
    pub(crate) outages: u64,
    pub(crate) unavailable: u64,
    /// Of the calls of the slowest client.
    pub(crate) p99_us: u64,
}

impl Seen {
    pub(crate) fn over(&self) -> f64 {
        judge::most_over(&self.granted.concat(), PER_SECOND, CAPACITY)
    }

    /// How many tokens were granted between two times.
    pub(crate) fn between(&self, from_ns: u64, to_ns: u64) -> u64 {
        let grants = self.granted.iter().flatten();
        grants.filter(|(at_ns, _)| (from_ns..to_ns).contains(at_ns)).map(|(_, tokens)| tokens).sum()
    }

    pub(crate) fn total(&self) -> u64 {
        self.between(0, u64::MAX)
    }

    /// How long it takes from a time on until each client has been granted something.
    pub(crate) fn all_again_ms(&self, from_ns: u64) -> u64 {
        let firsts = self.granted.iter().map(|own| {
            let first = own.iter().map(|(at_ns, _)| *at_ns).find(|at_ns| *at_ns >= from_ns);
            first.map_or(u64::MAX, |at_ns| (at_ns - from_ns) / 1_000_000)
        });
        firsts.max().unwrap()
    }
}

fn setting<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    std::env::var(format!("FLOWGATE_FAULTS_{name}")).unwrap().parse().unwrap()
}

/// What a client process does, if this is one.
pub(crate) fn client() {
    if std::env::var_os("FLOWGATE_FAULTS_URLS").is_none() {
        return;
    }
    let urls: String = setting("URLS");
    let urls: Vec<&str> = urls.split(',').collect();
    let mut lease = Lease::when_down(WhenDown::Deny)
        .processes(u32::try_from(PROCESSES).unwrap())
        .lifetime(Duration::from_millis(setting("LIFETIME_MS")));
    if setting("RELAXED") {
        lease = lease.relaxed();
    }
    let (run_ms, in_step) = (setting::<u64>("RUN_MS"), setting::<bool>("IN_STEP"));
    let mut log = File::create(setting::<String>("LOG")).unwrap();
    // The limiter's task on one thread, the calls on this one.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let limiter = runtime.block_on(async {
        let store = match *urls {
            [url] => RedisStore::connect(url).await.unwrap(),
            _ => RedisStore::cluster(urls).await.unwrap(),
        };
        let quota = Quota::per_second(PER_SECOND).burst(CAPACITY);
        LeasedLimiter::<String>::new(&store, "faults", quota, lease).unwrap()
    });
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let start_ns: u64 = line.trim().parse().unwrap();
    std::thread::sleep(Duration::from_nanos(start_ns.saturating_sub(now_ns())));
    let (mut unavailable, mut took_ns) = (0_u64, Vec::new());
    loop {
        // A grant counts at a moment after this one. The judge sees at most one grant of each process at a wrong side of
        // a window's end, which is less than the part of a lease that is not used.
        let at_ns = now_ns();
        let since_ms = at_ns.saturating_sub(start_ns) / 1_000_000;
        if since_ms >= run_ms {
            break;
        }
        if in_step && !matches!(since_ms % 400, 0..120 | 220..222 | 376..400) {
            std::thread::sleep(Duration::from_micros(100));
            continue;
        }
        let answer = limiter.try_consume("key", 1_u64);
        took_ns.push(now_ns() - at_ns);
        match answer {
            Ok(_) => {
                // At once, so that nothing is lost with a process that is killed.
                log.write_all(format!("{at_ns} 1\n").as_bytes()).unwrap();
                if in_step {
                    std::thread::sleep(Duration::from_micros(20));
                }
                continue;
            }
            Err(Denied::NotYet(_)) => {}
            Err(Denied::Unavailable(_)) => unavailable += 1,
            Err(other) => panic!("{other}"),
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    took_ns.sort_unstable();
    let p99_ns = took_ns[took_ns.len() * 99 / 100];
    let stats = limiter.stats();
    writeln!(
        log,
        "{} {} {} {} {} {unavailable} {p99_ns}",
        stats.asked, stats.failed, stats.unknown, stats.late, stats.outages
    )
    .unwrap();
}
