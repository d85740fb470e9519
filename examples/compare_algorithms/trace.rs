//! A trace: who called when.

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    pub(crate) time_ns: u64,
    /// The number of the key, from 0, in the order of their first calls.
    pub(crate) key: usize,
}

/// Calls in the order of time; at least one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// What its picture is called.
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) keys: usize,
}

impl Trace {
    pub(crate) fn first_ns(&self) -> u64 {
        self.arrivals.first().map_or(0, |arrival| arrival.time_ns)
    }

    pub(crate) fn last_ns(&self) -> u64 {
        self.arrivals.last().map_or(0, |arrival| arrival.time_ns)
    }
}
