//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const USAGE: &str = "gateway [--listen ADDRESS] [--tiers FILE] [--pace MICROSECONDS] [--callers] [--bare | --no-limits]

  without --listen  plays a session against itself, and ends
  --listen          serves there until stopped
  --tiers           the file of tiers and keys; without it examples/gateway/tiers.toml as it was built in
  --pace            how long the model takes for a token (200)
  --callers         keeps some callers busy, to have something to see at /
  --bare            limits, without header fields, settlement and metrics of them
  --no-limits       without the layer, to measure what it costs";

pub(crate) struct Options {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) tiers: Option<String>,
    pub(crate) pace: Duration,
    pub(crate) has_callers: bool,
    pub(crate) is_bare: bool,
    pub(crate) has_limits: bool,
}

impl Options {
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            listen: None,
            tiers: None,
            pace: Duration::from_micros(200),
            has_callers: false,
            is_bare: false,
            has_limits: true,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--listen" => options.listen = Some(read(&name, &value()?)?),
                "--tiers" => options.tiers = Some(value()?),
                "--pace" => options.pace = Duration::from_micros(read(&name, &value()?)?),
                "--callers" => options.has_callers = true,
                "--bare" => options.is_bare = true,
                "--no-limits" => options.has_limits = false,
                _ => return Err(format!("unknown argument {name}\n\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{name} {text}: {error}"))
}
