//! A bucket per user, two tiers, and somebody who floods the service with made-up names.
//!
//! `cargo run --release --example per_key`
//!
//! Time is simulated, so that the output is the same each time: ten seconds in steps of a quarter.

use std::time::Duration;

use flowgate::{KeyedLimiter, ManualClock, Quota, Tier};

const STEP: Duration = Duration::from_millis(250);
const STEPS: usize = 40;

/// How often each of them calls in a step, and with what.
const USERS: [(&str, &str, usize); 4] = [
    ("alice", "free, a call now and then", 1),
    ("bob", "free, in a hurry", 4),
    ("carol@gold", "gold, in a hurry", 4),
    ("dora@gold", "gold, and greedy", 12),
];

type Users = KeyedLimiter<String, Quota, ManualClock>;

/// What became of a user's calls in one step.
#[derive(Clone, Copy, Default)]
struct Step {
    allowed: usize,
    denied: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One bucket per user; idle users vanish by themselves.
    let users = Users::with_clock("4/s burst 8".parse::<Quota>()?, ManualClock::new())?;
    // A better tier for some of them: same memory, same word.
    let free = users.tier("4/s burst 8".parse()?)?;
    let gold = users.tier("16/s burst 32".parse()?)?;
    let tier_of = |name: &str| if name.ends_with("@gold") { &gold } else { &free };

    let mut history = [[Step::default(); STEPS]; USERS.len()];
    let mut most_keys = 0;
    for step in 0..STEPS {
        for (calls, (name, _, a_step)) in history.iter_mut().zip(USERS) {
            // Between seconds 4 and 7 everybody is away.
            let away = (16..28).contains(&step);
            for _ in 0..if away { 0 } else { a_step } {
                let is_allowed = users.on_each(tier_of).is_allowed(name);
                calls[step].allowed += usize::from(is_allowed);
                calls[step].denied += usize::from(!is_allowed);
            }
        }
        // Somebody makes up a thousand names a second.
        for stranger in 0..250 {
            users.is_allowed(&format!("stranger-{step}-{stranger}"));
        }
        most_keys = most_keys.max(users.len());
        users.clock().advance(STEP);
    }

    show(&history, tier_of);
    println!();
    println!("Names seen: {}. Most buckets held at once: {most_keys}.", USERS.len() + STEPS * 250);
    println!(
        "A made-up name is full again, by both quotas, after 1.6 s, and makes room for another."
    );
    one_connection(&users);
    Ok(())
}

/// A connection that makes many requests finds its bucket once.
fn one_connection(users: &Users) {
    let connection = users.handle("alice");
    let allowed = (0..20).filter(|_| connection.is_allowed()).count();
    println!();
    println!("Alice on a connection of her own: {allowed} of 20 allowed at once.");
    if let Err(denied) = users.try_consume("alice", 1) {
        println!("Alice by name, right after: {denied}.");
    }
}

fn show<'a>(history: &[[Step; STEPS]], tier_of: impl Fn(&str) -> &'a Tier) {
    println!("Ten seconds, a column a quarter second: █ all allowed, ▒ some, · all denied");
    println!();
    for (calls, (name, who, _)) in history.iter().zip(USERS) {
        let line: String = calls.iter().map(symbol).collect();
        let (allowed, denied) = calls
            .iter()
            .fold((0, 0), |(allowed, denied), step| (allowed + step.allowed, denied + step.denied));
        println!("{name:>10}  {line}  {allowed:>3} allowed {denied:>3} denied");
        println!("{:>10}  {who}; {}", "", tier_of(name).quota());
    }
}

fn symbol(step: &Step) -> char {
    match (step.allowed, step.denied) {
        (0, 0) => ' ',
        (_, 0) => '█',
        (0, _) => '·',
        _ => '▒',
    }
}
