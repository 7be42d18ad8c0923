//! One failure, as it is kept and shown.

use crate::turn::now_millis;
use confab_egress::Sent;
use confab_sandbox::{Blame, Failure};
use serde::{Deserialize, Serialize};

/// Longest message of a record, in characters: a plugin may have written it.
const MESSAGE_CHARS: usize = 1_000;

/// A failure, or several equal ones within a second. Fields that say nothing are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// Its number in the log: grows with time, over all tenants.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When the first of them happened, in milliseconds since 1970.
    pub at: u64,
    /// Whose it is.
    pub tenant: String,
    /// The bot whose turn failed, or whose turn called the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<String>,
    /// The connection whose connector or system failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Name of the plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// Function that was called: `handle`, `orders.get`; `quarantine` when calls are stopped or go on.
    pub function: String,
    /// What happened: a kind of [`confab_sandbox::FailureKind`], a code of [`confab_egress::ErrorCode`], or `http-status`.
    pub kind: String,
    /// Whose fault it was.
    pub blame: Blame,
    /// One sentence.
    pub message: String,
    /// Fuel used.
    pub fuel: u64,
    /// CPU time in microseconds.
    pub cpu_us: u64,
    /// Bytes of linear memory at most.
    pub peak_memory: u64,
    /// Wall time in microseconds.
    pub wall_us: u64,
    /// Capability calls, HTTP requests, reads and writes of stored data.
    pub host_calls: u32,
    /// Functions of the guest on the stack, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// The last lines that the plugin wrote to the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// Finds it in the log.
    pub request_id: String,
    /// The endpoint that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path, without query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// HTTP status of the system's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Times that the request was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Milliseconds of the call, waiting and all tries together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// By which the system's support finds the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_request_id: Option<String>,
    /// How many equal failures this stands for.
    pub count: u64,
    /// Other failures of the tenant that were not kept before or around this one, because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Who a failure hit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whose<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) bot: Option<&'a str>,
    pub(crate) connection: Option<&'a str>,
    pub(crate) conversation: Option<&'a str>,
    pub(crate) turn: Option<&'a str>,
    pub(crate) request_id: &'a str,
}

impl FailureRecord {
    pub(crate) fn of_plugin(failure: &Failure, whose: &Whose<'_>) -> Self {
        let own = |text: Option<&str>| text.map(str::to_owned);
        FailureRecord {
            id: String::new(),
            at: now_millis(),
            tenant: whose.tenant.to_owned(),
            bot: own(whose.bot),
            connection: own(whose.connection),
            plugin: failure.plugin.clone(),
            version: failure.version.clone(),
            digest: failure.digest.clone(),
            function: failure.function.clone(),
            kind: failure.kind.as_str().to_owned(),
            blame: failure.blame,
            message: failure.message.chars().take(MESSAGE_CHARS).collect(),
            fuel: failure.report.fuel,
            cpu_us: failure.report.cpu_us,
            peak_memory: failure.report.peak_memory,
            wall_us: failure.report.wall_us,
            host_calls: failure.report.host_calls,
            backtrace: failure.backtrace.clone(),
            last_lines: failure.report.last_lines.clone(),
            conversation: own(whose.conversation),
            turn: own(whose.turn),
            request_id: whose.request_id.to_owned(),
            endpoint: None,
            method: None,
            path: None,
            status: None,
            attempts: None,
            duration_ms: None,
            provider_request_id: None,
            count: 1,
            suppressed: 0,
        }
    }

    /// The same as the failure of a call of a business system.
    pub(crate) fn of_call(self, kind: &str, blame: Blame, sent: &Sent) -> Self {
        FailureRecord {
            kind: kind.to_owned(),
            blame,
            attempts: Some(sent.attempts),
            duration_ms: Some(sent.duration_ms),
            provider_request_id: sent.provider_request_id.clone(),
            endpoint: Some(sent.endpoint.clone()),
            method: Some(sent.method.clone()),
            path: Some(sent.path.clone()),
            status: sent.status,
            ..self
        }
    }

    /// The same as what a connector said of its system: `kind` is the code of its error.
    pub(crate) fn of_capability(self, kind: &str) -> Self {
        let blame = match kind {
            "internal" => Blame::Guest,
            "misconfigured" => Blame::Host,
            _ => Blame::Upstream,
        };
        FailureRecord { kind: kind.to_owned(), blame, ..self }
    }

    /// Whether it says the same as another; when, in which turn and at what cost apart.
    pub(crate) fn equals(&self, other: &FailureRecord) -> bool {
        self.message == other.message
            && self.plugin == other.plugin
            && self.digest == other.digest
            && self.function == other.function
            && self.kind == other.kind
            && self.bot == other.bot
            && self.connection == other.connection
            && self.endpoint == other.endpoint
            && self.status == other.status
            && self.panic() == other.panic()
    }

    /// What a plugin said when it panicked: its line in the log.
    fn panic(&self) -> Option<&str> {
        self.last_lines.iter().rev().map(String::as_str).find(|line| line.contains("panicked at"))
    }
}

/// Which records are wanted; none wants all.
#[derive(Clone, Debug, Default)]
pub struct FailureFilter {
    /// Of this bot.
    pub bot: Option<String>,
    /// Of this connection.
    pub connection: Option<String>,
    /// Of this plugin.
    pub plugin: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this party.
    pub blame: Option<Blame>,
}

impl FailureFilter {
    pub(crate) fn takes(&self, record: &FailureRecord) -> bool {
        let same = |wanted: &Option<String>, has: Option<&str>| wanted.as_deref().is_none_or(|w| has == Some(w));
        same(&self.bot, record.bot.as_deref())
            && same(&self.connection, record.connection.as_deref())
            && same(&self.plugin, Some(&record.plugin))
            && same(&self.kind, Some(&record.kind))
            && self.blame.is_none_or(|blame| blame == record.blame)
    }
}

/// A part of the records.
#[derive(Clone, Debug, Serialize)]
pub struct FailurePage {
    /// Newest first.
    pub failures: Vec<FailureRecord>,
    /// Ask with `before` set to this for older ones; none when these were the last.
    pub next: Option<String>,
}
