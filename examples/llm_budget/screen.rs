//! The budget, live; and what came of it.

use std::io::{IsTerminal, stdout};
use std::thread::sleep;
use std::time::Duration;

use flowgate::{Quota, Tokens};

use crate::audit::Ledger;
use crate::{LASTS, REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE};

const WIDTH: usize = 24;
/// On a terminal a frame stays so long.
const LOOK: Duration = Duration::from_millis(40);
/// Elsewhere one frame in so many is written.
const KEEP: u64 = 15;

pub(crate) struct Screen {
    quotas: [Quota; 2],
    live: bool,
}

impl Screen {
    pub(crate) fn new(quotas: [Quota; 2]) -> Self {
        let [requests, tokens] = quotas;
        println!(
            "The provider allows {REQUESTS_PER_MINUTE} requests and {} tokens in any minute.",
            grouped(TOKENS_PER_MINUTE)
        );
        println!(
            "Requests: {requests}. Tokens: {tokens}. Fifty callers; a call reserves what it may use at most.\n"
        );
        Self { quotas, live: stdout().is_terminal() }
    }

    pub(crate) fn draw(&self, elapsed: Duration, available: [Tokens; 2], ledger: &Ledger) {
        let frame = elapsed.as_secs() / crate::FRAME.as_secs();
        if !self.live && frame % KEEP != 1 {
            return;
        }
        let [requests, tokens] = self.quotas;
        println!(
            "{}:{:02}  requests {} {:>2} of {}   tokens {} {:>6} of {}",
            elapsed.as_secs() / 60,
            elapsed.as_secs() % 60,
            bar(available[0].whole(), requests.capacity().whole()),
            available[0].whole(),
            requests.capacity(),
            bar(available[1].whole(), tokens.capacity().whole()),
            grouped(available[1].whole()),
            grouped(tokens.capacity().whole()),
        );
        println!(
            "      in flight {:>2} {:<50}\n      waiting   {:>2} {:<50}",
            ledger.in_flight,
            "▪".repeat(ledger.in_flight),
            ledger.waiting,
            "·".repeat(ledger.waiting),
        );
        println!(
            "      answered {}, given up {}; estimated too high {}, too low {}",
            ledger.answered,
            ledger.given_up,
            grouped(ledger.given_back),
            grouped(ledger.charged),
        );
        if self.live {
            sleep(LOOK);
            if elapsed < LASTS {
                print!("\x1b[4A\x1b[J");
            }
        } else {
            println!();
        }
    }

    pub(crate) fn end(&self, ledger: &Ledger) {
        let ten = Duration::from_secs(10);
        println!(
            "\nTokens that counted, each ten seconds (the provider allows {} a minute):\n",
            grouped(TOKENS_PER_MINUTE)
        );
        for at in (0..LASTS.as_secs()).step_by(10) {
            let tokens = ledger.tokens_in(Duration::from_secs(at), ten).try_into().unwrap_or(0);
            let blocks = times(tokens, 40, TOKENS_PER_MINUTE / 4);
            println!(
                "  {}:{:02}  {:<40} {:>7}",
                at / 60,
                at % 60,
                "█".repeat(blocks),
                grouped(tokens)
            );
        }
        let (requests, tokens) = ledger.fullest_minute();
        println!(
            "\nAudit of every sixty seconds, wherever they begin: at most {requests} of {REQUESTS_PER_MINUTE} requests and {} of {} tokens. {}",
            grouped(tokens),
            grouped(TOKENS_PER_MINUTE),
            if requests <= REQUESTS_PER_MINUTE && tokens <= TOKENS_PER_MINUTE {
                "Never over."
            } else {
                "OVER."
            },
        );
    }
}

/// `part` in steps of which the whole has `steps`.
fn times(part: u64, steps: usize, whole: u64) -> usize {
    usize::try_from(part * steps as u64 / whole.max(1)).unwrap_or(0)
}

fn bar(part: u64, whole: u64) -> String {
    let full = times(part, WIDTH, whole).min(WIDTH);
    format!("[{}{}]", "█".repeat(full), "░".repeat(WIDTH - full))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
