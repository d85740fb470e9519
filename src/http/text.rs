//! Text that is put together on a request's way, without the machinery of `format!`: it takes most of a refusal's time.

use std::string::String;

/// A text, and what is added to it.
#[derive(Default)]
pub(super) struct Text {
    text: String,
}

impl Text {
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes) }
    }

    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
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
        let digits = digits.get(first..).unwrap_or_default();
        self.add(core::str::from_utf8(digits).unwrap_or_default())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
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
                let mut text = Text::default();
                text.add("x=").number(number);
                prop_assert_eq!(text.as_str(), std::format!("x={number}"));
            }
        }
    }
}
