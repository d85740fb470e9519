//! Room for so many that wait.

use core::fmt;
use std::sync::Arc;

use crate::cell::{Cell, Step};

/// A count of those who wait, which clones share. It is all of the crate's inside that the layer uses.
#[derive(Clone)]
pub(super) struct Room {
    taken: Arc<Cell>,
    places: u64,
}

/// A place in it, until it is dropped.
pub(super) struct Place {
    taken: Arc<Cell>,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        let places = u64::try_from(places).unwrap_or(u64::MAX);
        Self { taken: Arc::new(Cell::new(0)), places }
    }

    /// A place, if one is left.
    pub(super) fn enter(&self) -> Option<Place> {
        let has_place = self.taken.update(self.taken.load(), |taken| {
            if taken < self.places {
                Step::Store(taken.saturating_add(1), true)
            } else {
                Step::Keep(false)
            }
        });
        has_place.then(|| Place { taken: Arc::clone(&self.taken) })
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> u64 {
        self.taken.load()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.update(self.taken.load(), |taken| Step::Store(taken.saturating_sub(1), ()));
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("places", &self.places).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_wait_than_there_are_places() {
        let room = Room::new(2);
        let (one, other) = (room.enter(), room.clone().enter());
        assert!(one.is_some() && other.is_some());
        assert!(room.enter().is_none());
        drop(one);
        assert!(room.enter().is_some());
        drop(other);
        assert_eq!(room.taken(), 0);
        // limitador #466: a cap of zero is no cap of none.
        assert!(Room::new(0).enter().is_none());
    }
}
