//! Several processes that share one limit, and what they were granted: for tests and examples.
//!
//! | file | what is in it |
//! |---|---|
//! | `plan.rs` | what each process does, and how it is told |
//! | `client.rs` | a process that asks, and writes down what it was granted |
//! | `record.rs` | what it writes down, and reading that |
//! | `judge.rs` | whether that was too much |
//! | `time.rs` | the clock that all processes have in common |
//! | `proxy.rs` | a network between them and their server that can be made worse |
//!
//! The processes are the same program again: it must call [`be_a_client`] first thing.
#![allow(dead_code)]

mod client;
mod judge;
mod plan;
mod proxy;
mod record;
mod time;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub(crate) use judge::{granted_between, over};
pub(crate) use plan::{Kind, Mode, Plan, Span, Traffic};
pub(crate) use proxy::{Carries, Proxy};
pub(crate) use record::{Grant, Record};
pub(crate) use time::{now_us, sleep_until_us};

/// The plan, in the environment of a client.
const PLAN: &str = "FLOWGATE_FLEET_PLAN";
/// Where it writes.
const FILE: &str = "FLOWGATE_FLEET_FILE";
/// In the same folder: when it begins and ends.
const SPAN: &str = "span";

/// If this process was started as a client it is one, until it is over; then it returns true.
pub(crate) fn be_a_client() -> bool {
    let (Some(plan), Some(file)) = (std::env::var_os(PLAN), std::env::var_os(FILE)) else {
        return false;
    };
    client::run(&Plan::from_words(plan.to_str().unwrap()), &PathBuf::from(file));
    true
}

/// Clients that are running, or have run.
pub(crate) struct Fleet {
    dir: PathBuf,
    clients: Vec<(Child, PathBuf)>,
    pub(crate) span: Span,
}

static STARTED: AtomicU32 = AtomicU32::new(0);
/// Until they have read when they begin.
const TO_BEGIN: Duration = Duration::from_millis(20);
const LONGEST_START: Duration = Duration::from_secs(20);

impl Fleet {
    /// Starts so many processes, which begin together when all have connected, and go on for `run`.
    pub(crate) fn start(processes: usize, plan: &Plan, run: Duration) -> Self {
        let mut fleet = Self::ready(processes, plan);
        fleet.begin_at(now_us() + micros(TO_BEGIN), run);
        fleet
    }

    /// Starts processes, which have connected when this returns, and do nothing until they are told.
    pub(crate) fn ready(processes: usize, plan: &Plan) -> Self {
        let number = STARTED.fetch_add(1, Relaxed);
        let dir = format!("flowgate-fleet-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        fs::create_dir_all(&dir).unwrap();
        let clients = (0..processes).map(|process| {
            let file = dir.join(process.to_string());
            fs::write(&file, "").unwrap();
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.env(PLAN, plan.to_words()).env(FILE, &file);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            (command.spawn().unwrap(), file)
        });
        let clients = clients.collect();
        let fleet = Self { dir, clients, span: Span::default() };
        let until = Instant::now() + LONGEST_START;
        while !fleet.records().iter().all(|record| record.is_ready) {
            assert!(Instant::now() < until, "the processes do not connect");
            std::thread::sleep(Duration::from_millis(5));
        }
        fleet
    }

    /// Has them begin.
    pub(crate) fn begin_at(&mut self, begins_us: u64, run: Duration) {
        self.span = Span { begins_us, ends_us: begins_us + micros(run) };
        let new = self.dir.join("new");
        fs::write(&new, format!("{} {}", self.span.begins_us, self.span.ends_us)).unwrap();
        // Whole when it is there.
        fs::rename(new, self.dir.join(SPAN)).unwrap();
    }

    /// Sleeps until so long after they began.
    pub(crate) fn sleep_until(&self, since_begin: Duration) {
        sleep_until_us(self.span.begins_us + micros(since_begin));
    }

    /// How long it is since they began.
    pub(crate) fn since_begin(&self) -> Duration {
        Duration::from_micros(now_us().saturating_sub(self.span.begins_us))
    }

    /// Kills one of them, which has no time for a farewell.
    pub(crate) fn kill(&mut self, process: usize) {
        let (child, _) = &mut self.clients[process];
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What each has written so far.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.clients.iter().map(|(_, file)| Record::read(file)).collect()
    }

    /// Waits until all have ended. One that failed, and was not killed, has said why.
    pub(crate) fn finish(mut self) -> Vec<Record> {
        for (child, _) in &mut self.clients {
            child.wait().unwrap();
        }
        self.records()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for (child, _) in &mut self.clients {
            // They may have ended.
            drop(child.kill());
            drop(child.wait());
        }
        drop(fs::remove_dir_all(&self.dir));
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}
