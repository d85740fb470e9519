//! The figures: numbers with names such as `resident_1000000/1/keyed`, a line each.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

#[derive(Default)]
pub(crate) struct Figures {
    by_name: BTreeMap<String, f64>,
}

/// What is measured, of how many keys, from how many threads, of whom: as a benchmark is called.
pub(crate) fn name(what: &str, keys: u64, row: &str) -> String {
    format!("{what}_{keys}/1/{row}")
}

impl Figures {
    pub(crate) fn add(&mut self, name: &str, figure: f64) {
        self.by_name.insert(name.to_owned(), figure);
    }

    /// The figure; `None` if it could not be measured on this machine.
    pub(crate) fn get(&self, what: &str, keys: u64, row: &str) -> Option<f64> {
        self.by_name.get(&name(what, keys, row)).copied()
    }

    /// Writes them into a file under the name where the report looks for them.
    pub(crate) fn write_into(&self, folder: &Path, file: &str) -> Result<(), Box<dyn Error>> {
        let mut text = String::new();
        for (name, figure) in &self.by_name {
            writeln!(text, "{name} {figure}")?;
        }
        fs::create_dir_all(folder)?;
        fs::write(folder.join(file), text)?;
        Ok(())
    }
}
