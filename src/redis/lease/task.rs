//! The one task that asks the store: for whoever wants more, a few at a time; and while the store is away, one call at a time.

use core::hash::Hash;
use core::time::Duration;
use std::sync::{Arc, Weak};
use std::vec::Vec;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::account::Asking;
use super::ask::{Ask, Lessor, Told};
use super::breaker::{Breaker, Change};
use super::leases::Leases;
use super::shared::Shared;
use crate::clock::Clock;
use crate::redis::{StoreError, StoreErrorKind};

/// Calls to the store that are under way at once.
const UNDER_WAY: usize = 64;

/// An ask that has ended.
struct Ended {
    account: Asking,
    ask: Ask,
    sent_ns: u64,
    result: Result<Told, StoreError>,
}

pub(crate) struct Task<K, C, L> {
    shared: Arc<Shared<C>>,
    lessor: Arc<L>,
    /// Gone when the last handle to the limiter is; then the task ends.
    leases: Weak<Leases<K, C>>,
    wanting: UnboundedReceiver<Asking>,
    under_way: JoinSet<Ended>,
    /// Those whose ask failed, or who came while the store was away.
    waiting: Vec<Asking>,
    breaker: Breaker,
    asks: u64,
}

impl<K, C, L> Task<K, C, L>
where
    K: Eq + Hash + Send + Sync + 'static,
    C: Clock + core::fmt::Debug + Send + Sync + 'static,
    L: Lessor,
{
    pub(crate) fn new(
        shared: Arc<Shared<C>>,
        lessor: L,
        leases: Weak<Leases<K, C>>,
        wanting: UnboundedReceiver<Asking>,
    ) -> Self {
        Self {
            shared,
            lessor: Arc::new(lessor),
            leases,
            wanting,
            under_way: JoinSet::new(),
            waiting: Vec::new(),
            breaker: Breaker::default(),
            asks: 0,
        }
    }

    /// Serves until the limiter is gone, or `stop` is told; then waits for what is under way.
    pub(crate) async fn run(mut self, mut stop: tokio::sync::oneshot::Receiver<()>) {
        let sweep_ns = self.shared.terms.bounds.lifetime_ns.max(100_000_000);
        let mut sweeps = interval(Duration::from_nanos(sweep_ns));
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let try_at = self.breaker.try_ns().map(|try_ns| self.instant(try_ns));
            let is_trying = !self.under_way.is_empty();
            let may_try = try_at.is_some() && !is_trying && !self.waiting.is_empty();
            tokio::select! {
                wanting = self.wanting.recv(), if self.under_way.len() < UNDER_WAY => match wanting {
                    Some(account) => self.wants(account),
                    None => break,
                },
                Some(ended) = self.under_way.join_next(), if is_trying => {
                    if let Ok(ended) = ended {
                        self.ends(ended);
                    }
                }
                () = sleep_until(try_at.unwrap_or_else(Instant::now)), if may_try => {
                    if let Some(account) = self.waiting.pop() {
                        self.ask(account);
                    }
                }
                _ = sweeps.tick() => match self.leases.upgrade() {
                    Some(leases) => leases.sweep(self.shared.clock.now_ns()),
                    None => break,
                },
                _ = &mut stop => break,
            }
        }
        // What is under way may have been carried out; its answers are of no use to anybody now.
        self.wanting.close();
        while self.under_way.join_next().await.is_some() {}
    }

    /// The instant at which the limiter's clock will show `at_ns`.
    fn instant(&self, at_ns: u64) -> Instant {
        Instant::now() + Duration::from_nanos(at_ns.saturating_sub(self.shared.clock.now_ns()))
    }

    fn wants(&mut self, account: Asking) {
        if self.breaker.try_ns().is_some() {
            // Nobody waits for an answer that does not come.
            account.answered.notify_waiters();
            self.waiting.push(account);
            return;
        }
        self.ask(account);
    }

    fn ask(&mut self, account: Asking) {
        self.asks = self.asks.wrapping_add(1);
        self.shared.counts.asked.add(1);
        let (shared, lessor) = (Arc::clone(&self.shared), Arc::clone(&self.lessor));
        self.under_way.spawn(async move {
            // A lease's time begins before anything is sent.
            let sent_ns = shared.clock.now_ns();
            let ask = account.ask(&shared.terms, sent_ns);
            let result = lessor.lease(&account.key, ask).await;
            Ended { account, ask, sent_ns, result }
        });
    }

    fn ends(&mut self, ended: Ended) {
        let Ended { account, ask, sent_ns, result } = ended;
        let now_ns = self.shared.clock.now_ns();
        match result {
            Ok(told) => {
                self.shared.took(now_ns.saturating_sub(sent_ns));
                self.shared.counts.leased.add(u64::from(told.granted > 0));
                if account.told(&self.shared.terms, ask, told, sent_ns, now_ns) {
                    self.shared.counts.late.add(1);
                }
                drop(account);
                self.is_there();
            }
            // That concerns this key alone; and it is an answer.
            Err(error) if error.kind() == StoreErrorKind::OtherBucket => {
                self.shared.counts.failed.add(1);
                account.told_of_another(&self.shared.terms, ask, now_ns);
                drop(account);
                self.is_there();
            }
            Err(error) => self.fails(account, ask, &error, now_ns),
        }
    }

    /// The store has answered: those who waited for that ask now.
    fn is_there(&mut self) {
        if self.breaker.answered() == Change::Closed {
            self.shared.is_up_again();
            super::watch::is_up_again();
        }
        while self.under_way.len() < UNDER_WAY {
            match self.waiting.pop() {
                Some(account) => self.ask(account),
                None => break,
            }
        }
    }

    fn fails(&mut self, account: Asking, ask: Ask, error: &StoreError, now_ns: u64) {
        let kind = error.kind();
        self.shared.counts.failed.add(1);
        self.shared.counts.unknown.add(u64::from(kind.may_have_executed()));
        account.not_told(ask);
        let spread = self.asks.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ now_ns;
        if self.breaker.failed(now_ns, kind.is_passing(), spread) == Change::Opened {
            super::watch::goes_down(error);
        }
        match self.breaker.try_ns() {
            // Once more, at once.
            None => self.ask(account),
            Some(try_ns) => {
                self.shared.try_ns.set(try_ns);
                self.shared.goes_down(kind);
                account.answered.notify_waiters();
                self.waiting.push(account);
            }
        }
    }
}
