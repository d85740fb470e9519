//! Which machine it was, without saying whose.

use std::fs;
use std::process::Command;

use crate::measured::Source;
use crate::names::CRATES;

/// The machine, the compiler, the rivals, and what was measured when, in a sentence each.
pub(crate) fn describe(sources: &[Source]) -> Vec<String> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&info, "model name").unwrap_or("a processor that does not give its name");
    let virtual_machine = field(&info, "flags")
        .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let kind = if virtual_machine { "virtual machine" } else { "machine" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plural = if cores == 1 { "" } else { "s" };
    let compiler = said_by("rustc", "--version").unwrap_or_else(|| "an unknown rustc".into());
    vec![
        format!("{model}, {kind} with {cores} core{plural}, {}.", std::env::consts::OS),
        format!("{compiler}, profile `bench`."),
        format!("Rivals: {}.", versions().join(", ")),
        format!("Medians over {}.", sources.iter().map(rounds).collect::<Vec<_>>().join(", over ")),
    ]
}

fn rounds(Source { name, rounds, day }: &Source) -> String {
    let plural = if *rounds == 1 { "" } else { "s" };
    let day = day.clone().or_else(|| said_by("date", "+%Y-%m-%d"));
    let day = day.unwrap_or_else(|| "an unknown day".into());
    format!("{rounds} round{plural} of `{name}` on {day}")
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let line = info.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, text)| text.trim())
}

fn said_by(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|said| !said.is_empty())
}

/// The versions of the rivals, from `Cargo.lock`.
fn versions() -> Vec<String> {
    let lock = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        after.split_once('"').map(|(version, _)| version)
    };
    CRATES.iter().map(|name| format!("{name} {}", version(name).unwrap_or("?"))).collect()
}
