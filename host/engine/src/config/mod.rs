//! What a tenant writes, and what the store keeps of it.
//!
//! A tenant's folder has a `tenant.yaml`, `bots/*.yaml`, `connections/*.yaml` and `webhooks/*.yaml`; a bot names its definition file, a
//! connection its data files. [`bundle`] reads such a folder into [documents](documents) and reports everything that is
//! wrong at once, each with file, line and column. The store holds documents, never the folder.

pub mod bundle;
mod cache;
pub mod documents;
pub(crate) mod endpoints;
mod events;
mod webhooks;
mod yaml;

pub use bundle::{Bundle, SourceFile};

use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can't be applied.
    Error,
    /// It works, but probably not as meant.
    Warning,
}

/// Something that is wrong in what a tenant wrote, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// File, as the tenant named it.
    pub file: String,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Field that it is about, `connections.orders`, where the line is not known yet. See [`Places`].
    #[serde(skip)]
    pub field: Option<String>,
}

impl Finding {
    /// An error in a file.
    pub fn error(file: &str, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Error,
            file: file.to_owned(),
            line: None,
            column: None,
            message: message.into(),
            help: None,
            field: None,
        }
    }

    /// The same at a line and column.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.line = place.map(|p| p.line);
        self.column = place.map(|p| p.column);
        self
    }

    /// The same with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same about a field, whose line is filled in where the file is known.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// What a plugin's diagnostic says, in the tenant's file.
    pub fn from_diagnostic(file: &str, diagnostic: confab_sandbox::Diagnostic) -> Self {
        Finding {
            severity: if diagnostic.severity == "warning" { Severity::Warning } else { Severity::Error },
            file: diagnostic.file.unwrap_or_else(|| file.to_owned()),
            line: diagnostic.line.map(u64::from),
            column: diagnostic.column.map(u64::from),
            message: diagnostic.message,
            help: diagnostic.help,
            field: None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Where things stand in one file of a tenant.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Places by field.
    pub fields: std::collections::BTreeMap<String, Place>,
    /// Paths of data files by the name that the plugin sees.
    pub data: std::collections::BTreeMap<String, String>,
}

impl Places {
    /// Gives a finding its line, and a data file its path. Without a better place the finding is about the whole file.
    pub fn locate(&self, finding: &mut Finding) {
        if let Some(path) = self.data.get(&finding.file) {
            finding.file.clone_from(path);
        }
        let Some(mut field) = finding.field.take().filter(|_| finding.line.is_none()) else { return };
        let place = loop {
            if let Some(place) = self.fields.get(&field) {
                break *place;
            }
            match field.rfind('.') {
                Some(dot) => field.truncate(dot),
                None => break Place { line: 1, column: 1 },
            }
        };
        finding.line = Some(place.line);
        finding.column = Some(place.column);
    }
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}
