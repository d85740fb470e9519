//! Traces from files.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use flowgate::limits::LONGEST_IDLE;

use crate::trace::{Arrival, Trace};

/// As many bad lines are told one by one.
const MOST_TOLD: usize = 20;

/// Of a bad field, as much is shown.
const LONGEST_SHOWN: usize = 40;

pub(crate) fn read(path: &Path) -> Result<Trace, Box<dyn Error>> {
    let bytes = fs::read(path).map_err(|error| {
        let shown = path.display();
        let names = crate::built_in::BUILT_IN.join(", ");
        format!("{shown} is not one of {names}, and cannot be read as a file: {error}")
    })?;
    // It is shown on a terminal, and in a picture.
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.replace(char::is_control, "_");
    parse(&name, &bytes).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Reads `time,key` line by line, or says of each bad line what is wrong with it.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Trace, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut keys: HashMap<&str, usize> = HashMap::new();
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut last = (0, 0);
    let mut wrong = Vec::new();
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        match parse_line(line, number == 1) {
            Ok(None) => {}
            Ok(Some((time_ns, _))) if time_ns < last.0 => {
                let (now, before) = (shown_s(time_ns), shown_s(last.0));
                let why = format!("{now} s is before {before} s of line {}", last.1);
                wrong.push((number, why));
            }
            Ok(Some((time_ns, key))) => {
                last = (time_ns, number);
                let next = keys.len();
                let key = *keys.entry(key).or_insert(next);
                arrivals.push(Arrival { time_ns, key });
            }
            Err(why) => wrong.push((number, why)),
        }
    }
    if !wrong.is_empty() {
        return Err(told(&wrong));
    }
    let about = "calls from a file".to_owned();
    let trace = Trace { name: name.to_owned(), about, arrivals, keys: keys.len() };
    if trace.arrivals.is_empty() {
        return Err("there is no call in it: a line is a time in seconds, a comma and a key".into());
    }
    // Limiters forget nothing within that time, so that all of them see the same trace.
    if u128::from(trace.last_ns().saturating_sub(trace.first_ns())) > LONGEST_IDLE.as_nanos() / 2 {
        return Err("its times are more than 4.5 years apart, and no limiter is for that".into());
    }
    Ok(trace)
}

fn told(wrong: &[(usize, String)]) -> String {
    let plural = if wrong.len() == 1 { "line is" } else { "lines are" };
    let mut text = format!("{} {plural} wrong, so nothing was done", wrong.len());
    for (number, why) in wrong.iter().take(MOST_TOLD) {
        // Writing to a string does not fail.
        let _ = write!(text, "\nline {number}: {why}");
    }
    if wrong.len() > MOST_TOLD {
        let _ = write!(text, "\nand {} more", wrong.len() - MOST_TOLD);
    }
    text
}

/// The time and the key; nothing of an empty line and of a header.
fn parse_line(line: &[u8], is_first: bool) -> Result<Option<(u64, &str)>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let Some((time, key)) = line.split_once(',') else {
        return Err(format!("{} has no comma: a line is a time and a key", shown(line)));
    };
    let (time, key) = (time.trim(), key.trim());
    if is_first && time.eq_ignore_ascii_case("time") {
        return Ok(None);
    }
    let time_ns = parse_ns(time)?;
    if key.is_empty() {
        return Err("there is no key after the comma".to_owned());
    }
    Ok(Some((time_ns, key)))
}

/// Reads seconds as a decimal. What is below a nanosecond is cut off, which keeps the order.
fn parse_ns(text: &str) -> Result<u64, String> {
    let refuse = || format!("{} is no time in seconds, such as 12.5", shown(text));
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('-')
        && is_number(&rest.replacen('.', "", 1))
    {
        return Err(format!("{} is before 0", shown(text)));
    }
    if !is_number(whole) || !is_number(decimals) {
        return Err(refuse());
    }
    let too_late = || format!("{} is beyond {} seconds", shown(text), u64::MAX / 1_000_000_000);
    let whole: u64 = whole.parse().map_err(|_| too_late())?;
    let nanos: String = decimals.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u64 = nanos.parse().map_err(|_| refuse())?;
    whole.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(nanos)).ok_or_else(too_late)
}

fn shown_s(time_ns: u64) -> String {
    let text = format!("{}.{:09}", time_ns / 1_000_000_000, time_ns % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times_ns(text: &str) -> Vec<u64> {
        parse("some", text.as_bytes()).unwrap().arrivals.iter().map(|call| call.time_ns).collect()
    }

    fn error(text: &str) -> String {
        parse("some", text.as_bytes()).unwrap_err()
    }

    #[test]
    fn times_are_exact_decimals() {
        let text = "0,a\n0.1,a\n1.000000001,a\n1.0000000019,a\n";
        let due = [0, 100_000_000, 1_000_000_001, 1_000_000_001];
        assert_eq!(times_ns(text), due);
        assert_eq!(times_ns("1700000000.25,a"), [1_700_000_000_250_000_000]);
    }

    #[test]
    fn a_header_empty_lines_and_other_line_ends_are_no_calls() {
        assert_eq!(
            times_ns("\u{feff}Time,Key\r\n\r\n1,a\r\n2,b\r\n\r\n"),
            [1_000_000_000, 2_000_000_000]
        );
        assert_eq!(times_ns("1,a"), [1_000_000_000]);
    }

    #[test]
    fn keys_are_any_text_and_numbered_as_they_come() {
        let trace = parse("some", "1, b\n2,a,c \n3,b\n4,ü\n".as_bytes()).unwrap();
        let keys: Vec<_> = trace.arrivals.iter().map(|call| call.key).collect();
        assert_eq!((keys, trace.keys), (vec![0, 1, 0, 2], 3));
    }

    #[test]
    fn each_bad_line_is_named_with_its_number() {
        let text = "time,key\n1,a\nsoon,a\n2\n\n3,\n-4,a\n0.5,a\n1e3,a\n.5,a\n99999999999,a\n";
        let due = "8 lines are wrong, so nothing was done\n\
                   line 3: \"soon\" is no time in seconds, such as 12.5\n\
                   line 4: \"2\" has no comma: a line is a time and a key\n\
                   line 6: there is no key after the comma\n\
                   line 7: \"-4\" is before 0\n\
                   line 8: 0.5 s is before 1 s of line 2\n\
                   line 9: \"1e3\" is no time in seconds, such as 12.5\n\
                   line 10: \".5\" is no time in seconds, such as 12.5\n\
                   line 11: \"99999999999\" is beyond 18446744073 seconds";
        assert_eq!(error(text), due);
        assert_eq!(
            error("1,a\ntime,key\n").lines().nth(1),
            Some("line 2: \"time\" is no time in seconds, such as 12.5")
        );
        let bytes = parse("some", b"1,a\n2,\xff\n").unwrap_err();
        assert_eq!(bytes, "1 line is wrong, so nothing was done\nline 2: it is not UTF-8");
    }

    #[test]
    fn twenty_bad_lines_are_told_and_the_others_counted() {
        let text = "x,a\n".repeat(25);
        let error = error(&text);
        assert_eq!(error.lines().count(), 22);
        assert!(error.ends_with("line 20: \"x\" is no time in seconds, such as 12.5\nand 5 more"));
        assert!(!self::error(&"x,a\n".repeat(20)).contains("more"));
    }

    #[test]
    fn a_long_field_is_cut_between_characters() {
        let error = error(&format!("{}\n", "ü".repeat(50)));
        assert!(error.contains(&format!("\"{}\"…", "ü".repeat(LONGEST_SHOWN))));
    }

    #[test]
    fn a_trace_without_a_call_and_one_over_years_are_refused() {
        assert!(error("time,key\n").starts_with("there is no call in it"));
        assert!(error("0,a\n1700000000,a\n").contains("4.5 years apart"));
    }
}
