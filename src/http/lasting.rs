//! What is told of limits for as long as their quotas are the same.

use core::time::Duration;
use std::sync::OnceLock;
use std::vec::Vec;

use http::header::HeaderValue;

use super::headers::{Headers, Told};
use super::text::Text;
use crate::tokens::Tokens;

/// Values of fields in which there are names and quotas alone, so that they need not be put together for each response.
pub(super) struct Lasting {
    headers: Headers,
    quotas: Vec<(Tokens, Duration)>,
    /// `RateLimit-Policy`, if there is one.
    pub(super) policy: Option<HeaderValue>,
    /// The capacity of each limit, if they are told by name.
    pub(super) capacities: Vec<Option<HeaderValue>>,
}

/// The first that was made. Whoever finds that it is of other quotas, since one has been changed, makes its own.
#[derive(Default)]
pub(super) struct First {
    lasting: OnceLock<Lasting>,
}

impl First {
    pub(super) fn or_anew<T>(
        &self,
        headers: Headers,
        limits: &[Told<'_>],
        tell: impl FnOnce(&Lasting) -> T,
    ) -> T {
        let first = self.lasting.get_or_init(|| Lasting::new(headers, limits));
        if first.is_of(headers, limits) {
            tell(first)
        } else {
            tell(&Lasting::new(headers, limits))
        }
    }
}

impl Lasting {
    #[cold]
    fn new(headers: Headers, limits: &[Told<'_>]) -> Self {
        let mut text = Text::new();
        Self {
            headers,
            quotas: limits.iter().map(Told::quota).collect(),
            policy: headers.policy(limits, &mut text),
            capacities: headers.capacities(limits, &mut text),
        }
    }

    fn is_of(&self, headers: Headers, limits: &[Told<'_>]) -> bool {
        self.headers == headers && self.quotas.iter().copied().eq(limits.iter().map(Told::quota))
    }
}
