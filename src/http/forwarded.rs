//! Addresses in `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)) and `X-Forwarded-For`, read from the
//! right.
//!
//! Each proxy adds to the right, so the right end is what the nearest one wrote, and everything to the left of it may
//! be made up. Hence the fields are cut from the right: whatever the left part is, an open quote for instance, it
//! changes nothing of how the right part is read.

use core::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

static THE_FORWARDED: HeaderName = FORWARDED;
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The elements of all lines of a list field, the last one first. One that is not text is `None`; what is to the left of
/// it need not be text either.
fn from_the_right<'r>(
    headers: &'r HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'r str>> {
    let lines = headers.get_all(name).iter().rev();
    let elements = lines.flat_map(|line| {
        let mut rest = Some(line.as_bytes());
        core::iter::from_fn(move || {
            let (left, element) = split_last_element(rest?);
            rest = left;
            Some(core::str::from_utf8(element).map(trim).ok())
        })
    });
    // Lists may have empty elements (RFC 9110, 5.6.1), which mean nothing.
    elements.filter(|element| *element != Some(""))
}

/// Cuts at the last comma that is in no quoted string, as seen from the right: what is before it, and the element.
fn split_last_element(line: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    for (at, byte) in line.iter().enumerate().rev() {
        match byte {
            // Within quotes, one after a backslash is a part of the text.
            b'"' if !(is_quoted && is_escaped(line, at)) => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                let (left, element) = line.split_at(at);
                return (Some(left), element.strip_prefix(b",").unwrap_or(element));
            }
            _ => {}
        }
    }
    (None, line)
}

/// Whether there is an odd number of backslashes before this place.
fn is_escaped(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The addresses of `X-Forwarded-For`, the nearest one first; `None` for what is not an address.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    from_the_right(headers, &X_FORWARDED_FOR).map(|element| node(unquoted(element?)?))
}

/// The addresses of `Forwarded: for=`, the nearest one first; `None` for what is not an address: `unknown`, names such as
/// `_hidden`, and elements that break the syntax, or do not say for whom.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    from_the_right(headers, &THE_FORWARDED).map(|element| node(unquoted(value_of_for(element?)?)?))
}

/// The value of the one `for=` of an element.
fn value_of_for(element: &str) -> Option<&str> {
    let mut found = None;
    let mut rest = Some(element);
    while let Some(text) = rest {
        let (pair, after) = split_first_pair(text)?;
        rest = after;
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        // Each name at most once (RFC 7239, section 4).
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    found
}

/// Cuts at the first semicolon that is in no quoted string; `None` if a string is left open.
fn split_first_pair(text: &str) -> Option<(&str, Option<&str>)> {
    let (mut is_quoted, mut is_escape) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escape => is_escape = false,
            b'\\' if is_quoted => is_escape = true,
            b'"' => is_quoted = !is_quoted,
            b';' if !is_quoted => {
                let (pair, rest) = text.split_at(at);
                return Some((trim(pair), Some(rest.strip_prefix(';').unwrap_or(rest))));
            }
            _ => {}
        }
    }
    (!is_quoted).then_some((trim(text), None))
}

/// The text in a quoted string, or the text itself. No address has anything to escape.
fn unquoted(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => value,
    };
    (!inner.contains(['"', '\\'])).then_some(inner)
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
/// The port may be a name (`:_http`), as RFC 7239 has it.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return is_port(port).then_some(address.into());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    let (address, _) = text.split_once(':')?;
    let port = text.get(address.len()..)?;
    Some(IpAddr::V4(address.parse().ok()?)).filter(|_| is_port(port))
}

fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    match port.strip_prefix('_') {
        Some(name) => {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(is_allowed)
        }
        None => (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        headers
    }

    fn x(lines: &[&str]) -> Vec<Option<IpAddr>> {
        x_forwarded_for(&headers(&X_FORWARDED_FOR, lines)).collect()
    }

    fn f(lines: &[&str]) -> Vec<Option<IpAddr>> {
        forwarded(&headers(&FORWARDED, lines)).collect()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// Row 33 (tower-governor PR 56).
    #[test]
    fn an_entry_with_a_port_parses() {
        assert_eq!(x(&["192.0.2.1:4711"]), [ip("192.0.2.1")]);
        assert_eq!(x(&["[2001:db8::1]:4711"]), [ip("2001:db8::1")]);
        assert_eq!(x(&["[2001:db8::1]"]), [ip("2001:db8::1")]);
        assert_eq!(x(&["2001:db8::1"]), [ip("2001:db8::1")]);
        assert_eq!(f(&[r#"for="[2001:db8::1]:4711""#]), [ip("2001:db8::1")]);
        assert_eq!(f(&[r#"for="192.0.2.1:_http""#]), [ip("192.0.2.1")]);
        assert_eq!(f(&["For=192.0.2.1"]), [ip("192.0.2.1")]);
        for bad in ["192.0.2.1:", "192.0.2.1:x", "192.0.2.1:123456", "[::1", "[::1]x", "192.0.2.01"]
        {
            assert_eq!(x(&[bad]), [None], "{bad}");
        }
    }

    #[test]
    fn lines_are_joined_and_read_from_the_right() {
        let both = [ip("192.0.2.3"), ip("192.0.2.2"), ip("192.0.2.1")];
        assert_eq!(x(&["192.0.2.1, 192.0.2.2", "192.0.2.3"]), both);
        assert_eq!(x(&["192.0.2.1 ,\t192.0.2.2,, 192.0.2.3 ,"]), both);
        assert_eq!(f(&["for=192.0.2.1;proto=http, for=192.0.2.2", "by=x;for=192.0.2.3"]), both);
    }

    #[test]
    fn what_is_no_address_is_told_as_such() {
        assert_eq!(f(&["for=unknown, for=_hidden, for=192.0.2.1"]), [ip("192.0.2.1"), None, None]);
        assert_eq!(f(&["proto=https"]), [None]);
        assert_eq!(f(&["for=192.0.2.1;for=192.0.2.2"]), [None]);
        assert_eq!(f(&[r#"for="192.0.2.1"#]), [None]);
        assert_eq!(x(&["unknown"]), [None]);
        assert_eq!(x(&["fe80::1%eth0"]), [None]);
    }

    #[test]
    fn separators_in_quotes_separate_nothing() {
        let one = r#"by="a,\",b;for=192.0.2.9";for="192.0.2.1""#;
        assert_eq!(f(&[one]), [ip("192.0.2.1")]);
        assert_eq!(
            f(&[r#"for=192.0.2.7, by="a,b";for=192.0.2.1"#]),
            [ip("192.0.2.1"), ip("192.0.2.7")]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// Whatever a client sends, its quotes, commas and backslashes included: what the proxy adds to the right
        /// of it is read as if it stood alone.
        #[test]
        fn nothing_on_the_left_changes_what_the_right_says(
            left in "[ -~\t]{0,40}|[\"\\\\,;=for:\\[\\]0-9. ]{0,40}",
            same_line in any::<bool>(),
        ) {
            let by_proxy = ["192.0.2.1".into(), "for=192.0.2.1".into()] as [String; 2];
            for (read, by_proxy) in [x as fn(&[&str]) -> Vec<Option<IpAddr>>, f].iter().zip(by_proxy) {
                let lines = if same_line {
                    vec![std::format!("{left}, {by_proxy}")]
                } else {
                    vec![left.clone(), by_proxy]
                };
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                prop_assert_eq!(read(&lines)[0], ip("192.0.2.1"));
            }
        }
    }
}
