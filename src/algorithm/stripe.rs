//! One stripe of a striped bucket: tokens that lie beside the central bucket, and how a capacity is divided.
//!
//! All of it is whole tokens and one word. The proof that uses these transitions is in `docs/design.md`.

use crate::tokens::Tokens;

/// The bits of a number of tokens: 2^28 of them, that number included.
const COUNT_BITS: u32 = 29;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const CAP_SHIFT: u32 = 2 * COUNT_BITS;

/// The largest stripe holds 2^28 tokens.
const LARGEST_EXPONENT: u32 = COUNT_BITS - 1;

/// The smallest stripe holds 8 tokens: with fewer, a call in four or so would go to the central bucket, which
/// takes three swaps and reads the clock.
const SMALLEST_EXPONENT: u32 = 3;

/// The stripes together hold at most this fraction of the capacity.
const PARTS: u64 = 16;

/// The word of a stripe.
///
/// ```text
///  63 ........ 58 | 57 ........ 29 | 28 ........ 0
///  cap            | under way      | tokens
/// ```
///
/// | field | says |
/// |---|---|
/// | cap | 0: nothing may be put here. e from 1 on: tokens and what is under way are together at most 2^e |
/// | under way | room that is spoken for: tokens that a thread is bringing here, or has taken from here to spend centrally |
/// | tokens | may be taken by anybody, one swap |
///
/// The tokens are lowest, so taking is a subtraction from the word. No transition but [`begin`](Self::begin),
/// [`put`](Self::put) and [`holding`](Self::holding) raises tokens + under way, and those keep it to the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stripe(pub(crate) u64);

impl Stripe {
    /// A stripe of a cap of 2^`exponent` tokens, of which `tokens` are there; or none, where it is 0.
    pub(crate) fn holding(exponent: u32, tokens: u64) -> Self {
        let stripe = Self(u64::from(exponent) << CAP_SHIFT);
        Self(stripe.0 | tokens.min(stripe.cap()))
    }

    pub(crate) fn cap(self) -> u64 {
        match self.0 >> CAP_SHIFT {
            0 => 0,
            // Written by `holding` alone: a shift below 64.
            exponent => 1 << exponent,
        }
    }

    #[inline]
    pub(crate) fn tokens(self) -> u64 {
        self.0 & COUNT_MASK
    }

    #[inline]
    pub(crate) fn under_way(self) -> u64 {
        (self.0 >> COUNT_BITS) & COUNT_MASK
    }

    /// What may be added to tokens and what is under way.
    pub(crate) fn room(self) -> u64 {
        self.cap().saturating_sub(self.tokens()).saturating_sub(self.under_way())
    }

    /// After taking `cost` tokens, if they are there. Of a cost of nothing a stripe knows nothing.
    #[inline(always)]
    pub(crate) fn take(self, cost: u64) -> Option<Self> {
        // From 1 to the tokens that are there, in one comparison. Then nothing borrows from the next field.
        (cost.wrapping_sub(1) < self.tokens()).then_some(Self(self.0.wrapping_sub(cost)))
    }

    /// After taking `most` tokens, or as many as are there, and how many.
    pub(crate) fn take_up_to(self, most: u64) -> (Self, u64) {
        let taken = self.tokens().min(most);
        (Self(self.0.wrapping_sub(taken)), taken)
    }

    /// After giving `tokens` back, or as many as there is room for, and how many.
    pub(crate) fn put(self, tokens: u64) -> (Self, u64) {
        let room = if crate::planted::put_above_the_cap() { COUNT_MASK } else { self.room() };
        let put = room.min(tokens);
        (Self(self.0.wrapping_add(put)), put)
    }

    /// Bringing tokens here begins: after keeping room for `most` of them, or for as many as there is, and for how
    /// many.
    pub(crate) fn begin(self, most: u64) -> (Self, u64) {
        let begun = self.room().min(most);
        if crate::planted::bring_without_the_mark() {
            return (self, begun);
        }
        (Self(self.0.wrapping_add(begun << COUNT_BITS)), begun)
    }

    /// Taking tokens from here to spend them centrally begins: `most` of them, or as many as there are, and how many.
    /// Their room stays theirs.
    pub(crate) fn lift(self, most: u64) -> (Self, u64) {
        let (left, lifted) = self.take_up_to(most);
        if crate::planted::lift_without_the_mark() {
            return (left, lifted);
        }
        (Self(left.0.wrapping_add(lifted << COUNT_BITS)), lifted)
    }

    /// What was under way has ended: of room for `begun`, `landed` tokens are here now, which are not more.
    pub(crate) fn end(self, begun: u64, landed: u64) -> Self {
        // Nothing was marked.
        let unmarked =
            crate::planted::bring_without_the_mark() || crate::planted::lift_without_the_mark();
        let begun = if unmarked { begun.min(self.under_way()) } else { begun };
        Self(self.0.wrapping_sub(begun << COUNT_BITS).wrapping_add(landed))
    }

    /// After closing it: nothing may be put here, and what is here is lifted. And how much that is.
    pub(crate) fn close(self) -> (Self, u64) {
        let (left, lifted) = self.lift(u64::MAX);
        (Self(left.0 & ((1 << CAP_SHIFT) - 1)), lifted)
    }
}

/// How a capacity is divided between stripes and the central bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// A power of two.
    stripes: u64,
    /// Each holds at most 2^exponent tokens; 0: none, there is only the central bucket.
    pub(crate) exponent: u32,
}

impl Split {
    /// There is only the central bucket.
    #[cfg(feature = "keyed")]
    pub(crate) const NONE: Self = Self { stripes: 1, exponent: 0 };

    /// Gives the stripes together the largest part of `capacity` that is not above a sixteenth, and a power of two
    /// for each. `stripes` is a power of two.
    pub(crate) fn of(capacity: Tokens, stripes: u64) -> Self {
        let each = capacity.whole().checked_div(stripes.saturating_mul(PARTS)).unwrap_or(0);
        let exponent = match each.checked_ilog2() {
            Some(exponent) if exponent >= SMALLEST_EXPONENT => exponent.min(LARGEST_EXPONENT),
            _ => 0,
        };
        Self { stripes, exponent }
    }

    /// How many stripes there are: one, if there is only the central bucket.
    pub(crate) fn stripes(self) -> u64 {
        if self.exponent == 0 { 1 } else { self.stripes }
    }

    /// The tokens that one stripe holds at most.
    pub(crate) fn each(self) -> u64 {
        Stripe::holding(self.exponent, 0).cap()
    }

    /// The tokens that all stripes together hold at most.
    pub(crate) fn aside(self) -> u64 {
        self.each().saturating_mul(self.stripes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_capacity_is_divided_so_that_most_of_it_is_central() {
        for (capacity, stripes, each) in [
            (0, 2, 0),
            (255, 2, 0),
            (256, 2, 8),
            (511, 2, 8),
            (512, 2, 16),
            (1_000, 1, 32),
            (1_000, 8, 0),
            (1_024, 8, 8),
            (u64::MAX, 2, 1 << 28),
            (u64::MAX, 1 << 60, 0),
        ] {
            let split = Split::of(Tokens::new(capacity), stripes);
            assert_eq!(split.each(), each, "{capacity} in {stripes}");
            assert!(split.aside() <= capacity / 16);
            assert_eq!(split.stripes(), if each == 0 { 1 } else { stripes });
        }
    }

    /// A stripe in any state that can occur.
    fn stripe() -> impl Strategy<Value = (Stripe, u64, u64, u64)> {
        (0..=LARGEST_EXPONENT).prop_flat_map(|exponent| {
            let cap = Stripe::holding(exponent, 0).cap();
            (0..=cap, 0..=cap).prop_map(move |(one, other)| {
                let (tokens, under_way) = (one.min(other), one.abs_diff(other));
                let (begun, marked) = Stripe::holding(exponent, tokens).begin(under_way);
                assert_eq!(marked, under_way);
                (begun, cap, tokens, under_way)
            })
        })
    }

    proptest! {
        #[test]
        fn each_field_of_a_stripe_is_read_as_it_was_written((stripe, cap, tokens, under_way) in stripe()) {
            prop_assert_eq!((stripe.cap(), stripe.tokens(), stripe.under_way()), (cap, tokens, under_way));
            prop_assert_eq!(stripe.room(), cap - tokens - under_way);
        }

        #[test]
        fn a_stripe_never_holds_more_than_its_cap(
            (mut stripe, cap, ..) in stripe(),
            steps in prop::collection::vec((0..5_u8, 0..1_u64 << 30), 0..40),
        ) {
            // What this test itself has under way.
            let (mut begun, mut lifted) = (0, 0);
            for (what, count) in steps {
                let before = (stripe.tokens(), stripe.under_way());
                let tokens = match what {
                    0 => match stripe.take(count) {
                        Some(left) => { stripe = left; before.0 - count }
                        None => { prop_assert!(count == 0 || count > before.0); before.0 }
                    },
                    1 => { let put; (stripe, put) = stripe.put(count); before.0 + put }
                    2 => { let more; (stripe, more) = stripe.begin(count); begun += more; before.0 }
                    3 => { let more; (stripe, more) = stripe.lift(count); lifted += more; before.0 - more }
                    _ => {
                        let landed = count.min(begun);
                        stripe = stripe.end(begun + lifted, landed);
                        (begun, lifted) = (0, 0);
                        before.0 + landed
                    }
                };
                prop_assert_eq!(stripe.tokens(), tokens);
                prop_assert!(stripe.tokens() + stripe.under_way() <= cap);
                prop_assert_eq!(stripe.cap(), cap);
            }
        }

        #[test]
        fn a_closed_stripe_takes_nothing_in((stripe, _, tokens, under_way) in stripe(), count: u64) {
            let (closed, lifted) = stripe.close();
            prop_assert_eq!(lifted, tokens);
            prop_assert_eq!((closed.tokens(), closed.under_way()), (0, tokens + under_way));
            prop_assert_eq!((closed.put(count).1, closed.begin(count).1), (0, 0));
            prop_assert_eq!(closed.end(tokens + under_way, 0), Stripe(0));
        }
    }
}
