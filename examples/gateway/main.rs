//! A gateway in front of a language model: requests and tokens per minute, by API key, in tiers.
//!
//! `cargo run --release --example gateway --features metrics,serde` plays a session against itself, and ends.
//! With `-- --listen 127.0.0.1:8080` it serves; see its budgets at <http://127.0.0.1:8080/>.
//!
//! The door finds out who asks and what it may take at most; the layer reserves that, or refuses; the model answers, and what
//! it did not use goes back.

mod client;
mod config;
mod door;
mod gateway;
mod limits;
mod model;
mod options;
mod page;
mod prometheus;
mod session;

use std::net::SocketAddr;

use tokio::net::TcpListener;

use config::Config;
use gateway::Gateway;
use options::Options;

/// The tiers that are used if no others are named.
const TIERS: &str = include_str!("tiers.toml");

#[tokio::main]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    let config = match &options.tiers {
        Some(file) => Config::read(file)?,
        None => Config::parse("examples/gateway/tiers.toml", TIERS)?,
    };
    let gateway = Gateway::new(config, options.parts, options.pace)?;
    let listener =
        TcpListener::bind(options.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)))).await?;
    let address = listener.local_addr()?;
    let serving =
        tokio::spawn(async move { axum::serve(listener, gateway.router(options.front)).await });
    if options.has_callers {
        client::call_for_ever(address);
    }
    if options.listen.is_some() {
        println!("http://{address}/");
        serving.await??;
        return Ok(());
    }
    session::play(address, TIERS).await
}
