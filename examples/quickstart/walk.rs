//! The calls to copy: make a limiter from a quota, ask it, read its answer.

use std::error::Error;
use std::time::{Duration, Instant};

use flowgate::{Denied, Quota, TokenBucket};

use crate::progress;
use crate::screen::{Screen, grouped, seconds};

/// How closely a wait is checked. It is exact to the bucket's smallest unit, here microseconds.
const GRAIN: Duration = Duration::from_millis(1);

/// What a request should be told.
enum Expected {
    /// Go, and so many whole tokens are left.
    Left(u64),
    /// Wait until then.
    Wait(Instant),
}

/// Ten requests at once, then two a second.
pub(crate) fn requests(screen: &mut Screen) -> Result<(), Box<dyn Error>> {
    screen.title("Ten requests at once, then two a second", "Quota::per_second(2).burst(10)")?;

    let started = Instant::now();
    let limiter = TokenBucket::new(Quota::per_second(2).burst(10))?;
    for number in 1..=10 {
        request(screen, &limiter, number, Expected::Left(10 - number))?;
    }
    let eleventh_is_due = started + Duration::from_millis(500);
    request(screen, &limiter, 11, Expected::Wait(eleventh_is_due))?;

    progress::wait(Duration::from_secs(1), "waiting for two tokens")?;
    screen.line("      ⋮        one second later")?;
    request(screen, &limiter, 12, Expected::Left(1))?;
    request(screen, &limiter, 13, Expected::Left(0))?;
    let fourteenth_is_due = started + Duration::from_millis(1_500);
    request(screen, &limiter, 14, Expected::Wait(fourteenth_is_due))
}

/// Makes one request, shows the answer, and fails if it is not the one expected.
fn request(
    screen: &mut Screen,
    limiter: &TokenBucket,
    number: u64,
    expected: Expected,
) -> Result<(), Box<dyn Error>> {
    let kept = match limiter.try_consume(1) {
        Ok(granted) => {
            // Exact to a fraction of a token; here only the whole ones matter.
            let left = granted.remaining().whole();
            let (verdict, bucket) = (screen.allowed(), screen.tokens(left, 10));
            screen.line(&format!("   request {number:>2}   {verdict}   {bucket}   {left} left"))?;
            match expected {
                Expected::Left(tokens) => left == tokens,
                Expected::Wait(due) if Instant::now() >= due => {
                    return Err("this machine paused for half a second: run it again".into());
                }
                Expected::Wait(_) => false,
            }
        }
        Err(denied) => {
            let Some(wait) = denied.retry_after() else {
                return Err("one token was taken for more than a bucket of ten can hold".into());
            };
            let (verdict, bucket) = (screen.denied(), screen.tokens(0, 10));
            let text = seconds(wait);
            screen.line(&format!(
                "   request {number:>2}   {verdict}   {bucket}   retry after {text}"
            ))?;
            match expected {
                Expected::Left(_) => false,
                Expected::Wait(due) => {
                    wait <= Duration::from_millis(500) && Instant::now() + wait + GRAIN >= due
                }
            }
        }
    };
    let right_answer = match expected {
        Expected::Left(tokens) => format!("is allowed and leaves {tokens}"),
        Expected::Wait(_) => "is denied until its token arrives, half a second at most".to_string(),
    };
    check(kept, &format!("request {number} {right_answer}"))
}

/// A language model's budget: 50,000 tokens an hour, and queries of 500.
pub(crate) fn model_budget(screen: &mut Screen) -> Result<(), Box<dyn Error>> {
    screen.title("A language model's budget", r#""50000/h".parse::<Quota>()"#)?;

    // A quota also comes from text, as in a configuration file.
    let limiter = TokenBucket::new("50000/h".parse::<Quota>()?)?;

    let granted = limiter.try_consume(500)?;
    let (left, full_after) = (granted.remaining().whole(), granted.full_after());
    let text = format!("{} left, full again in {}", grouped(left), seconds(full_after));
    query(screen, "query 1", 500, true, &text)?;
    check(left == 49_500, "500 out of 50,000 tokens leave 49,500")?;
    check(is_about(full_after, 36), "500 tokens of 50,000 an hour arrive in 36 s")?;

    for _ in 2..=100 {
        let _ = limiter.try_consume(500)?;
    }
    let left = limiter.available().whole();
    query(screen, "queries 2 to 100", 500, true, &format!("{} left", grouped(left)))?;
    check(left < 500, "100 queries of 500 tokens use up 50,000")?;

    // Not now: waiting helps, and the limiter says how long.
    let Err(Denied::NotYet(denied)) = limiter.try_consume(500) else {
        return Err("query 101 should be told to wait".into());
    };
    let wait = denied.retry_after();
    query(screen, "query 101", 500, false, &format!("retry after {}", seconds(wait)))?;
    check(wait <= Duration::from_secs(36), "500 tokens of 50,000 an hour arrive in 36 s")?;

    // Never: 60,000 tokens do not fit into a bucket of 50,000, however long one waits.
    let Err(Denied::Never(denied)) = limiter.try_consume(60_000) else {
        return Err("a query above the capacity should be told that it never fits".into());
    };
    let capacity = denied.capacity().whole();
    let text = format!("never: above the capacity of {}", grouped(capacity));
    query(screen, "an oversized query", 60_000, false, &text)?;
    check(capacity == 50_000, "an hour's 50,000 tokens are the capacity")
}

fn query(
    screen: &mut Screen,
    name: &str,
    cost: u64,
    is_allowed: bool,
    text: &str,
) -> Result<(), Box<dyn Error>> {
    let verdict = if is_allowed { screen.allowed() } else { screen.denied() };
    let cost = grouped(cost);
    screen.line(&format!("   {name:<18}   {cost:>6} tokens   {verdict}   {text}"))?;
    Ok(())
}

/// Tells whether `time` is so many seconds, but for the last millisecond.
fn is_about(time: Duration, seconds: u64) -> bool {
    let expected = Duration::from_secs(seconds);
    time <= expected && time + GRAIN >= expected
}

/// Fails unless the limiter did what the text says.
fn check(kept: bool, text: &str) -> Result<(), Box<dyn Error>> {
    if kept { Ok(()) } else { Err(format!("the limiter did otherwise: {text}").into()) }
}
