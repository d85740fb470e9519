//! The script, and its words: what it is asked and what it answers.

use std::sync::LazyLock;
use std::vec::Vec;

use ::redis::{Cmd, Script, Value};

use super::lease::Hint;
use super::rule::{Found, HEAD_BYTES, Rule};

/// Redis knows a script by the hash of its text.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TEXT));
const TEXT: &str = include_str!("script.lua");

/// What is asked of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// So many grains, or nothing; then nothing of the other limits either.
    Consume(u64),
    /// Between `least` and `most` times `unit` grains, or nothing, after `charge` grains were taken. With `doubts`, a
    /// bucket that is not there, or that the caller has not been told of since the server was started, is taken to have been empty then.
    UpTo { unit: u64, least: u64, most: u64, charge: u64, hint: Option<Hint>, doubts: bool },
    /// Gives grains back, up to the capacity.
    Refund(u64),
    /// Takes grains, into debt if need be.
    Charge(u64),
    /// Gives grains back that were taken in the window that started then.
    TakeBack { grains: u64, start_us: u64 },
    /// Takes nothing.
    Peek,
}

/// One limit of a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) key: &'a [u8],
    pub(crate) asked: Asked,
}

/// A decision about one limit or several, all or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) parts: &'a [Part<'a>],
    /// By the caller's clock; else by the store's.
    pub(crate) now_us: Option<u64>,
}

/// What the script answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) now_us: u64,
    pub(crate) parts: Vec<AnswerPart>,
}

/// What it answers of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerPart {
    /// 0 is no, or nothing.
    pub(crate) says: u64,
    /// With what was taken already off, if this limit says yes; also if another one says no.
    pub(crate) found: Found,
}

/// An answer that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Its key holds something else than a bucket of this limit.
    OtherBucket { part: usize },
    /// Not what the script says.
    Garbled,
}

impl Call<'_> {
    /// By the script's hash, which a server knows that has run it.
    pub(crate) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", SCRIPT.get_hash())
    }

    /// With the script itself.
    pub(crate) fn with_text(&self) -> Cmd {
        self.command("EVAL", TEXT)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let keys_bytes: usize = self.parts.iter().map(|part| part.key.len()).sum();
        let limits_bytes = self.parts.len().saturating_mul(MOST_LIMIT_BYTES);
        // With the two numbers.
        let bytes = [name.len(), script.len(), keys_bytes, limits_bytes, 40].into_iter().sum();
        let mut command =
            Cmd::with_capacity(self.parts.len().saturating_mul(2).saturating_add(4), bytes);
        command.arg(name).arg(script).arg(self.parts.len());
        for part in self.parts {
            command.arg(part.key);
        }
        for part in self.parts {
            command.arg(part.limit());
        }
        if let Some(now_us) = self.now_us {
            command.arg(now_us);
        }
        command
    }

    pub(crate) fn read(&self, reply: &Value) -> Result<Answer, NoAnswer> {
        let bytes = match reply {
            Value::BulkString(bytes) => bytes,
            Value::Int(part) => {
                let part = usize::try_from(*part).ok().and_then(|part| part.checked_sub(1));
                let known = part.filter(|part| *part < self.parts.len());
                return Err(known.map_or(NoAnswer::Garbled, |part| NoAnswer::OtherBucket { part }));
            }
            _ => return Err(NoAnswer::Garbled),
        };
        let (numbers, rest) = bytes.as_chunks();
        let (answers, more) = numbers.as_chunks();
        if !rest.is_empty() || !more.is_empty() || answers.len() != self.parts.len() {
            return Err(NoAnswer::Garbled);
        }
        let natural = |number| u64::try_from(number).map_err(|_| NoAnswer::Garbled);
        let mut parts = Vec::with_capacity(answers.len());
        let mut now_us = 0;
        for (part, answer) in self.parts.iter().zip(answers) {
            let [now, says, first, second, third] = answer.map(i64::from_le_bytes);
            now_us = natural(now)?;
            let found = part.rule.found([first, second, third]).ok_or(NoAnswer::Garbled)?;
            parts.push(AnswerPart { says: natural(says)?, found });
        }
        Ok(Answer { now_us, parts })
    }
}

impl Part<'_> {
    /// What the script is told of the limit and asked.
    fn limit(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MOST_LIMIT_BYTES);
        self.rule.write_head(&mut bytes);
        let (ask, amount) = match self.asked {
            Asked::Consume(grains) => (1, grains),
            Asked::UpTo { charge, .. } => (2, charge),
            Asked::Refund(grains) => (3, grains),
            Asked::Charge(grains) => (4, grains),
            Asked::TakeBack { grains, .. } => (5, grains),
            Asked::Peek => (6, 0),
        };
        bytes.push(ask);
        bytes.extend_from_slice(&self.rule.amount(amount).to_le_bytes());
        let counted = |number| i64::try_from(number).unwrap_or(i64::MAX).min(LARGEST);
        if let Asked::TakeBack { start_us, .. } = self.asked {
            bytes.extend(counted(start_us).to_le_bytes());
        }
        if let Asked::UpTo { unit, least, most, hint, doubts, .. } = self.asked {
            let mut more = [self.rule.amount(unit), counted(least), counted(most), 0, 0, 0, 0];
            if let Rule::Level(level) = self.rule {
                let (lowest, full) = (level.scale.lowest_level(), level.scale.full_level());
                let (known, at_us, ceiling) = match hint {
                    Some(hint) => (hint.level, hint.server_us, hint.ceiling),
                    None => (full, 0, full),
                };
                more[3..].copy_from_slice(&[
                    known.clamp(lowest, full),
                    counted(at_us),
                    ceiling.clamp(lowest, full),
                    i64::from(doubts),
                ]);
            }
            bytes.extend(more.into_iter().flat_map(i64::to_le_bytes));
        }
        bytes
    }
}

/// The head of a limit, what is asked and how much, and the numbers of the longest question.
const MOST_LIMIT_BYTES: usize = HEAD_BYTES + 1 + 8 * 8;

/// The largest number that a script holds exactly.
const LARGEST: i64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::quota::Quota;
    use crate::redis::RedisLimit;

    fn packed(numbers: &[i64]) -> Value {
        Value::BulkString(numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    #[test]
    fn the_longest_question_has_room() {
        let limit = RedisLimit::new(Quota::per_second(10)).unwrap();
        let (hint, doubts) = (None, false);
        let asked = Asked::UpTo { unit: 1, least: 1, most: 1, charge: 0, hint, doubts };
        let part = Part { rule: &limit.rule, key: b"key", asked };
        assert_eq!(part.limit().len(), MOST_LIMIT_BYTES);
    }

    #[test]
    fn an_answer_is_five_numbers_a_limit_and_nothing_else() {
        let limit = RedisLimit::new(Quota::per_second(10)).unwrap();
        let part = Part { rule: &limit.rule, key: b"key", asked: Asked::Consume(1) };
        let parts = [part, part];
        let call = Call { parts: &parts, now_us: None };

        let answer = call.read(&packed(&[7, 1, 7, 5, 0, 7, 0, 9, -3, 0])).unwrap();
        let first = AnswerPart { says: 1, found: Found::Level { level: 5, at_us: 7 } };
        let second = AnswerPart { says: 0, found: Found::Level { level: -3, at_us: 9 } };
        assert_eq!(answer, Answer { now_us: 7, parts: vec![first, second] });

        for garbled in [
            packed(&[7, 1, 7, 5, 0]),
            packed(&[7, 1, 7, 5, 0, 7, 0, 9, -3]),
            packed(&[7, 1, 7, 5, 0, 7, 0, 9, -3, 0, 7]),
            packed(&[7, 1, 7, 5, 0, 7, 0, 9, -3, 0, 7, 1, 7, 5, 0]),
            packed(&[7, -1, 7, 5, 0, 7, 0, 9, -3, 0]),
            packed(&[-7, 1, 7, 5, 0, -7, 0, 9, -3, 0]),
            Value::BulkString(vec![0; 79]),
            Value::BulkString(vec![0; 81]),
            Value::Nil,
            Value::Okay,
            Value::Int(-1),
            Value::Int(0),
            Value::Int(3),
            Value::Array(vec![Value::Int(7); 10]),
        ] {
            assert_eq!(call.read(&garbled), Err(NoAnswer::Garbled), "{garbled:?}");
        }
        assert_eq!(call.read(&Value::Int(2)), Err(NoAnswer::OtherBucket { part: 1 }));
    }
}
