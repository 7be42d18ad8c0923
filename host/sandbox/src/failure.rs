//! What went wrong in a call, as a record: whose fault it was, which limit was hit, what it had used.
//!
//! Authors and operators get the record; visitors get the bot's fallback.

use crate::call::CallReport;
use serde::{Deserialize, Serialize};

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The plugin's.
    Guest,
    /// Ours.
    Host,
    /// The business system's.
    Upstream,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Used up its fuel.
    Fuel,
    /// Took too long, host calls included.
    Time,
    /// Wanted more memory than it may have.
    Memory,
    /// Wanted larger tables than it may have.
    Table,
    /// Held more handles than it may.
    Handles,
    /// Passed more across the border in one call than it may, or returned more.
    Bytes,
    /// Called the host too often.
    HostCalls,
    /// Sent more to the outside than it may.
    Outgoing,
    /// Recursed too deep.
    Stack,
    /// Panicked, aborted or did something undefined.
    Trap,
    /// Returned something that its contract doesn't allow.
    Contract,
    /// Could not be instantiated.
    Instantiation,
    /// All places for plugin calls are taken.
    Overloaded,
    /// Its tenant has used up its fuel for this minute.
    Quota,
    /// It kept failing and is not run for a while.
    Quarantined,
    /// A fault of the host.
    Host,
}

impl FailureKind {
    /// Stable name for metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Fuel => "fuel",
            FailureKind::Time => "time",
            FailureKind::Memory => "memory",
            FailureKind::Table => "table",
            FailureKind::Handles => "handles",
            FailureKind::Bytes => "bytes",
            FailureKind::HostCalls => "host-calls",
            FailureKind::Outgoing => "outgoing",
            FailureKind::Stack => "stack",
            FailureKind::Trap => "trap",
            FailureKind::Contract => "contract",
            FailureKind::Instantiation => "instantiation",
            FailureKind::Overloaded => "overloaded",
            FailureKind::Quota => "quota",
            FailureKind::Quarantined => "quarantined",
            FailureKind::Host => "host",
        }
    }

    /// Whose fault it is by nature.
    pub fn blame(self) -> Blame {
        match self {
            FailureKind::Overloaded | FailureKind::Host => Blame::Host,
            _ => Blame::Guest,
        }
    }
}

/// A failed call.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("plugin {plugin} failed in {function}: {message}")]
pub struct Failure {
    /// Name of the plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// Function that was called.
    pub function: String,
    /// What happened.
    pub kind: FailureKind,
    /// Whose fault it was.
    pub blame: Blame,
    /// One sentence.
    pub message: String,
    /// Functions of the guest on the stack, innermost first.
    pub backtrace: Vec<String>,
    /// What the call had used.
    pub report: CallReport,
}

/// A limit that the host raised as an error, so that the trap can be told from others.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct LimitHit {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

impl LimitHit {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        LimitHit { kind, message: message.into() }
    }
}

/// Reads kind, sentence and backtrace out of wasmtime's error.
pub(crate) fn classify(error: &wasmtime::Error) -> (FailureKind, String, Vec<String>) {
    let backtrace = error
        .downcast_ref::<wasmtime::WasmBacktrace>()
        .map(|trace| {
            trace.frames().iter().take(32).map(|frame| frame.func_name().map_or_else(unnamed, readable)).collect()
        })
        .unwrap_or_default();
    if let Some(hit) = error.downcast_ref::<LimitHit>() {
        return (hit.kind, hit.message.clone(), backtrace);
    }
    if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
        let (kind, message) = match trap {
            wasmtime::Trap::OutOfFuel => (FailureKind::Fuel, "used up its fuel".to_owned()),
            wasmtime::Trap::Interrupt => (FailureKind::Time, "computed longer than it may".to_owned()),
            wasmtime::Trap::StackOverflow => (FailureKind::Stack, "recursed too deep".to_owned()),
            wasmtime::Trap::UnreachableCodeReached => {
                (FailureKind::Trap, "panicked or aborted (unreachable code)".to_owned())
            }
            other => (FailureKind::Trap, other.to_string()),
        };
        return (kind, message, backtrace);
    }
    if let Some(wasmtime::component::ResourceTableError::Full) = error.downcast_ref() {
        return (FailureKind::Handles, "took more handles of the host than it may hold".into(), backtrace);
    }
    if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
        return (FailureKind::Overloaded, "the pool has no room for another instance now".into(), backtrace);
    }
    // The outermost text is wasmtime's backtrace; the cause is at the bottom.
    let text = first_line(&error.root_cause().to_string());
    // wasmtime gives these no types of their own; the tests of hostile guests hold the texts.
    let kind = if text.contains("fuel") || text.contains("too large") || text.contains("exceeds") {
        FailureKind::Bytes
    } else if text.contains("handle table") || text.contains("resource table") || text.contains("table has no free") {
        FailureKind::Handles
    } else {
        FailureKind::Contract
    };
    let message = match kind {
        FailureKind::Bytes => format!("passed more across the border than one host call may: {text}"),
        _ => text,
    };
    (kind, message, backtrace)
}

/// Longest name of a function in a backtrace, in characters: generic ones have thousands.
const NAME_CHARS: usize = 300;

fn unnamed() -> String {
    "<unnamed>".to_owned()
}

/// A function's name as its author wrote it: demangled, without the compiler's hash.
fn readable(name: &str) -> String {
    let demangled = format!("{:#}", rustc_demangle::demangle(name));
    demangled.chars().take(NAME_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn names_in_a_backtrace_are_demangled_and_cut() {
        assert_eq!(readable("_ZN6panics6handle17h0123456789abcdefE"), "panics::handle");
        assert_eq!(readable("_RNvC6_123foo3bar"), "123foo::bar");
        assert_eq!(readable("confab:plugin/dialogue@1.0.0#handle"), "confab:plugin/dialogue@1.0.0#handle");
        assert_eq!(readable(&"x\n".repeat(1_000)).chars().count(), 300);
    }
}
