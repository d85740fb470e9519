//! Which keys there are, and in which order they are asked for. Nothing here is random: whoever asks for the
//! same gets the same, so that all rivals have the same to do.

// Whoever includes this file uses a part of it.
#![allow(dead_code)]

/// Euler's constant.
const GAMMA: f64 = 0.577_215_664_901_532_9;

/// The golden ratio, as the step of a Weyl sequence: [`scattered`] numbers of it are SplitMix64.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A prime that divides no power of ten: in steps of it one comes by all of a round number of things.
const STRIDE: u64 = 7_368_787;

/// The key of a rank: scattered, so that neither a map nor a processor makes anything of ranks that are
/// neighbours.
pub(crate) fn key(rank: u64) -> u64 {
    scattered(rank)
}

/// The name of a rank: 16 to 40 digits, of which the first 16 tell it from all others. It is allocated at once:
/// names that are made one after the other lie so in memory, as a request's bytes lie where they were read.
pub(crate) fn name(rank: u64) -> String {
    let words = [key(rank), scattered(key(rank)), scattered(!key(rank))];
    let length = 16 + usize::try_from(words[1] % 25).unwrap_or(0);
    let digits = words.iter().flat_map(|word| (0..16).map(move |place| (word >> (4 * place)) & 15));
    let mut name = String::with_capacity(length);
    name.extend(digits.take(length).map(|digit| {
        let digit = u32::try_from(digit).unwrap_or(0);
        char::from_digit(digit, 16).unwrap_or('0')
    }));
    name
}

/// The ranks from 0 to `many`, a power of ten, in the order in which a map is filled with them. Those that a
/// Zipf draw favours are the first ones, and are not to lie side by side in memory.
pub(crate) fn filling_order(many: u64) -> impl Iterator<Item = u64> {
    (0..many).map(move |at| at.wrapping_mul(STRIDE) % many)
}

/// How often each of the keys is drawn.
#[derive(Clone, Copy)]
pub(crate) enum Draw {
    /// All alike.
    Uniform,
    /// A key of rank k as often as 1 / (k + 1): the first of a million is one draw in 14.
    Zipf,
}

impl Draw {
    /// Draws `draws` ranks below `many`.
    pub(crate) fn ranks(self, many: u64, draws: usize) -> impl Iterator<Item = u64> {
        let harmonic = Harmonic::new();
        let all = harmonic.number(many);
        (1..).take(draws).map(move |draw: u64| {
            let random = scattered(draw.wrapping_mul(STEP));
            match self {
                Self::Uniform => scaled(random, many),
                Self::Zipf => harmonic.inverse(all * unit(random), many) - 1,
            }
        })
    }
}

/// A bijection in which each bit depends on all: the last step of SplitMix64.
fn scattered(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// From 0 to `many`, as far in it as `random` is in 64 bits.
fn scaled(random: u64, many: u64) -> u64 {
    let scaled = (u128::from(random) * u128::from(many)) >> u64::BITS;
    // Below `many`.
    u64::try_from(scaled).unwrap_or(0)
}

/// Above 0 and at most 1, in 53 bits.
fn unit(random: u64) -> f64 {
    ((random >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// The harmonic numbers 1 + 1/2 + 1/3 + …: the distribution of a Zipf draw with s = 1, but for a factor.
struct Harmonic {
    /// The first of them, where the series below is not exact.
    first: [f64; 64],
}

impl Harmonic {
    fn new() -> Self {
        let mut first = [0.0; 64];
        let mut sum = 0.0;
        for (before, number) in first.iter_mut().enumerate() {
            sum += 1.0 / (before + 1) as f64;
            *number = sum;
        }
        Self { first }
    }

    /// The sum of so many parts; exact to 10^-14, which is less than what an f64 of it can tell.
    fn number(&self, parts: u64) -> f64 {
        let first = usize::try_from(parts).ok().and_then(|parts| {
            if parts == 0 { Some(0.0) } else { self.first.get(parts - 1).copied() }
        });
        first.unwrap_or_else(|| {
            let n = parts as f64;
            n.ln() + GAMMA + 0.5 / n - 1.0 / (12.0 * n * n) + 1.0 / (120.0 * n.powi(4))
        })
    }

    /// The fewest parts, from 1 to `many`, whose sum is at least `sum`.
    ///
    /// A guess by the logarithm, which is at most one off, and then the sums themselves: so the draw is the
    /// inverse of its distribution, and not an approximation of it.
    fn inverse(&self, sum: f64, many: u64) -> u64 {
        let guess = ((sum - GAMMA).exp() - 0.5).ceil().clamp(1.0, many as f64);
        // Clamped to a range of whole numbers.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let mut parts = guess as u64;
        while parts < many && self.number(parts) < sum {
            parts += 1;
        }
        while parts > 1 && self.number(parts - 1) >= sum {
            parts -= 1;
        }
        parts
    }
}
