//! Fifty callers of a language model share a budget of requests and of tokens per minute. Their estimates are wrong.
//!
//! `cargo run --release --example llm_budget --features tokio`
//!
//! Each call reserves its prompt and the most it may be answered, waits for its turn, and settles what was really used. Time
//! is simulated (tokio's paused clock), so four minutes pass in a few seconds and the output is the same each time.

mod audit;
mod call;
mod screen;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use flowgate::{KeyedLimiter, LimitSet, Quota, TokioClock, TokioTimer};
use tokio::time::{Instant, sleep};

use audit::Ledger;
use call::{Call, Dice, Outcome};
use screen::Screen;

/// What the provider allows in any minute.
const REQUESTS_PER_MINUTE: u64 = 120;
const TOKENS_PER_MINUTE: u64 = 400_000;

const CALLERS: u64 = 50;
const LASTS: Duration = Duration::from_secs(240);
const FRAME: Duration = Duration::from_secs(2);

type Budget = LimitSet<str, 2>;

/// In any minute a bucket grants at most its burst and a minute of its rate: so both together are what the provider
/// allows. Of the tokens a twentieth is left for estimates that turn out too low, which are found out too late.
fn quotas() -> [Quota; 2] {
    [Quota::per_minute(100).burst(20), Quota::per_minute(330_000).burst(50_000)]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(run()))
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let [requests, tokens] = quotas();
    let clock = TokioClock::new();
    let budget = Budget::of([
        ("requests", Box::new(KeyedLimiter::<String, _, _>::with_clock(requests, clock)?)),
        ("tokens", Box::new(KeyedLimiter::<String, _, _>::with_clock(tokens, clock)?)),
    ]);
    let start = Instant::now();
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    for caller in 0..CALLERS {
        tokio::task::spawn_local(call_again_and_again(caller, budget.clone(), Rc::clone(&ledger)));
    }

    let screen = Screen::new(quotas());
    while start.elapsed() < LASTS {
        sleep(FRAME).await;
        screen.draw(start.elapsed(), budget.available("team"), &ledger.borrow());
    }
    screen.end(&ledger.borrow());
    match ledger.borrow().fullest_minute() {
        (requests, tokens) if requests <= REQUESTS_PER_MINUTE && tokens <= TOKENS_PER_MINUTE => {
            Ok(())
        }
        over => Err(format!("{over:?} in one minute is over the budget").into()),
    }
}

async fn call_again_and_again(caller: u64, budget: Budget, ledger: Rc<RefCell<Ledger>>) {
    let mut dice = Dice::new(caller);
    let team = budget.wait_with("team", TokioTimer);
    loop {
        let call = Call::throw(&mut dice);
        ledger.borrow_mut().waiting += 1;
        let permit = team.acquire_timeout([1, call.estimate], call.patience).await;
        ledger.borrow_mut().waiting -= 1;
        let Ok(permit) = permit else {
            // It would have taken too long, so nothing was taken.
            ledger.borrow_mut().given_up += 1;
            sleep(call.patience).await;
            continue;
        };
        ledger.borrow_mut().begin(call.estimate);
        sleep(call.takes).await;
        match call.outcome {
            Outcome::Answered { used } => {
                let _ = permit.settle([1, used]);
                ledger.borrow_mut().end(call.estimate, used);
            }
            // The connection broke: nobody knows what was used. All of the estimate counts.
            Outcome::Broken => {
                drop(permit);
                ledger.borrow_mut().end(call.estimate, call.estimate);
            }
        }
    }
}
