//! Whether a connection works, as `confab connection check` shows it: what was tried, and what to do where it failed.

pub use crate::bindings::health::*;

impl Finding {
    /// It works.
    pub fn ok(name: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding::of("ok", name, message)
    }

    /// It works, but not all of it, or not for long.
    pub fn warning(name: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding::of("warning", name, message)
    }

    /// It doesn't work; the message says what to do.
    pub fn error(name: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding::of("error", name, message)
    }

    fn of(status: &str, name: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { name: name.into(), status: status.to_owned(), message: message.into() }
    }
}
