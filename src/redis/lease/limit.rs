//! A leased limiter in sets of limits, in waits and in layers, which take it as they take any other.

use core::borrow::Borrow;
use core::hash::Hash;
use std::borrow::ToOwned;
use std::boxed::Box;
use std::sync::Arc;

use super::leases::Taken;
use super::limiter::LeasedLimiter;
use super::shared::UNCOUNTED;
use crate::algorithm::{Lease, Wait};
use crate::answer::Granted;
use crate::clock::Clock;
use crate::error::Denied;
use crate::held::{Held, Nap, Refused};
use crate::redis::StoreKey;
use crate::tokens::Tokens;
use crate::wait::{Answered, Policy, Sealed};

/// Nothing is reserved ahead: who waits tries again when there may be something. So there is no order among those.
impl<K, Q> Sealed<Q> for LeasedLimiter<K>
where
    K: Eq + Hash + StoreKey + Borrow<Q> + Send + Sync + 'static,
    Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
{
    fn now_ns(&self) -> u64 {
        self.leases.shared.clock.now_ns()
    }

    fn take_now(&self, key: &Q, cost: Tokens) -> Option<Granted<'_>> {
        self.try_now(key, cost)?.ok()
    }

    fn try_now(&self, key: &Q, cost: Tokens) -> Option<Result<Granted<'_>, Denied>> {
        let now_ns = self.leases.shared.clock.now_ns();
        let taken = self.leases.take(key, cost, now_ns);
        Some(taken.map(|taken| self.leases.shared.granted(taken.left(), now_ns)))
    }

    fn hold_at(
        &self,
        key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Held, Refused> {
        match self.leases.take(key, cost, now_ns) {
            Ok(taken) => {
                let units = match taken {
                    Taken::Uncounted => 0,
                    _ => self.leases.shared.terms.scale.grains(cost),
                };
                let mut held = Held::at_once(units, now_ns);
                held.left = taken.left();
                Ok(held)
            }
            Err(denied) => Err(refused(denied, most_wait_ns)),
        }
    }

    fn would_refuse_at(
        &self,
        key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Option<Refused> {
        let denied = self.leases.would_deny(key, cost, now_ns)?;
        Some(refused(denied, most_wait_ns))
    }

    /// What is held was there.
    fn wait_held_at(&self, _key: &Q, _held: &mut Held, _now_ns: u64) -> u64 {
        0
    }

    fn take_back_at(&self, key: &Q, held: &Held, keep: u64, now_ns: u64) {
        if held.left == UNCOUNTED {
            return;
        }
        if let Some(account) = self.leases.known(key) {
            // If its lease is over it is lost, and the store refills it.
            account.give_back(held.units.saturating_sub(keep), Lease(held.left).ends(), now_ns);
        }
    }

    fn charge_at(&self, key: &Q, units: u64, now_ns: u64) -> u64 {
        match self.leases.account(key, now_ns) {
            Ok(account) => {
                account.charge(units, now_ns);
                units
            }
            Err(_) => 0,
        }
    }

    fn settle_at(&self, key: &Q, held: &Held, actual: Tokens, now_ns: u64) -> Tokens {
        let units = Sealed::<Q>::units(self, actual);
        if held.left == UNCOUNTED {
            return Tokens::ZERO;
        }
        match units.checked_sub(held.units) {
            None | Some(0) => {
                self.take_back_at(key, held, units, now_ns);
                Tokens::ZERO
            }
            Some(missing) => {
                let taken = self.charge_at(key, missing, now_ns);
                Sealed::<Q>::tokens(self, missing.saturating_sub(taken))
            }
        }
    }

    fn units(&self, cost: Tokens) -> u64 {
        self.leases.shared.terms.scale.grains(cost)
    }

    fn tokens(&self, units: u64) -> Tokens {
        self.leases.shared.terms.scale.tokens(units)
    }

    fn granted(&self, held: &Held) -> Granted<'_> {
        self.leases.shared.granted(held.left, held.now_ns)
    }

    fn available_at(&self, key: &Q, now_ns: u64) -> Tokens {
        self.leases.leased(key, now_ns)
    }

    fn policy(&self) -> Policy {
        let quota = self.leases.shared.quota;
        Policy { capacity: quota.capacity(), window: quota.fill_time() }
    }

    fn look_at(&self, key: &Q, now_ns: u64) -> (Tokens, Wait) {
        (self.leases.leased(key, now_ns), Wait::after(now_ns, 0))
    }

    fn keys_held(&self) -> Option<u64> {
        Some(self.leases.held())
    }

    fn answered(&self, key: &Q) -> Option<Answered> {
        let account = self.leases.known(key).filter(|account| account.is_asked())?;
        let shared = Arc::clone(&self.leases.shared);
        if shared.down().is_some() {
            return None;
        }
        Some(Box::pin(async move { account.answer(|| shared.down().is_some()).await }))
    }
}

/// What is denied may be had later, but while the store is away and denials were chosen for that time.
fn refused(denied: Denied, most_wait_ns: u64) -> Refused {
    let Denied::NotYet(not_yet) = denied else { return Refused::for_good(denied) };
    let wait_ns = not_yet.wait.nanos();
    let nap =
        (wait_ns <= most_wait_ns).then_some(Nap { least_ns: wait_ns, spread_ns: wait_ns / 4 });
    Refused { denied, nap }
}
