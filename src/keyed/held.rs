//! Taking ahead of time from the bucket of a key, and giving back exactly that.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use core::ptr;
use std::borrow::ToOwned;

use super::away::Lent;
use super::on::On;
use super::room::WhenFull;
use crate::algorithm::{Algorithm, Rules, Wait};
use crate::bucket::{Gone, Taken};
use crate::clock::Clock;
use crate::held::{Held, Place, Refused, lower_half};
use crate::tokens::Tokens;

impl<K: Eq + Hash, A: Algorithm, C: Clock, H: BuildHasher + Clone> On<'_, K, A, C, H> {
    /// Takes what will be there within `most_wait_ns`.
    pub(crate) fn hold_at<Q>(
        self,
        key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Held, Refused>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let (buckets, terms) = (self.buckets(), self.terms);
        let wanted = terms.wanted(cost);
        let changes = lower_half(terms.changes());
        // Most often it is there, in a bucket of the key's own, and is taken as by `try_consume`.
        if !terms.layout.paces()
            && !crate::planted::reserve_without_taking()
            && let Some(Taken::Granted(left)) = self.take_where_it_is(key, wanted, now_ns)
        {
            return Ok(Held::of(&**terms, left, wanted, now_ns, changes));
        }
        let (room, place) = (&buckets.room, buckets.place(key));
        let shared = room.shared(place.hash);
        let at = (key, place);
        let held = buckets.find_or_add(terms, at, now_ns, &mut |lent: Lent<'_>, now_ns| {
            let held = lent.by(terms).hold(cost, most_wait_ns, now_ns)?;
            let place = match (shared, lent) {
                (Some(shared), Lent::Word(word)) if ptr::eq(shared, word) => Place::Shared,
                _ => Place::Own,
            };
            Ok(held.map(|held| held.at(place)))
        });
        let held = held.unwrap_or_else(|_| Err(Refused::for_good(self.no_room(now_ns))))?;
        // What is granted of nothing leaves no bucket.
        if room.when_full == WhenFull::GrantNew && !self.is_there(key) {
            return Ok(held.at(Place::Nowhere));
        }
        Ok(held)
    }

    fn is_there<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.buckets().find(key, |_| Ok(())).is_some()
    }

    /// Whether that would be refused; takes nothing, and adds no key.
    pub(crate) fn would_refuse_at<Q>(
        self,
        key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Option<Refused>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.look(key, now_ns, |bucket| bucket.would_refuse(cost, most_wait_ns, now_ns))
            .unwrap_or_else(|| Some(Refused::for_good(self.no_room(now_ns))))
    }

    /// What one call could take, and how long until nothing is missing. Adds no key.
    pub(crate) fn look_at<Q>(self, key: &Q, now_ns: u64) -> (Tokens, Wait)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let look = self.look(key, now_ns, |bucket| bucket.look(now_ns));
        look.unwrap_or((Tokens::ZERO, Wait::after(now_ns, 0)))
    }

    /// How long what is held is not good yet.
    pub(crate) fn wait_held_at<Q>(self, key: &Q, held: &mut Held, now_ns: u64) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let told_ns = held.told_ns(now_ns);
        let (terms, place) = (self.terms, held.place);
        let mut wait = |lent: Lent<'_>| lent.by(terms).wait_held(held, now_ns);
        self.where_held(key, place, &mut wait).unwrap_or(told_ns)
    }

    /// Gives back all but `keep` units of what is held.
    ///
    /// A key that is not there is full: nothing of what it took is owed any more.
    pub(crate) fn take_back_at<Q>(self, key: &Q, held: &Held, keep: u64, now_ns: u64)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let terms = self.terms;
        let mut take_back = |lent: Lent<'_>| lent.by(terms).take_back(held, keep, now_ns);
        self.where_held(key, held.place, &mut take_back).unwrap_or_default();
    }

    /// Takes units as deep as words can tell, and returns how many that were.
    pub(crate) fn charge_units_at<Q>(self, key: &Q, units: u64, now_ns: u64) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let (buckets, terms) = (self.buckets(), self.terms);
        let at = (key, buckets.place(key));
        let taken = buckets.find_or_add(terms, at, now_ns, &mut |lent: Lent<'_>, now_ns| {
            lent.by(terms).charge_units(units, now_ns)
        });
        taken.unwrap_or(0)
    }

    /// Lends the word from which something was taken, if it is still there.
    fn where_held<Q, T>(
        &self,
        key: &Q,
        place: Place,
        visit: &mut impl FnMut(Lent<'_>) -> Result<T, Gone>,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let buckets = self.buckets();
        match place {
            Place::Own => buckets.find(key, visit),
            Place::Shared => visit(Lent::Word(buckets.room.shared(buckets.place(key).hash)?)).ok(),
            Place::Nowhere => None,
        }
    }
}
