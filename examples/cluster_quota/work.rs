//! What each of the processes does: asks without a pause, and writes down what it is granted.

use std::error::Error;
use std::fmt;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use flowgate::redis::{Lease, LeasedLimiter, RedisError, RedisLimiter, RedisStore, WhenDown};

use crate::shared_clock::SharedClock;
use crate::{COLUMN, COLUMNS, quota};

const KEY: &str = "everybody";
/// After an answer that says no, and after none.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
/// The grants are told to the one who draws them this often.
const TELL: Duration = Duration::from_millis(20);

/// How the processes share the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Leased,
    Remote,
}

impl Mode {
    pub(crate) fn explained(self) -> &'static str {
        match self {
            Self::Leased => "each takes tokens in batches, and decides on what it has taken",
            Self::Remote => "each decision asks Redis",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leased => "leased",
            Self::Remote => "remote",
        })
    }
}

/// What a process is told on its command line.
pub(crate) struct Work {
    pub(crate) mode: Mode,
    pub(crate) url: String,
    /// Of the limit.
    pub(crate) name: String,
    pub(crate) clock: SharedClock,
}

impl Work {
    pub(crate) fn arguments(&self) -> [String; 5] {
        let began = self.clock.began_unix_ns().to_string();
        ["--work".into(), self.mode.to_string(), self.url.clone(), self.name.clone(), began]
    }

    /// The arguments but the first.
    pub(crate) fn read(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let [mode, url, name, began] = *arguments else { return Err("--work: 4 words".into()) };
        let mode = [Mode::Leased, Mode::Remote].into_iter().find(|one| one.to_string() == mode);
        Ok(Self {
            mode: mode.ok_or("--work: leased or remote")?,
            url: url.to_owned(),
            name: name.to_owned(),
            clock: SharedClock::began_at(began.parse()?),
        })
    }

    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.ask())
    }

    async fn ask(self) -> Result<(), Box<dyn Error>> {
        let mut limit = Limit::connect(&self).await?;
        let (clock, mut told) = (self.clock, Instant::now());
        // A line for each grant; the one who reads them goes on when it is closed.
        let mut grants = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        let end = COLUMN * u32::try_from(COLUMNS)?;
        tokio::time::sleep(clock.until_it_begins()).await;
        while clock.now() < end {
            let from_ns = clock.now_ns();
            match limit.ask().await {
                Ok(()) => {
                    writeln!(grants, "granted {from_ns} {}", clock.now_ns())?;
                    tokio::task::yield_now().await;
                }
                Err(wait) => tokio::time::sleep(wait.min(LONGEST_PAUSE)).await,
            }
            if told.elapsed() > TELL {
                grants.flush()?;
                told = Instant::now();
            }
        }
        writeln!(grants, "asked {}", limit.asked())?;
        Ok(grants.flush()?)
    }
}

/// The same limit either way.
enum Limit {
    Leased(LeasedLimiter),
    Remote { limiter: RedisLimiter, asked: u64 },
}

impl Limit {
    async fn connect(work: &Work) -> Result<Self, Box<dyn Error>> {
        let store = RedisStore::connect(&work.url).await?;
        Ok(match work.mode {
            Mode::Leased => {
                let lease = Lease::when_down(WhenDown::Deny);
                Self::Leased(LeasedLimiter::new(&store, &work.name, quota(), lease)?)
            }
            Mode::Remote => {
                let limiter = RedisLimiter::new(&store, quota())?.named(&work.name);
                Self::Remote { limiter, asked: 0 }
            }
        })
    }

    /// Takes a token; or says how long to wait.
    async fn ask(&mut self) -> Result<(), Duration> {
        match self {
            Self::Leased(limiter) => match limiter.decide(KEY, 1).await {
                Ok(_) => Ok(()),
                Err(denied) => Err(denied.retry_after().unwrap_or(LONGEST_PAUSE)),
            },
            Self::Remote { limiter, asked } => {
                *asked += 1;
                match limiter.try_consume(KEY, 1).await {
                    Ok(_) => Ok(()),
                    Err(RedisError::Denied(no)) => Err(no.retry_after().unwrap_or(LONGEST_PAUSE)),
                    Err(RedisError::Store(_)) => Err(LONGEST_PAUSE),
                }
            }
        }
    }

    /// How often the store was.
    fn asked(&self) -> u64 {
        match self {
            Self::Leased(limiter) => limiter.stats().asked,
            Self::Remote { asked, .. } => *asked,
        }
    }
}
