//! What the provider sees: kept apart from the limiter, and added up minute by minute.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Every change of what counts against the budget: an estimate when a call begins; when it ends, what it was wrong by.
pub(crate) struct Ledger {
    start: Instant,
    pub(crate) entries: Vec<Entry>,
    pub(crate) waiting: usize,
    pub(crate) in_flight: usize,
    pub(crate) answered: u64,
    pub(crate) given_up: u64,
    pub(crate) given_back: u64,
    pub(crate) charged: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) at: Duration,
    pub(crate) requests: u64,
    pub(crate) tokens: i64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            entries: Vec::new(),
            waiting: 0,
            in_flight: 0,
            answered: 0,
            given_up: 0,
            given_back: 0,
            charged: 0,
        }
    }
}

impl Ledger {
    pub(crate) fn begin(&mut self, estimate: u64) {
        self.in_flight += 1;
        self.enter(1, estimate.cast_signed());
    }

    pub(crate) fn end(&mut self, estimate: u64, used: u64) {
        self.in_flight -= 1;
        self.answered += 1;
        self.given_back += estimate.saturating_sub(used);
        self.charged += used.saturating_sub(estimate);
        self.enter(0, used.cast_signed() - estimate.cast_signed());
    }

    fn enter(&mut self, requests: u64, tokens: i64) {
        self.entries.push(Entry { at: self.start.elapsed(), requests, tokens });
    }

    /// The most requests, and the most tokens, that counted in any sixty seconds, wherever they begin.
    pub(crate) fn fullest_minute(&self) -> (u64, u64) {
        let (mut most_requests, mut most_tokens) = (0, 0);
        for (first, entry) in self.entries.iter().enumerate() {
            let minute =
                self.entries[first..].iter().take_while(|next| next.at - entry.at <= MINUTE);
            let (mut requests, mut tokens) = (0, 0);
            for entry in minute {
                requests += entry.requests;
                tokens += entry.tokens;
                most_requests = most_requests.max(requests);
                most_tokens = most_tokens.max(tokens);
            }
        }
        (most_requests, most_tokens.try_into().unwrap_or(0))
    }

    /// The tokens that counted from `from` on for `lasting`.
    pub(crate) fn tokens_in(&self, from: Duration, lasting: Duration) -> i64 {
        let inside = self.entries.iter().filter(|entry| (from..from + lasting).contains(&entry.at));
        inside.map(|entry| entry.tokens).sum()
    }
}
