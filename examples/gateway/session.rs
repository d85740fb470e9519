//! A session with the gateway, as one would have it with curl.

use std::net::SocketAddr;

use crate::client::{CHAT, prompt, send};
use crate::config::Config;

const ALICE: &str = "authorization: Bearer demo-key-alice";
const ALICE_TOO: &str = "x-api-key: demo-key-alice";
const DAN: &str = "authorization: Bearer demo-key-dan";

pub(crate) async fn play(
    gateway: SocketAddr,
    tiers: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    println!("alice is of the tier free: 5 requests and 2,000 tokens a minute.");
    println!("She asks for 600 tokens at most, and is answered in fewer: the rest goes back.\n");
    let story = prompt("Tell me a story.", 600);
    chat(gateway, ALICE, &story, "200").await?;

    println!("1,900 more are not there yet. Her other way to show her key has the same budget.\n");
    chat(gateway, ALICE_TOO, &prompt("Tell me a long story.", 1_900), "429").await?;

    println!("More than her whole budget will never be there, so there is no Retry-After.\n");
    chat(gateway, ALICE, &prompt("Tell me all stories.", 50_000), "429").await?;

    println!(
        "Refusals cost nothing. Four short questions are let through, and a fifth is one too many.\n"
    );
    let short = prompt("And then?", 20);
    for _ in 0..4 {
        expect("200", send(gateway, CHAT, ALICE, &short).await?.status())?;
    }
    chat(gateway, ALICE, &short, "429").await?;

    println!("dan is of the tier pro, and notices nothing.\n");
    chat(gateway, DAN, &story, "200").await?;

    println!("A key that nobody has reaches no bucket.\n");
    chat(gateway, "authorization: Bearer made-up", &story, "401").await?;

    println!("What the page at / shows, and what Prometheus reads:\n");
    for request in ["GET /budgets", "GET /metrics"] {
        let reply = send(gateway, request, "", "").await?;
        expect("200", reply.status())?;
        println!("> {request}\n{}\n", reply.body.replace("},{\"owner\"", "},\n {\"owner\"").trim());
    }

    println!("A mistake in the file of tiers is told by line and field:\n");
    let mistaken = tiers.replacen("100000/min", "100000/fortnight", 1);
    match Config::parse("tiers.toml", &mistaken) {
        Err(error) => println!("{error}"),
        Ok(_) => return Err("the mistake was not seen".into()),
    }
    Ok(())
}

/// One request, and all that is said about it.
async fn chat(
    gateway: SocketAddr,
    key: &str,
    body: &str,
    expected: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    println!("> {CHAT}\n> {key}\n> {body}");
    let reply = send(gateway, CHAT, key, body).await?;
    for line in reply.head.iter().filter(|line| !line.starts_with("date:")) {
        println!("< {line}");
    }
    println!("< {}\n", reply.body.trim());
    expect(expected, reply.status())
}

fn expect(expected: &str, status: &str) -> Result<(), Box<dyn std::error::Error>> {
    if status == expected {
        Ok(())
    } else {
        Err(format!("expected {expected}, and it was {status}").into())
    }
}
