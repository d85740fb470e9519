//! What was expected, and what was seen.

/// One fault in one mode.
pub(crate) struct Row {
    /// Put in by whoever ran it.
    pub(crate) fault: &'static str,
    pub(crate) mode: String,
    pub(crate) expected: &'static str,
    pub(crate) seen: String,
    pub(crate) holds: bool,
}

impl Row {
    pub(crate) fn new(
        mode: impl Into<String>,
        expected: &'static str,
        seen: String,
        holds: bool,
    ) -> Self {
        Self { fault: "", mode: mode.into(), expected, seen, holds }
    }

    /// A fault whose test itself failed, and has said why.
    pub(crate) fn failed(fault: &'static str) -> Self {
        let seen = "the test failed: see above".into();
        Self { fault, mode: String::new(), expected: "that it runs", seen, holds: false }
    }
}

pub(crate) fn print(rows: &[Row]) {
    let width =
        |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (fault, mode) = (width(|row| row.fault), width(|row| &row.mode));
    let expected = width(|row| row.expected);
    let mut last = "";
    println!("{:fault$}  {:mode$}  {:expected$}  seen", "fault", "mode", "expected");
    for row in rows {
        let name = if row.fault == last { "" } else { row.fault };
        last = row.fault;
        let mark = if row.holds { "" } else { "   <-- NOT AS EXPECTED" };
        println!(
            "{name:fault$}  {:mode$}  {:expected$}  {}{mark}",
            row.mode, row.expected, row.seen
        );
    }
}
