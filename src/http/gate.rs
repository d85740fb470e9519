//! The decision about a request.

use core::borrow::Borrow;
use core::future::Future;
use core::pin::Pin;
use std::borrow::ToOwned;
use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use bytes::Bytes;
use http::Response;
use http::header::{HeaderName, RETRY_AFTER};

use super::answer::Answer;
use super::grpc;
use super::head::RequestHead;
use super::headers::{Fields, Headers, Told, add_to};
use super::key::{Key, WithoutKey};
use super::observe::{Event, Observers};
use super::permit::RequestPermit;
use super::policy::Policy;
use super::refusal::Refusal;
use super::room::{Place, Room};
use super::text::Text;
use crate::tokens::Tokens;
use crate::wait::{Costs, GrantedSet, OfKeys, Rejected, Reservation, Standing};

/// All that a layer was told; its services share it.
pub(super) struct Gate<Q: ?Sized + ToOwned, const N: usize, K> {
    pub(super) key: K,
    pub(super) policy: Policy<Q, N>,
    /// Other sets, and when they count: the first that does.
    pub(super) others: Vec<(When, Policy<Q, N>)>,
    pub(super) cost: Option<CostOf<N>>,
    pub(super) skip: Option<When>,
    pub(super) without_key: WithoutKey<Q::Owned>,
    pub(super) is_shadow: bool,
    pub(super) wait: Option<Wait<Q, N>>,
    pub(super) has_permits: bool,
    pub(super) headers: Headers,
    pub(super) answer: Answer,
    pub(super) observers: Observers,
    /// For requests that are held while a store is asked, for a round trip.
    pub(super) asking: Room,
}

/// Room for those.
pub(super) fn room_to_ask() -> Room {
    Room::new(MOST_ASKING)
}

fn allowed(is_degraded: bool) -> Event {
    if is_degraded { Event::Degraded } else { Event::Allowed }
}

pub(super) type When = Arc<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;
pub(super) type CostOf<const N: usize> = Arc<dyn Fn(&RequestHead<'_>) -> [Tokens; N] + Send + Sync>;

/// The costs, when they are there.
type Acquired<Q, const N: usize> =
    Pin<Box<dyn Future<Output = Result<Reservation<OfKeys<Q, N>>, Rejected<N>>> + Send>>;
/// Waits until the costs are there.
pub(super) type Acquiring<Q, const N: usize> =
    Arc<dyn Fn(OfKeys<Q, N>, Costs<N>) -> Acquired<Q, N> + Send + Sync>;

/// So many requests may be held at once while a store is asked for tokens to lease.
const MOST_ASKING: usize = 10_000;

/// How requests wait.
pub(super) struct Wait<Q: ?Sized + ToOwned, const N: usize> {
    pub(super) max_wait: core::time::Duration,
    pub(super) room: Room,
    pub(super) acquire: Acquiring<Q, N>,
}

impl<Q: ?Sized + ToOwned, const N: usize> Clone for Wait<Q, N> {
    fn clone(&self) -> Self {
        Self {
            max_wait: self.max_wait,
            room: self.room.clone(),
            acquire: Arc::clone(&self.acquire),
        }
    }
}

/// What becomes of a request.
// Which of them is not hidden in what it holds: so it stays in a register.
#[repr(u8)]
pub(super) enum Decision {
    Pass,
    /// Apart from those of whom nothing is kept, which are most: what is large is moved at each step.
    PassWith(Passed),
    Refuse(Answered),
    Wait(Pending),
}

/// The answer to a refused request. Boxed: most are not refused, and what is large is moved at each step of all.
pub(super) type Answered = Box<Response<Bytes>>;

/// A decision that takes time.
pub(super) type Pending = Pin<Box<dyn Future<Output = Result<Passed, Answered>> + Send>>;

/// What goes with a request that is let through.
#[derive(Default)]
pub(super) struct Passed {
    /// For its extensions.
    pub(super) permit: Option<RequestPermit>,
    /// For its response.
    pub(super) fields: Fields,
}

impl<Q, const N: usize, K> Gate<Q, N, K>
where
    Q: ?Sized + ToOwned + 'static,
    Q::Owned: Clone + Send + Sync + 'static,
    K: Key<Of = Q>,
{
    #[inline]
    pub(super) fn decide(self: &Arc<Self>, head: &RequestHead<'_>) -> Decision {
        if self.skip.as_ref().is_some_and(|skip| skip(head)) {
            return Decision::Pass;
        }
        let found = self.key.key(head);
        let key = match (&found, &self.without_key) {
            (Some(key), _) => key.borrow(),
            (None, WithoutKey::Share(key)) => key.borrow(),
            (None, WithoutKey::Refuse) => return self.without_key(head),
        };
        let policy = self.policy_for(head);
        let costs = Costs(self.cost.as_ref().map_or([Tokens::ONE; N], |cost| cost(head)));
        if self.has_permits {
            return match policy.set.reserve(key, costs) {
                Ok(reservation) => Decision::PassWith(self.passed_with(policy, key, reservation)),
                Err(rejected) => {
                    let standings = self.standings(policy, key);
                    self.refuse(head, policy, key, costs, &rejected, standings.as_ref())
                }
            };
        }
        if self.headers.are_none() {
            return match policy.set.try_consume(key, costs) {
                Ok(granted) => self.passed(policy, &granted),
                Err(rejected) => self.refuse(head, policy, key, costs, &rejected, None),
            };
        }
        let asks_what_is_left = !self.observers.are_none() || self.headers.are_on_allowed();
        match policy.set.try_consume_or_look(key, costs, asks_what_is_left) {
            Ok(None) => Decision::Pass,
            Ok(Some(granted)) => self.passed(policy, &granted),
            Err((rejected, standings)) => {
                self.refuse(head, policy, key, costs, &rejected, Some(&standings))
            }
        }
    }

    /// Lets through what was taken for good.
    fn passed(&self, policy: &Policy<Q, N>, granted: &GrantedSet<'_, Q, N>) -> Decision {
        self.tell(allowed(granted.is_degraded()), policy);
        if !self.headers.are_on_allowed() {
            return Decision::Pass;
        }
        let told = Self::told(policy, &granted.standing(), None);
        let fields = Fields::new(self.headers, &told, &policy.first);
        Decision::PassWith(Passed { permit: None, fields })
    }

    fn policy_for(&self, head: &RequestHead<'_>) -> &Policy<Q, N> {
        if self.others.is_empty() {
            return &self.policy;
        }
        let other = self.others.iter().find(|(when, _)| when(head));
        other.map_or(&self.policy, |(_, policy)| policy)
    }

    #[inline]
    fn tell(&self, event: Event, policy: &Policy<Q, N>) {
        if !self.observers.are_none() {
            self.observers.tell(event, &policy.plain_names());
        }
    }

    /// Lets through what is reserved, as a permit or for good.
    fn passed_with(
        &self,
        policy: &Policy<Q, N>,
        key: &Q,
        reservation: Reservation<OfKeys<Q, N>>,
    ) -> Passed {
        if !self.observers.are_none() {
            self.tell(allowed(reservation.is_degraded()), policy);
        }
        let mut passed = Passed::default();
        if self.headers.are_on_allowed() {
            let told = Self::told(policy, &policy.set.standing(key), None);
            passed.fields = Fields::new(self.headers, &told, &policy.first);
        }
        if self.has_permits {
            passed.permit = Some(RequestPermit::new(reservation));
        } else {
            reservation.keep();
        }
        passed
    }

    #[cold]
    fn without_key(&self, head: &RequestHead<'_>) -> Decision {
        self.observers.tell(Event::WithoutKey, &[]);
        if self.is_shadow {
            return Decision::Pass;
        }
        Decision::Refuse(self.answer(head, &Refusal::without_key(), &mut Text::new()))
    }

    /// What limits refused: to be let through all the same, to be held, or to be answered.
    #[allow(clippy::too_many_arguments)]
    #[inline(never)]
    fn refuse(
        self: &Arc<Self>,
        head: &RequestHead<'_>,
        policy: &Policy<Q, N>,
        key: &Q,
        costs: Costs<N>,
        rejected: &Rejected<N>,
        standings: Option<&[Standing; N]>,
    ) -> Decision {
        if self.is_shadow {
            self.tell_rejected(Event::ShadowDenied, rejected);
            return Decision::Pass;
        }
        if let Some(wait) = &self.wait
            && rejected.retry_after().is_some_and(|after| after <= wait.max_wait)
            && let Some(place) = wait.room.enter()
        {
            let acquired = (wait.acquire)(policy.set.on(key), costs);
            return Decision::Wait(self.hold(acquired, place, head, policy, key, rejected));
        }
        if let Some(answers) = policy.set.answers(key)
            && let Some(place) = self.asking.enter()
        {
            let keys = policy.set.on(key);
            let acquired = Box::pin(async move {
                answers.await;
                keys.reserve(costs, core::time::Duration::ZERO)
            });
            return Decision::Wait(self.hold(acquired, place, head, policy, key, rejected));
        }
        Decision::Refuse(self.refusal(head, policy, rejected, standings))
    }

    fn refusal(
        &self,
        head: &RequestHead<'_>,
        policy: &Policy<Q, N>,
        rejected: &Rejected<N>,
        standings: Option<&[Standing; N]>,
    ) -> Answered {
        let is_unavailable = rejected.is_unavailable();
        let event = if is_unavailable { Event::Unavailable } else { Event::Denied };
        let (names, count) = self.tell_rejected(event, rejected);
        let names = names.get(..count).unwrap_or_default();
        let refusal = match is_unavailable {
            true => Refusal::unavailable(rejected.retry_after(), names),
            false => Refusal::limited(rejected.retry_after(), names),
        };
        // Of a limit whose store is away nothing is known to tell.
        let standings = standings.filter(|_| !is_unavailable);
        let mut text = Text::new();
        let mut response = self.answer(head, &refusal, &mut text);
        let headers = response.headers_mut();
        // Of our own answers it is known that there is nothing to be minded in the map.
        let is_own = headers.len() == 1 && self.answer.is_own();
        let mut add = |name: &HeaderName, value| {
            if is_own {
                headers.append(name, value);
            } else {
                add_to(headers, name.clone(), value);
            }
        };
        if let Some(standings) = standings {
            let told = Self::told(policy, standings, Some(rejected));
            self.headers.tell(&told, &policy.first, &mut text, &mut add);
        }
        if let Some(secs) = refusal.retry_after_secs() {
            text.number(secs).take(&RETRY_AFTER, &mut add);
        }
        response
    }

    /// The names of those that said no, and how many they are.
    fn tell_rejected(&self, event: Event, rejected: &Rejected<N>) -> ([&'static str; N], usize) {
        let (mut names, mut count) = ([""; N], 0_usize);
        for (to, name) in names.iter_mut().zip(rejected.names()) {
            *to = name;
            count = count.saturating_add(1);
        }
        self.observers.tell(event, names.get(..count).unwrap_or_default());
        (names, count)
    }

    /// How each limit stands, if clients are told.
    fn standings(&self, policy: &Policy<Q, N>, key: &Q) -> Option<[Standing; N]> {
        (!self.headers.are_none()).then(|| policy.set.standing(key))
    }

    /// What a client is told of each limit.
    fn told<'p>(
        policy: &'p Policy<Q, N>,
        standings: &[Standing; N],
        rejected: Option<&Rejected<N>>,
    ) -> [Told<'p>; N] {
        core::array::from_fn(|at| Told {
            name: &policy.names[at],
            standing: standings[at],
            said_no: rejected.and_then(|rejected| rejected.wait_of(policy.names[at].plain)),
        })
    }

    fn answer(&self, head: &RequestHead<'_>, refusal: &Refusal<'_>, text: &mut Text) -> Answered {
        let mut answered = Box::new(Response::new(Bytes::new()));
        if head.is_grpc() {
            grpc::answer(head, refusal, &mut answered);
        } else {
            self.answer.to(refusal, text, &mut answered);
        }
        answered
    }

    /// Waits in a box of its own: all that it needs is known now, since the request may not be looked at any more.
    #[allow(clippy::too_many_arguments)]
    #[inline(never)]
    fn hold(
        self: &Arc<Self>,
        acquired: Acquired<Q, N>,
        place: Place,
        head: &RequestHead<'_>,
        policy: &Policy<Q, N>,
        key: &Q,
        rejected: &Rejected<N>,
    ) -> Pending {
        let (names, count) = self.tell_rejected(Event::Waiting, rejected);
        let mut held =
            HeldUp { gate: Arc::clone(self), names, count, is_over: false, _place: place };
        // For the answer, if it comes to that.
        let (policy, key) = (policy.clone(), key.to_owned());
        let mut like = http::Request::new(());
        like.method_mut().clone_from(head.method());
        if let Some(content_type) = head.headers().get(http::header::CONTENT_TYPE) {
            like.headers_mut().insert(http::header::CONTENT_TYPE, content_type.clone());
        }
        Box::pin(async move {
            let acquired = acquired.await;
            held.ends();
            let (gate, key) = (&held.gate, key.borrow());
            match acquired {
                Ok(reservation) => Ok(gate.passed_with(&policy, key, reservation)),
                Err(rejected) => {
                    let standings = gate.standings(&policy, key);
                    let head = RequestHead::of(&like);
                    Err(gate.refusal(&head, &policy, &rejected, standings.as_ref()))
                }
            }
        })
    }
}

/// One that waits: it has a place, and somebody is told if it is dropped there.
struct HeldUp<Q: ?Sized + ToOwned, const N: usize, K> {
    gate: Arc<Gate<Q, N, K>>,
    /// Those that it waits for.
    names: [&'static str; N],
    count: usize,
    is_over: bool,
    _place: Place,
}

impl<Q: ?Sized + ToOwned, const N: usize, K> HeldUp<Q, N, K> {
    fn ends(&mut self) {
        self.is_over = true;
        self.tell(Event::Waited);
    }

    fn tell(&self, event: Event) {
        self.gate.observers.tell(event, self.names.get(..self.count).unwrap_or_default());
    }
}

impl<Q: ?Sized + ToOwned, const N: usize, K> Drop for HeldUp<Q, N, K> {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(Event::GaveUp);
        }
    }
}

impl<Q: ?Sized + ToOwned, const N: usize, K: Clone> Clone for Gate<Q, N, K>
where
    Q::Owned: Clone,
{
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            policy: self.policy.clone(),
            others: self.others.clone(),
            cost: self.cost.clone(),
            skip: self.skip.clone(),
            without_key: self.without_key.clone(),
            is_shadow: self.is_shadow,
            wait: self.wait.clone(),
            has_permits: self.has_permits,
            headers: self.headers,
            answer: self.answer.clone(),
            observers: self.observers.clone(),
            asking: self.asking.clone(),
        }
    }
}
