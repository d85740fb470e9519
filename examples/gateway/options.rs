//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const USAGE: &str = "gateway [--listen ADDRESS] [--tiers FILE] [--pace MICROSECONDS] [--callers] [--parts LIST | --no-limits | --empty-layer]

  without --listen  plays a session against itself, and ends
  --listen          serves there until stopped
  --tiers           the file of tiers and keys; without it examples/gateway/tiers.toml as it was built in
  --pace            how long the model takes for a token (200)
  --callers         keeps some callers busy, to have something to see at /
  --parts           what the layer does beside deciding: of settlement,draft,names,metrics (all of them)
  --no-limits       without the layer, to measure what it costs
  --empty-layer     with a layer that does nothing, to measure what any layer costs";

pub(crate) struct Options {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) tiers: Option<String>,
    pub(crate) pace: Duration,
    pub(crate) has_callers: bool,
    pub(crate) parts: Parts,
    pub(crate) front: Front,
}

/// What is in front of the model.
#[derive(Clone, Copy)]
pub(crate) enum Front {
    Limits,
    EmptyLayer,
    Nothing,
}

/// What the layer does beside deciding.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) settlement: bool,
    /// `RateLimit` and `RateLimit-Policy` on every response.
    pub(crate) draft: bool,
    /// `x-ratelimit-remaining-tokens` and the like.
    pub(crate) names: bool,
    pub(crate) metrics: bool,
}

impl Parts {
    const fn all() -> Self {
        Self { settlement: true, draft: true, names: true, metrics: true }
    }

    fn read(list: &str) -> Result<Self, String> {
        let mut parts = Self { settlement: false, draft: false, names: false, metrics: false };
        for part in list.split(',').filter(|part| !part.is_empty()) {
            match part {
                "settlement" => parts.settlement = true,
                "draft" => parts.draft = true,
                "names" => parts.names = true,
                "metrics" => parts.metrics = true,
                _ => return Err(format!("--parts: unknown part {part}\n\n{USAGE}")),
            }
        }
        Ok(parts)
    }
}

impl Options {
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            listen: None,
            tiers: None,
            pace: Duration::from_micros(200),
            has_callers: false,
            parts: Parts::all(),
            front: Front::Limits,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--listen" => options.listen = Some(read(&name, &value()?)?),
                "--tiers" => options.tiers = Some(value()?),
                "--pace" => options.pace = Duration::from_micros(read(&name, &value()?)?),
                "--callers" => options.has_callers = true,
                "--parts" => options.parts = Parts::read(&value()?)?,
                "--no-limits" => options.front = Front::Nothing,
                "--empty-layer" => options.front = Front::EmptyLayer,
                _ => return Err(format!("unknown argument {name}\n\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{name} {text}: {error}"))
}
