//! What is wrong in the files, collected while they are read, so that a tenant mends all at once.
//!
//! An error refuses the files; a warning doesn't. Each has its file, and line and column where it has one.
//! After [`MOST`] findings in a file the rest is only counted: a file with another delimiter has one in each row.

use confab_plugin_sdk::types::Diagnostic;
use std::collections::HashMap;

/// More than anybody mends in one go.
const MOST: usize = 50;

/// Line and column, both from 1.
pub(crate) type Place = Option<(u32, u32)>;

#[derive(Debug, Default)]
pub(crate) struct Report {
    found: Vec<Diagnostic>,
    counts: HashMap<String, usize>,
    errors: usize,
}

impl Report {
    pub(crate) fn error(&mut self, file: &str, at: Place, message: String, help: &str) {
        self.errors += 1;
        self.add("error", file, at, message, help);
    }

    pub(crate) fn warning(&mut self, file: &str, at: Place, message: String, help: &str) {
        self.add("warning", file, at, message, help);
    }

    fn add(&mut self, severity: &str, file: &str, at: Place, message: String, help: &str) {
        let count = self.counts.entry(file.to_owned()).or_default();
        *count += 1;
        if *count > MOST {
            return;
        }
        self.found.push(Diagnostic {
            severity: severity.to_owned(),
            message,
            help: (!help.is_empty()).then(|| help.to_owned()),
            file: (!file.is_empty()).then(|| file.to_owned()),
            line: at.map(|p| p.0),
            column: at.map(|p| p.1),
        });
    }

    /// Warnings when the files can be used, everything when they can't.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let mut over: Vec<_> = self.counts.iter().filter(|(_, n)| **n > MOST).collect();
        over.sort();
        for (file, n) in over {
            self.found.push(Diagnostic {
                severity: if self.errors > 0 { "error" } else { "warning" }.to_owned(),
                message: format!("{} more findings in this file are not shown", n - MOST),
                file: Some(file.clone()),
                ..Diagnostic::default()
            });
        }
        if self.errors > 0 { Err(self.found) } else { Ok(self.found) }
    }
}
