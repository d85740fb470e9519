//! The accounts of all keys, and the decision on one. Given the time.

use core::borrow::Borrow;
use core::hash::Hash;
use std::borrow::ToOwned;
use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::mpsc::UnboundedSender;

use super::account::{Account, Asking};
use super::admitted::Admitted;
use super::settings::WhenDown;
use super::share::Share;
use super::shared::{Shared, UNCOUNTED};
use crate::algorithm::{Lease, Wait};
use crate::cell::{Cell, Step};
use crate::error::{Denied, Never, NoRoom, NotYet, Unavailable};
use crate::keyed::SeededHash;
use crate::redis::{StoreErrorKind, StoreKey};
use crate::tokens::Tokens;

/// Sweeps go through one of these at a time, under its lock.
const PARTS: usize = 128;

/// All accounts of a limiter.
pub(crate) struct Leases<K, C> {
    accounts: DashMap<K, Arc<Account>, SeededHash>,
    held: Cell,
    max_keys: u64,
    pub(crate) shared: Arc<Shared<C>>,
    /// To the task that asks the store: those that want more.
    wanting: UnboundedSender<Asking>,
}

/// What was taken: whether it is counted, and what is left of the lease.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken {
    Leased(Lease),
    /// Of this process's share.
    Shared,
    /// Nothing was: the store is away, and all is let through.
    Uncounted,
}

impl Taken {
    /// The word of what is left of the lease: see [`Shared::granted`].
    #[inline]
    pub(crate) fn left(self) -> u64 {
        match self {
            Self::Leased(left) => left.0,
            Self::Shared => Lease::NONE.0,
            Self::Uncounted => UNCOUNTED,
        }
    }
}

impl<K: Eq + Hash, C: core::fmt::Debug + Send + Sync + 'static> Leases<K, C> {
    pub(crate) fn new(
        shared: Arc<Shared<C>>,
        wanting: UnboundedSender<Asking>,
        max_keys: u64,
    ) -> Self {
        let accounts =
            DashMap::with_capacity_and_hasher_and_shard_amount(0, SeededHash::new(), PARTS);
        Self { accounts, held: Cell::new(0), max_keys, shared, wanting }
    }

    /// Takes `cost` tokens of `key`, if they are leased.
    #[inline(always)]
    pub(crate) fn take<Q>(&self, key: &Q, cost: Tokens, now_ns: u64) -> Result<Taken, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        let wanted = self.shared.terms.scale.grains(cost);
        let account = match self.accounts.get(key) {
            None => return self.take_of_new(key, cost, wanted, now_ns),
            Some(account) => {
                if let Some(taken) = self.take_here(&account, wanted, now_ns) {
                    return Ok(taken);
                }
                // What follows is not done under a lock.
                Arc::clone(&account)
            }
        };
        self.missing(&account, cost, wanted, now_ns)
    }

    /// The same of an account that was found before.
    #[inline(always)]
    pub(crate) fn take_of(
        &self,
        account: &Arc<Account>,
        cost: Tokens,
        now_ns: u64,
    ) -> Result<Taken, Denied> {
        let wanted = self.shared.terms.scale.grains(cost);
        match self.take_here(account, wanted, now_ns) {
            Some(taken) => Ok(taken),
            None => self.missing(account, cost, wanted, now_ns),
        }
    }

    /// Takes what is here, and has the store asked for the next lease when it is due.
    #[inline(always)]
    fn take_here(&self, account: &Arc<Account>, wanted: u64, now_ns: u64) -> Option<Taken> {
        let left = account.take(wanted, now_ns)?;
        if account.is_low(left, now_ns) {
            self.ask_for(account);
        }
        Some(Taken::Leased(left))
    }

    #[cold]
    #[inline(never)]
    fn take_of_new<Q>(
        &self,
        key: &Q,
        cost: Tokens,
        wanted: u64,
        now_ns: u64,
    ) -> Result<Taken, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        // No account is made for what can never be had.
        self.may_ever_hold(cost, wanted)?;
        self.decide_missing(&self.account(key, now_ns)?, cost, wanted, now_ns)
    }

    fn may_ever_hold(&self, cost: Tokens, wanted: u64) -> Result<(), Denied> {
        let terms = &self.shared.terms;
        if wanted > terms.largest_cost {
            let capacity = terms.scale.tokens(terms.largest_cost);
            return Err(Denied::Never(Never { cost, capacity }));
        }
        Ok(())
    }

    /// The account of a key, a new one if there is room for it.
    pub(crate) fn account<Q>(&self, key: &Q, now_ns: u64) -> Result<Arc<Account>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        if let Some(account) = self.accounts.get(key) {
            return Ok(Arc::clone(&account));
        }
        // Room first, so that there are never more; it is given up if another thread has made this account meanwhile.
        if !self.enter() {
            let wait = Wait::after(now_ns, self.shared.terms.bounds.lifetime_ns);
            return Err(Denied::NoRoom(NoRoom { wait }));
        }
        let mut is_new = false;
        let account = self.accounts.entry(key.to_owned()).or_insert_with(|| {
            is_new = true;
            Arc::new(Account::new(key.bytes().as_ref().into()))
        });
        let account = Arc::clone(&account);
        if !is_new {
            self.leave(1);
        }
        Ok(account)
    }

    fn enter(&self) -> bool {
        self.held.update(self.held.load(), |held| match held < self.max_keys {
            true => Step::Store(held.saturating_add(1), true),
            false => Step::Keep(false),
        })
    }

    fn leave(&self, keys: u64) {
        self.held.update(self.held.load(), |held| Step::Store(held.saturating_sub(keys), ()));
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load()
    }

    /// Decides what is not leased.
    #[cold]
    #[inline(never)]
    fn missing(
        &self,
        account: &Arc<Account>,
        cost: Tokens,
        wanted: u64,
        now_ns: u64,
    ) -> Result<Taken, Denied> {
        self.may_ever_hold(cost, wanted)?;
        self.decide_missing(account, cost, wanted, now_ns)
    }

    fn decide_missing(
        &self,
        account: &Arc<Account>,
        cost: Tokens,
        wanted: u64,
        now_ns: u64,
    ) -> Result<Taken, Denied> {
        if wanted == 0 {
            return Ok(Taken::Leased(Lease::NONE));
        }
        if let Some(barred) = self.barred(account, now_ns) {
            return Err(barred);
        }
        if let Some(kind) = self.shared.down() {
            return self.missing_while_down(account, kind, cost, wanted, now_ns);
        }
        Err(self.deny(account, wanted, now_ns))
    }

    /// Denies what is not leased, and has the store asked for it.
    fn deny(&self, account: &Arc<Account>, wanted: u64, now_ns: u64) -> Denied {
        account.note_denied(wanted);
        if account.may_ask(wanted, now_ns) && !self.ask_for(account) {
            return self.unavailable(StoreErrorKind::Stopped, now_ns);
        }
        let wait_ns = account.wait_ns(now_ns, self.shared.round_trip_ns.load());
        Denied::NotYet(NotYet::after(now_ns, wait_ns))
    }

    /// Why [`take`](Self::take) would deny, and has the store asked as it would; takes nothing.
    pub(crate) fn would_deny<Q>(&self, key: &Q, cost: Tokens, now_ns: u64) -> Option<Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        let wanted = self.shared.terms.scale.grains(cost);
        if let Err(never) = self.may_ever_hold(cost, wanted) {
            return Some(never);
        }
        let account = match self.account(key, now_ns) {
            Ok(account) => account,
            Err(no_room) => return Some(no_room),
        };
        if wanted <= account.usable(now_ns) {
            return None;
        }
        if let Some(barred) = self.barred(&account, now_ns) {
            return Some(barred);
        }
        match (self.shared.down(), self.shared.when_down) {
            (None, _) => Some(self.deny(&account, wanted, now_ns)),
            (Some(kind), WhenDown::Deny) => Some(self.unavailable(kind, now_ns)),
            // What it is then, taking tells.
            (Some(_), _) => None,
        }
    }

    /// The denial of a key under which the store holds something else, whatever is chosen for the time when it is away: it is there.
    fn barred(&self, account: &Account, now_ns: u64) -> Option<Denied> {
        let wait_ns = account.barred_ns(now_ns)?;
        let code = StoreErrorKind::OtherBucket.code();
        Some(Denied::Unavailable(Unavailable::after(code, now_ns, wait_ns)))
    }

    fn unavailable(&self, kind: StoreErrorKind, now_ns: u64) -> Denied {
        Denied::Unavailable(self.shared.unavailable(kind, now_ns))
    }

    fn missing_while_down(
        &self,
        account: &Account,
        kind: StoreErrorKind,
        cost: Tokens,
        wanted: u64,
        now_ns: u64,
    ) -> Result<Taken, Denied> {
        match self.shared.when_down {
            WhenDown::Deny => Err(self.unavailable(kind, now_ns)),
            WhenDown::Allow => Ok(Taken::Uncounted),
            WhenDown::Share { .. } => {
                self.take_share(account, cost, wanted, now_ns)?;
                Ok(Taken::Shared)
            }
        }
    }

    /// Takes from the process's share, of which each outage has its own.
    fn take_share(
        &self,
        account: &Account,
        cost: Tokens,
        wanted: u64,
        now_ns: u64,
    ) -> Result<(), Denied> {
        let outage = self.shared.outages.load();
        if let Some(share) = account.share().as_ref().filter(|share| share.is_of(outage)) {
            return share.take(cost, wanted, now_ns);
        }
        let mut share = account.share_mut();
        if !share.as_ref().is_some_and(|share| share.is_of(outage)) {
            // Of an outage that is over, and that the store has not been told of.
            if let Some(earlier) = share.take() {
                account.owe(earlier.owed(&self.shared.terms.scale, now_ns));
            }
            // Its quota was tried when the limiter was made.
            *share = Share::new(outage, self.shared.share, now_ns).ok();
        }
        match share.as_ref() {
            Some(share) => share.take(cost, wanted, now_ns),
            None => Err(self.unavailable(StoreErrorKind::Unreachable, now_ns)),
        }
    }

    /// Has the task ask the store for this account; false if there is no task any more.
    #[cold]
    fn ask_for(&self, account: &Arc<Account>) -> bool {
        account.begin_to_ask().is_none_or(|asking| self.wanting.send(asking).is_ok())
    }

    /// What `key` holds here, without asking for more.
    pub(crate) fn leased<Q>(&self, key: &Q, now_ns: u64) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let grains = self.accounts.get(key).map_or(0, |account| account.usable(now_ns));
        self.shared.terms.scale.tokens(grains)
    }

    /// The account of a key, if there is one.
    pub(crate) fn known<Q>(&self, key: &Q) -> Option<Arc<Account>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.accounts.get(key).map(|account| Arc::clone(&account))
    }

    /// Tries, and while the answer is "not yet" waits until the store has told what it is being asked for the account.
    pub(crate) async fn decide<'a>(
        &self,
        attempt: impl Fn() -> Result<Admitted<'a>, Denied>,
        account: impl Fn() -> Option<Arc<Account>>,
    ) -> Result<Admitted<'a>, Denied> {
        // What one answer brings another thread may take; then the store is asked once more.
        for _ in 0..2 {
            let denied = match attempt() {
                Err(denied @ Denied::NotYet(_)) => denied,
                answer => return answer,
            };
            let Some(account) = account() else { return Err(denied) };
            account.answer(|| self.shared.down().is_some()).await;
        }
        attempt()
    }

    pub(crate) fn admitted(&self, taken: Taken, now_ns: u64) -> Admitted<'_> {
        match taken {
            Taken::Uncounted => Admitted::Degraded,
            counted => Admitted::Granted(self.shared.granted(counted.left(), now_ns)),
        }
    }

    /// Has every account that owes something tell it, and drops those that are like new and that nobody else refers to.
    pub(crate) fn sweep(&self, now_ns: u64) {
        let mut dropped = 0_u64;
        let mut owing = std::vec::Vec::new();
        self.accounts.retain(|_, account| {
            if account.owes() && account.may_ask(1, now_ns) {
                owing.push(Arc::clone(account));
            }
            let is_kept =
                Arc::strong_count(account) > 1 || !account.is_idle(&self.shared.terms, now_ns);
            dropped = dropped.saturating_add(u64::from(!is_kept));
            is_kept
        });
        self.leave(dropped);
        for account in owing {
            self.ask_for(&account);
        }
    }
}
