//! Tiers and keys, from a file; and errors that point into it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use flowgate::Quota;
use serde::Deserialize;
use toml::Spanned;

/// What the gateway is told by its file.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) tiers: Vec<Tier>,
    pub(crate) accounts: Vec<Account>,
    /// The place in `accounts`, by API key.
    pub(crate) by_key: HashMap<String, usize>,
}

#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) name: String,
    pub(crate) requests: Quota,
    pub(crate) tokens: Quota,
}

/// Whoever has an API key.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) owner: String,
    /// The place in `tiers`.
    pub(crate) tier: usize,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tiers: BTreeMap<String, WrittenTier>,
    keys: BTreeMap<String, WrittenKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTier {
    requests: Quota,
    tokens: Quota,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    owner: String,
    tier: Spanned<String>,
}

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct ConfigError {
    file: String,
    line: Option<usize>,
    field: String,
    what: String,
}

impl Config {
    pub(crate) fn read(file: &str) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(file, &text),
            Err(error) => Err(ConfigError {
                file: file.to_owned(),
                line: None,
                field: String::new(),
                what: error.to_string(),
            }),
        }
    }

    /// `file` is what errors call it.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let fail = |at: Option<usize>, field: String, what: String| ConfigError {
            file: file.to_owned(),
            line: at.map(|at| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()),
            field,
            what,
        };
        let start = |error: &toml::de::Error| error.span().map(|span| span.start);
        let table = toml::Deserializer::parse(text)
            .map_err(|error| fail(start(&error), String::new(), error.message().to_owned()))?;
        let written: Written = serde_path_to_error::deserialize(table).map_err(|error| {
            let inner = error.inner();
            let path = error.path().to_string();
            // The whole file is a dot.
            let field = if path == "." { String::new() } else { path };
            fail(start(inner), field, inner.message().trim_end().to_owned())
        })?;
        if written.tiers.is_empty() {
            return Err(fail(None, "tiers".to_owned(), "there is none".to_owned()));
        }

        let names: Vec<_> = written.tiers.keys().cloned().collect();
        let (mut accounts, mut by_key) = (Vec::new(), HashMap::new());
        for (key, WrittenKey { owner, tier }) in written.keys {
            let Some(place) = names.iter().position(|name| name == tier.get_ref()) else {
                let what =
                    format!("unknown tier {:?}: there are {}", tier.get_ref(), names.join(", "));
                return Err(fail(Some(tier.span().start), format!("keys.{key}.tier"), what));
            };
            by_key.insert(key, accounts.len());
            accounts.push(Account { owner, tier: place });
        }
        let tiers = written.tiers.into_iter();
        let tiers =
            tiers.map(|(name, WrittenTier { requests, tokens })| Tier { name, requests, tokens });
        Ok(Self { tiers: tiers.collect(), accounts, by_key })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("tiers.toml");

    fn error_with(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from));
        Config::parse("tiers.toml", &GOOD.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn the_file_that_comes_along_is_good() {
        let config = Config::parse("tiers.toml", GOOD).unwrap();
        let dan = &config.accounts[config.by_key["demo-key-dan"]];
        assert_eq!((dan.owner.as_str(), config.tiers[dan.tier].name.as_str()), ("dan", "pro"));
        assert_eq!(config.tiers[dan.tier].requests, Quota::per_minute(300).burst(60));
    }

    #[test]
    fn errors_name_the_line_and_the_field() {
        let unit = error_with("100000/min", "100000/fortnight");
        assert!(unit.starts_with("tiers.toml:13: tiers.pro.tokens: "), "{unit}");
        assert!(unit.contains("fortnight"), "{unit}");
        let field = error_with("requests = \"5/min\"", "request = \"5/min\"");
        assert!(field.starts_with("tiers.toml:4: tiers.free.request: unknown field"), "{field}");
        let tier = error_with("tier = \"pro\"", "tier = \"gold\"");
        assert_eq!(
            tier,
            "tiers.toml:31: keys.demo-key-dan.tier: unknown tier \"gold\": there are free, pro, team"
        );
        let missing = error_with("owner = \"alice\"\n", "");
        assert!(missing.contains("keys.demo-key-alice: missing field `owner`"), "{missing}");
        let syntax = error_with("[tiers.free]", "[tiers.free");
        assert!(syntax.starts_with("tiers.toml:3: "), "{syntax}");
    }
}
