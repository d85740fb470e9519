//! A call of the model, and how wrong its estimate is.

use std::time::Duration;

pub(crate) struct Call {
    /// The prompt and the most that may be answered.
    pub(crate) estimate: u64,
    pub(crate) outcome: Outcome,
    pub(crate) takes: Duration,
    pub(crate) patience: Duration,
}

pub(crate) enum Outcome {
    Answered { used: u64 },
    Broken,
}

impl Call {
    pub(crate) fn throw(dice: &mut Dice) -> Self {
        let prompt = dice.between(500, 6_000);
        let most = 1_000 << dice.between(0, 3);
        let estimate = prompt + most;
        // Most answers are much shorter than they might be. One prompt in twenty was counted too short.
        let answer = dice.between(50, most);
        let missed =
            if dice.between(1, 20) == 1 { dice.between(100, 1_000) + most - answer } else { 0 };
        let outcome = match dice.between(1, 25) {
            1 => Outcome::Broken,
            _ => Outcome::Answered { used: prompt + answer + missed },
        };
        Self {
            estimate,
            outcome,
            takes: Duration::from_millis(400 + 12 * answer),
            patience: Duration::from_secs(dice.between(10, 40)),
        }
    }
}

/// Numbers that look random, the same each time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        // Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        least + (self.0 >> 11) % (most - least + 1)
    }
}
