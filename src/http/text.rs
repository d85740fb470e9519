//! Text that is put together on a request's way, without the machinery of `format!`: it takes most of a refusal's time.

use std::vec::Vec;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

/// The bytes for which no allocation is needed: those of a field about two limits, or of a refusal's body.
const ROOM: usize = 120;

/// A text, and what is added to it.
pub(super) struct Text {
    near: [u8; ROOM],
    len: usize,
    /// All of it, if it is longer than that.
    far: Vec<u8>,
}

impl Text {
    pub(super) fn new() -> Self {
        Self { near: [0; ROOM], len: 0, far: Vec::new() }
    }

    fn bytes(&self) -> &[u8] {
        if self.far.is_empty() { self.near.get(..self.len).unwrap_or_default() } else { &self.far }
    }

    #[inline]
    fn add_bytes(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.near.get_mut(self.len..end) {
            Some(room) if self.far.is_empty() => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            _ => self.add_far(bytes),
        }
    }

    #[cold]
    fn add_far(&mut self, bytes: &[u8]) {
        if self.far.is_empty() {
            self.far.extend_from_slice(self.near.get(..self.len).unwrap_or_default());
        }
        self.far.extend_from_slice(bytes);
    }

    fn clear(&mut self) {
        self.len = 0;
        self.far.clear();
    }

    #[inline]
    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        self.add_bytes(text.as_bytes());
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        // The most digits that 64 bits have.
        let (mut digits, mut rest) = ([b'0'; 20], number);
        let mut first = digits.len();
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            let [low, ..] = (rest % 10).to_le_bytes();
            *digit = b'0'.saturating_add(low);
            (rest, first) = (rest / 10, at);
            if rest == 0 {
                break;
            }
        }
        self.add_bytes(digits.get(first..).unwrap_or_default());
        self
    }

    /// Tells it as a field's value. Leaves an empty text.
    pub(super) fn take(
        &mut self,
        name: &HeaderName,
        tell: &mut impl FnMut(&HeaderName, HeaderValue),
    ) {
        // It is visible ASCII.
        if let Some(value) = self.take_value() {
            tell(name, value);
        }
    }

    /// As a field's value, if that can be one. Leaves an empty text.
    pub(super) fn take_value(&mut self) -> Option<HeaderValue> {
        let value = HeaderValue::from_bytes(self.bytes()).ok();
        self.clear();
        value
    }

    /// As a body. Leaves an empty text.
    pub(super) fn take_body(&mut self) -> Bytes {
        let body = Bytes::copy_from_slice(self.bytes());
        self.clear();
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_ever(number in any::<u64>(), bits in 0..64_u32) {
            for number in [number, number >> bits, 0, 9, 10, u64::MAX] {
                let mut text = Text::new();
                text.add("x=").number(number);
                let expected = std::format!("x={number}");
                prop_assert_eq!(text.take_value().unwrap(), expected.as_str());
                text.add("x=").number(number);
                prop_assert_eq!(text.take_body(), expected.as_bytes());
            }
        }

        #[test]
        fn a_text_of_any_length_is_its_pieces(pieces in proptest::collection::vec("[ -~]{0,50}", 0..12)) {
            let (mut text, whole) = (Text::new(), pieces.concat());
            // The second time it has been long, perhaps.
            for _ in 0..2 {
                for piece in &pieces {
                    text.add(piece);
                }
                prop_assert_eq!(text.take_body(), whole.as_bytes());
            }
        }
    }
}
