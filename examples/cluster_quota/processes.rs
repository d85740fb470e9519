//! This program once more, several times; and what it tells.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::judge::Grant;
use crate::shared_clock::SharedClock;
use crate::work::{Mode, Work};

pub(crate) const PROCESSES: usize = 4;

type Grants = Arc<Mutex<Vec<Grant>>>;

/// They run until their time is over.
pub(crate) struct Processes {
    running: Vec<Child>,
    /// One for each, which says how often the store was asked.
    readers: Vec<JoinHandle<u64>>,
    grants: Grants,
}

impl Processes {
    pub(crate) fn start(mode: Mode, url: &str, clock: SharedClock) -> Result<Self, Box<dyn Error>> {
        let name = format!("cluster_quota-{mode}-{}", std::process::id());
        let work = Work { mode, url: url.to_owned(), name, clock };
        let program = std::env::current_exe()?;
        let grants = Grants::default();
        let mut all = Self { running: Vec::new(), readers: Vec::new(), grants };
        for process in 0..PROCESSES {
            let mut child = Command::new(&program)
                .args(work.arguments())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()?;
            let told = child.stdout.take().ok_or("a process without an output")?;
            all.running.push(child);
            let grants = Arc::clone(&all.grants);
            all.readers.push(thread::spawn(move || read(process, told, &grants)));
        }
        Ok(all)
    }

    /// Those that were told until now.
    pub(crate) fn grants(&self) -> Vec<Grant> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// That none has ended with an error, which it has told.
    pub(crate) fn check(&mut self) -> Result<(), Box<dyn Error>> {
        for child in &mut self.running {
            if let Some(status) = child.try_wait()?.filter(|status| !status.success()) {
                return Err(format!("a process ended with {status}").into());
            }
        }
        Ok(())
    }

    /// Waits for all of them: all grants, and how often the store was asked.
    pub(crate) fn end(mut self) -> Result<(Vec<Grant>, u64), Box<dyn Error>> {
        let mut asked = 0;
        for reader in self.readers.drain(..) {
            asked += reader.join().map_err(|_| "the output of a process was not read")?;
        }
        for child in &mut self.running {
            child.wait()?;
        }
        self.check()?;
        Ok((self.grants(), asked))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.running {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read(process: usize, told: ChildStdout, grants: &Grants) -> u64 {
    let mut asked = 0;
    for line in BufReader::new(told).lines().map_while(Result::ok) {
        let mut words = line.split(' ');
        let what = words.next();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        match (what, number(), number()) {
            (Some("granted"), Some(from_ns), Some(to_ns)) => {
                let grant = Grant { process, from_ns, to_ns };
                grants.lock().unwrap_or_else(PoisonError::into_inner).push(grant);
            }
            (Some("asked"), Some(times), None) => asked = times,
            _ => {}
        }
    }
    asked
}
