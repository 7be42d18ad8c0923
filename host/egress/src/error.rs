//! What can go wrong: while a connection is set up ([`ConfigError`], for the tenant or operator who wrote it), and
//! while a call is made ([`SendError`], for the guest and, by the log line, for the operator).
//!
//! Messages say what was wanted, what happened and what to do. None has ever a secret's value in it; those about a
//! call are passed through the redactor before they leave.

use std::fmt;

use crate::call::Sent;

/// Why a guest gets no answer. The strings are part of the plugin contract (`confab:plugin/http`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The connection has no endpoint of that name.
    UnknownEndpoint,
    /// The policy forbids it: method, header, path, address.
    Refused,
    /// The request is not well formed.
    InvalidRequest,
    /// The connection can't work as it is configured.
    Misconfigured,
    /// The system did not accept the credentials at login.
    Unauthorised,
    /// No connection to the system.
    Connect,
    /// The system's certificate or its TLS is not acceptable.
    Tls,
    /// No complete answer in time.
    Timeout,
    /// Request or answer is larger than allowed.
    TooLarge,
    /// Too many calls at a time.
    Limit,
    /// The system's answer is not HTTP as it should be.
    Protocol,
    /// The system kept failing or asked for a pause, so it was not called.
    Unavailable,
}

impl ErrorCode {
    /// The code as the plugin contract spells it, e.g. `unknown-endpoint`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownEndpoint => "unknown-endpoint",
            Self::Refused => "refused",
            Self::InvalidRequest => "invalid-request",
            Self::Misconfigured => "misconfigured",
            Self::Unauthorised => "unauthorised",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::TooLarge => "too-large",
            Self::Limit => "limit",
            Self::Protocol => "protocol",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no answer to a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SendError {
    /// Stable, machine-readable reason.
    pub code: ErrorCode,
    /// One sentence, without secrets.
    pub message: String,
    /// Seconds after which another try may help.
    pub retry_after: Option<u32>,
    /// What the call was, for records and accounts. [`Connection::send`](crate::Connection::send) always sets it.
    pub sent: Option<Box<Sent>>,
}

impl SendError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, sent: None }
    }

    /// Is the business system to blame, rather than the guest's request, the configuration or the host?
    #[must_use]
    pub fn is_upstream(&self) -> bool {
        match self.code {
            ErrorCode::Unauthorised
            | ErrorCode::Connect
            | ErrorCode::Tls
            | ErrorCode::Timeout
            | ErrorCode::Protocol
            | ErrorCode::Unavailable => true,
            // A request that is too large is never sent.
            ErrorCode::TooLarge => self.sent.as_ref().is_some_and(|sent| sent.requests > 0),
            ErrorCode::UnknownEndpoint
            | ErrorCode::Refused
            | ErrorCode::InvalidRequest
            | ErrorCode::Misconfigured
            | ErrorCode::Limit => false,
        }
    }

    /// Whose fault it is: `upstream` (the business system's), `guest` (the plugin's request) or `host` (this
    /// installation: its settings, its limits).
    #[must_use]
    pub fn blame(&self) -> &'static str {
        match self.code {
            _ if self.is_upstream() => "upstream",
            ErrorCode::UnknownEndpoint | ErrorCode::Refused | ErrorCode::InvalidRequest | ErrorCode::TooLarge => {
                "guest"
            }
            _ => "host",
        }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Refused, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
        self
    }
}

/// Something in a connection's or the operator's configuration that can't work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct ConfigError {
    /// Where it stands, e.g. `endpoints.erp.auth.token`.
    pub at: String,
    /// What is wrong and what to do, without secrets.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into() }
    }
}
